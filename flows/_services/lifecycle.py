"""This module brings the services up, takes them down and says how they are."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from flows._services import processes
from flows._services.attempt import Attempt
from flows._services.definitions import Service, chosen, is_ready, services
from headrace.errors import ServiceError
from headrace.settings import Settings, settings

_POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Progress:
    """This is one thing that happened while services were started or stopped.

    Attributes:
        event: "waiting" comes again and again while nothing else happens; "left out" is a service
            that nothing needs and that cannot be started.
        services: Titles of the services that it happened to.
        seconds: Since the beginning.
        url: Where a ready service is found; none where it has no page.
        reason: Why a service is left out, with the remedy.
    """

    event: Literal[
        "locked", "already up", "starting", "waiting", "ready", "stopped", "not running", "left out"
    ]
    services: tuple[str, ...]
    seconds: float = 0.0
    url: str | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """This is how a service is at this moment.

    Attributes:
        name: What the command line calls it.
        title: What a reader calls it.
        state: "silent" is a process that runs and does not answer.
        ours: Whether `up` and `down` start and stop it.
        url: Its address.
        pid: Its process; none when it isn't running or isn't ours.
        log: File of what it says; none when it isn't ours or never ran.
    """

    name: str
    title: str
    state: Literal["ready", "silent", "stopped"]
    ours: bool
    url: str | None
    pid: int | None
    log: str | None


Report = Callable[[Progress], None]


def up(
    *, only: tuple[str, ...] = (), of: Settings | None = None, report: Report = lambda _: None
) -> tuple[ServiceState, ...]:
    """Start what does not run yet, all at once, and wait until everything is ready.

    Args:
        only: Names of services, started with those that they need; all by default.
        of: Settings to follow; those of this process by default.
        report: Is told what happens.

    Raises:
        UnknownNameError: `only` names no service.
        ServiceError: A port is held, a service ended, or took longer than
            `server_start_seconds`. What is up by then stays up.
    """
    of = of or settings()
    wanted = chosen(of, only)
    begun = time.monotonic()
    with _one_at_a_time(of, report):
        found = processes.recorded(of)
        running = {n: d for n, d in found.items() if processes.process_of(d)}
        for service in wanted:
            if service.name in found and service.name not in running:
                processes.stop(found[service.name], of)  # what it started may have outlived it
        attempts = [Attempt(service, of, running.get(service.name)) for service in wanted]
        attempts = [each for each in attempts if _can_start(each, report, named=bool(only))]
        waiting = list(attempts)
        while waiting:
            for attempt in tuple(waiting):
                event = attempt.advance(blocked_by={other.service.name for other in waiting})
                seconds, title = time.monotonic() - begun, attempt.service.title
                if event in ("ready", "already up"):
                    waiting.remove(attempt)
                else:
                    attempt.check_patience(seconds)
                if event != "waiting":
                    url = attempt.service.url
                    report(Progress(event=event, services=(title,), seconds=seconds, url=url))
            if waiting:
                titles = tuple(attempt.service.title for attempt in waiting)
                seconds = time.monotonic() - begun
                report(Progress(event="waiting", services=titles, seconds=seconds))
                time.sleep(_POLL_SECONDS)
    return tuple(_state(each.service, each.daemon, known_ready=True) for each in attempts)


def down(
    *,
    only: tuple[str, ...] = (),
    of: Settings | None = None,
    report: Report = lambda _: None,
) -> tuple[str, ...]:
    """Stop the services that `up` started, with everything they started, and nothing else.

    Args:
        only: Names of services; all by default.
        of: Settings to follow; those of this process by default.
        report: Is told what happens.

    Returns:
        The names of those that were running.
    """
    of = of or settings()
    chosen(of, only)  # refuses unknown names
    if not of.run_folder.is_dir():
        return ()  # nothing was ever started, and looking should leave no trace
    begun = time.monotonic()
    stopped = []
    with _one_at_a_time(of, report):
        order = [service.name for service in services(of)]
        found = processes.recorded(of)
        # those that need others end first; settings may have changed since, so records decide
        for name in sorted(found, key=lambda n: -order.index(n) if n in order else 1):
            if only and name not in only:
                continue
            was_running = processes.stop(found[name], of)
            if was_running:
                stopped.append(name)
            report(
                Progress(
                    event="stopped" if was_running else "not running",
                    services=(found[name].title,),
                    seconds=time.monotonic() - begun,
                )
            )
    return tuple(stopped)


def status(*, of: Settings | None = None) -> tuple[ServiceState, ...]:
    """Say how every service is at this moment."""
    of = of or settings()
    daemons = processes.recorded(of)
    return tuple(_state(service, daemons.get(service.name)) for service in services(of))


def _can_start(attempt: Attempt, report: Report, *, named: bool) -> bool:
    """Refuse to go on without a service; one that nothing needs is left out, unless it is named."""
    try:
        attempt.check_before_start()
    except ServiceError as error:
        if named or not attempt.service.may_lack:
            raise
        report(Progress(event="left out", services=(attempt.service.title,), reason=str(error)))
        return False
    return True


def _state(
    service: Service, daemon: processes.Daemon | None, *, known_ready: bool = False
) -> ServiceState:
    process = processes.process_of(daemon) if daemon else None
    ready = known_ready or (
        (process is not None or service.command is None)
        and is_ready(service, process.pid if process else None)
    )
    return ServiceState(
        name=service.name,
        title=service.title,
        state="ready" if ready else "silent" if process else "stopped",
        ours=service.command is not None,
        url=service.url,
        pid=process.pid if process else None,
        log=daemon.log if daemon else None,
    )


@contextmanager
def _one_at_a_time(of: Settings, report: Report) -> Iterator[None]:
    """Wait until no other `up` or `down` of the same home is at work; the lock ends with us."""
    of.run_folder.mkdir(parents=True, exist_ok=True)
    with (of.run_folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(Progress(event="locked", services=()))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
