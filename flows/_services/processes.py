"""This module starts one daemon, finds it again later, and stops it with all that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from flows._services.definitions import Service
from headrace.settings import Settings, inherited_environment

# The same process's start may be read a little differently when the clock was set in between.
_START_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """This is what is written down about a daemon, so that it is found again.

    Attributes:
        name: The service.
        title: The service, for a reader.
        pid: Its process, which leads a session of its own.
        started: When the operating system started it, in seconds since 1970; a process id is
            given out again, and so the two together name a process.
        port: Port it was told to listen on; none when it does not listen.
        log: File of what it says.
    """

    name: str
    title: str
    pid: int
    started: float
    port: int | None
    log: str


def start(service: Service, of: Settings) -> Daemon:
    """Start a service in a session of its own and write down which process it is.

    It inherits neither a terminal nor a pipe, so that `make run | tee log` ends.
    """
    if service.command is None:
        raise ValueError(f"{service.title} is not ours to start")
    for folder in (of.run_folder, of.log_folder, service.folder):
        folder.mkdir(parents=True, exist_ok=True)
    if service.ready_file is not None:
        service.ready_file.unlink(missing_ok=True)
    log = of.log_folder / f"{service.name}.log"
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    with log.open("wb") as said:
        process = subprocess.Popen(  # noqa: S603  the command is ours, see definitions.py
            service.command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=service.folder,
            env={**inherited_environment(), **service.environment},
        )
    # a Popen that is dropped while its process runs makes Python warn, unless it believes that the
    # process has ended; a daemon is meant to outlive us
    process.returncode = 0
    daemon = Daemon(
        name=service.name,
        title=service.title,
        pid=process.pid,
        started=psutil.Process(process.pid).create_time(),
        port=service.port,
        log=str(log),
    )
    write_down(daemon, of)
    return daemon


def recorded(of: Settings) -> dict[str, Daemon]:
    """Return what is written down, by name of service, whether it still runs or not."""
    found = {}
    for path in sorted(of.run_folder.glob("*.json")):
        try:
            found[path.stem] = Daemon(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue  # not something that `start` wrote: nothing can be known from it
    return found


def process_of(daemon: Daemon) -> psutil.Process | None:
    """Return the daemon's process; none when it has ended, even if its id was given out again."""
    process = _same(daemon)
    return process if process is not None and _is_alive(process) else None


def exit_code(daemon: Daemon) -> int | None:
    """Return how a daemon ended; negative for a signal.

    None when it runs, is no child of this process, or was asked about before.
    """
    try:
        ended, status = os.waitpid(daemon.pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if ended else None


def stop(daemon: Daemon, of: Settings, *, patience_seconds: float = 15.0) -> bool:
    """Stop a daemon and whatever runs in its session, and forget it.

    Args:
        daemon: The daemon.
        of: Settings under which it was started.
        patience_seconds: How long it may take to end by itself before it is killed.

    Returns:
        Whether anything was running.
    """
    leader = process_of(daemon)
    # while members are left the system does not give their session's number out again, unless
    # it has become that of another process's session, which is then not ours to touch
    ours = _same(daemon) is not None or not psutil.pid_exists(daemon.pid)
    members = _session(daemon.pid) if ours else []
    if leader is not None:
        _signal([leader], signal.SIGTERM)
        _wait([leader], patience_seconds)
        members = _session(daemon.pid) + [process for process in members if _holds(process)]
    _signal(members, signal.SIGTERM)
    left = _wait(members, 3)
    _signal(left, signal.SIGKILL)
    _wait(left, 5)
    exit_code(daemon)  # collects it
    _record(of, daemon.name).unlink(missing_ok=True)
    return leader is not None or bool(members)


def last_lines(daemon: Daemon, *, count: int = 15) -> str:
    """Return the end of what a daemon said, indented."""
    try:
        lines = Path(daemon.log).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return "\n".join(f"    {line}" for line in lines[-count:]) or "    (it said nothing)"


def write_down(daemon: Daemon, of: Settings) -> None:
    """Write down which process a service is, so that it is found again."""
    _write(_record(of, daemon.name), daemon)


def _record(of: Settings, name: str) -> Path:
    return of.run_folder / f"{name}.json"


def _write(path: Path, daemon: Daemon) -> None:
    half = path.with_suffix(".half")
    half.write_text(json.dumps(asdict(daemon), indent=2) + "\n", encoding="utf-8")
    half.replace(path)  # a reader sees the old or the new, never half of it


def _same(daemon: Daemon) -> psutil.Process | None:
    """Return the process that was started, even if it only waits to be collected by its parent."""
    try:
        process = psutil.Process(daemon.pid)
        same = abs(process.create_time() - daemon.started) <= _START_TOLERANCE_SECONDS
    except psutil.NoSuchProcess:
        return None
    return process if same else None


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _holds(process: psutil.Process) -> bool:
    """Return whether a process lives, or still holds its files and ports while it ends.

    A process that is killed waits to be collected as soon as its first thread has gone; what it
    holds goes with its last one, some hundredths of a second later on a busy machine.
    """
    try:
        return process.is_running() and (
            process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
        )
    except psutil.NoSuchProcess:
        return False


def _session(leader: int) -> list[psutil.Process]:
    """Return the processes of a session that hold something, its leader included."""
    members = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader:
                members.append(psutil.Process(pid))
        except (OSError, psutil.NoSuchProcess):
            continue  # ended meanwhile, or not ours to ask about
    return [process for process in members if _holds(process)]


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until processes hold nothing more and return those that still do.

    One that has ended and waits to be collected counts as ended: where the first process of a
    container collects nothing, as many don't, it would be waited for in vain.
    """
    deadline = time.monotonic() + seconds
    while left := [process for process in processes if _holds(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return left


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
