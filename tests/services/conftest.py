"""Redis and PostgreSQL from Debian's packages, on free ports, with folders of their own.

They are started once a run by the tests marked `services`, which `make test-services` runs, and are
gone after it, whatever happens to it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_SECONDS = 30.0
_LIBC = ctypes.CDLL(None)
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass
class Server:
    """A server that a test may stop and start again on the same port."""

    url: str
    start: Callable[[], None]
    stop: Callable[..., None]
    """With the signal that ends it; by default the one that it is asked with."""
    pid: Callable[[], int]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def program(name: str) -> str:
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(places[-1]) if places else None)
    if found is None:
        pytest.fail(f"There is no {name} here: `make test-services` installs it.")
    return found


def unprivileged() -> dict[str, Any]:
    """Return as whom PostgreSQL is to run, which refuses root."""
    if os.getuid() != 0:
        return {}
    names = {each.pw_name for each in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def wait_until(answers: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> None:
    last, begun = "", time.monotonic()
    while time.monotonic() - begun < _SECONDS:
        try:
            answers()
        except Exception as error:  # whatever a server says that is not there yet
            last = f"{type(error).__name__}: {error}"
        else:
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"The server did not start: {last}\n{log.read_text(errors='replace')}")


@contextmanager
def running(
    command: list[str],
    *,
    folder: Path,
    url: str,
    answers: Callable[[], Any],
    ends: signal.Signals,
    user: dict[str, Any],
) -> Iterator[Server]:
    log = folder / "log"
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        with log.open("ab") as out:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # a run that is killed leaves no server behind
                preexec_fn=lambda: _LIBC.prctl(_DIES_WITH_PARENT, ends),  # noqa: PLW1509
                **user,
            )
        processes.append(process)
        wait_until(answers, process, log)

    def stop(how: signal.Signals = ends) -> None:
        while processes:
            process = processes.pop()
            process.send_signal(how)
            try:
                process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    try:
        start()
        yield Server(url, start, stop, pid=lambda: processes[-1].pid)
    finally:
        stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """A Redis that keeps nothing on disk."""
    from redis import Redis

    port = free_port()
    with tempfile.TemporaryDirectory(prefix="headrace-redis-") as folder:
        command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
        command += ["--dir", folder, "--save", "", "--appendonly", "no", "--daemonize", "no"]

        def answers() -> None:
            with Redis(port=port) as client:
                client.ping()

        with running(
            command,
            folder=Path(folder),
            url=f"redis://127.0.0.1:{port}/0",
            answers=answers,
            ends=signal.SIGTERM,
            user={},
        ) as server:
            yield server


@pytest.fixture
def redis_url(redis_server: Server) -> str:
    """Where a Redis with nothing in it is."""
    from redis import Redis

    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL that asks for a password and does not wait for the disk."""
    import psycopg

    user, port = unprivileged(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
    try:
        (folder / "password").write_text("s3cret, and @ more", encoding="utf-8")
        (folder / "data").mkdir(mode=0o700)
        if user:
            for path in (folder, *folder.iterdir()):
                os.chown(path, user["user"], user["group"])
        subprocess.run(
            [
                program("initdb"), "-D", "data", "-U", "headrace", "--auth=scram-sha-256",
                "--pwfile=password", "--no-sync", "--locale=C", "--encoding=UTF8",
            ],
            cwd=folder,
            check=True,
            capture_output=True,
            **user,
        )  # fmt: skip
        command = [program("postgres"), "-D", "data", "-p", str(port), "-h", "127.0.0.1"]
        command += ["-k", str(folder), "-c", "fsync=off"]
        url = f"postgresql://headrace:s3cret%2C%20and%20%40%20more@127.0.0.1:{port}"

        with running(
            command,
            folder=folder,
            url=url,
            answers=lambda: psycopg.connect(f"{url}/postgres").close(),
            ends=signal.SIGINT,  # ends sessions and stops
            user=user,
        ) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """Where an empty database is; it is dropped afterwards."""
    import psycopg

    name = f"test_{time.monotonic_ns()}"

    def execute(statement: str) -> None:
        with psycopg.connect(f"{postgres_server.url}/postgres", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    execute(f"CREATE DATABASE {name}")
    yield f"{postgres_server.url}/{name}"
    for each in gc.get_objects():  # Feast leaves its connections to the end of the process
        if isinstance(each, psycopg.Connection):
            each.close()
    execute(f"DROP DATABASE {name} WITH (FORCE)")
