"""A real front: HAProxy as Ray ships it, before small real servers that can be killed."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from headrace.settings import load_settings
from serving.front import Front


@dataclass(frozen=True, kw_only=True)
class Answer:
    """This is what came back."""

    status: int
    headers: dict[str, str]
    document: Any


class Asking:
    """This asks at an address over one kept connection, and never twice."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        self._connection: HTTPConnection = (
            HTTPConnection(host, port, timeout=10)
            if parts.scheme == "http"
            else HTTPSConnection(host, port, timeout=10, context=context)
        )

    def __call__(
        self, path: str, body: Any = None, method: str | None = None, **headers: str
    ) -> Answer:
        content = orjson.dumps(body) if isinstance(body, dict) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        verb = method or ("GET" if body is None else "POST")
        self._connection.request(verb, path, content, named)
        response = self._connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        said = response.read()
        document = orjson.loads(said) if "json" in told.get("content-type", "") else said.decode()
        return Answer(status=response.status, headers=told, document=document)

    def close(self) -> None:
        self._connection.close()


class Replica:
    """This is a small lane in a process of its own."""

    def __init__(self, name: str, port: int = 0) -> None:
        script = Path(__file__).with_name("_replica.py")
        self.process = subprocess.Popen(
            [sys.executable, script, name, str(port)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it as the system does when memory is short."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start_replica() -> Iterator[Callable[..., Replica]]:
    """Start replicas; those that a test leaves are ended after it."""
    started: list[Replica] = []

    def start(name: str, port: int = 0) -> Replica:
        started.append(Replica(name, port))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture(scope="session")
def replicas() -> Iterator[tuple[Replica, Replica]]:
    """Two replicas that live as long as all tests."""
    both = Replica("a"), Replica("b")
    yield both
    for each in both:
        each.kill()


@pytest.fixture
def start_front(tmp_path: Path) -> Iterator[Callable[..., Front]]:
    """Start fronts with settings of the test's choice, on a port of their own."""
    started: list[Front] = []

    def start(**changes: Any) -> Front:
        given = {"home": tmp_path, "serving_front": "haproxy", "serving_front_port": 0}
        started.append(Front(load_settings(**(given | changes))))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def front(start_front: Callable[..., Front]) -> Front:
    """A front that knows of no endpoint yet."""
    return start_front()


@pytest.fixture
def asking() -> Iterator[Callable[..., Asking]]:
    """Make what asks at an address."""
    made: list[Asking] = []

    def ask(url: str, context: ssl.SSLContext | None = None) -> Asking:
        made.append(Asking(url, context))
        return made[-1]

    yield ask
    for each in made:
        each.close()
