"""A real Label Studio on a free port, with a folder of its own, and raters who signed up to it.

`make test-labelstudio` installs it and says where it is, in the variable LABEL_STUDIO; without that
these tests are not collected. The server ends with the run, whatever happens to it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from headrace.labels.queue import LabelQueue
from headrace.lineage.database import Database
from operators.label_studio import LabelStudio

PROGRAM = os.environ.get("LABEL_STUDIO", "")
PASSWORD = "a password of raters 1"  # noqa: S105 (of a server that lives as long as the tests)
TOKEN = "0123456789abcdef0123456789abcdef01234567"  # noqa: S105
ADMIN = "admin@example.com"
_READY_SECONDS = 240.0
_LIBC = ctypes.CDLL(None)
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG

if not PROGRAM:
    collect_ignore_glob = ["test_*.py"]


@dataclass(kw_only=True)
class Rater:
    """A person with an account, signed in as the pages are."""

    email: str
    session: httpx.Client
    last: int = field(default=0)
    """The annotation that was given last."""

    def next(self, project: int) -> dict[str, Any] | None:
        """Return the task that Label Studio gives this person; None when there is none."""
        answer = self.session.get(f"/api/projects/{project}/next")
        if answer.status_code == 404:
            return None
        return dict(answer.raise_for_status().json())

    def annotate(
        self, task: int, result: list[dict[str, Any]], *, seconds: float = 2.5, skip: bool = False
    ) -> int:
        """Answer a task, or skip it, and return the number of the annotation."""
        body = {"result": result, "lead_time": seconds, "was_cancelled": skip}
        answer = self.session.post(f"/api/tasks/{task}/annotations/", json=body)
        self.last = int(answer.raise_for_status().json()["id"])
        return self.last

    def change(self, annotation: int, result: list[dict[str, Any]]) -> None:
        """Answer otherwise."""
        body = {"result": result, "was_cancelled": False}
        self.session.patch(f"/api/annotations/{annotation}/", json=body).raise_for_status()

    def remove(self, annotation: int) -> None:
        """Take an answer back."""
        self.session.delete(f"/api/annotations/{annotation}/").raise_for_status()


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where Label Studio is, asked in the name of its administrator."""

    url: str
    admin: httpx.Client

    def sign_up(self, name: str) -> Rater:
        """Sign a person up by an invitation, through the form that people fill in."""
        email = f"{name}@example.com"
        invitation = self.admin.get("/api/invite").json()["invite_url"]
        session = httpx.Client(base_url=self.url, timeout=60, follow_redirects=True)
        session.get(invitation).raise_for_status()
        form = {"email": email, "password": PASSWORD, "allow_newsletters": "false"}
        form["csrfmiddlewaretoken"] = session.cookies["csrftoken"]
        headers = {"Referer": f"{self.url}{invitation}"}
        session.post(invitation, data=form, headers=headers).raise_for_status()
        session.headers.update({"X-CSRFToken": session.cookies["csrftoken"], "Referer": self.url})
        assert session.get("/api/current-user/whoami").json()["email"] == email
        return Rater(email=email, session=session)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A Label Studio of its own; on a new database it takes most of a minute to start."""
    with label_studio() as server:
        yield server


@contextmanager
def label_studio(**environment: str) -> Iterator[Server]:
    """Run a Label Studio, with variables of its own."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    with tempfile.TemporaryDirectory(prefix="headrace-labelstudio-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [
                    PROGRAM, "start", "--no-browser", "--host", url,
                    "--internal-host", "127.0.0.1", "-p", str(port),
                    "--username", ADMIN, "--password", PASSWORD, "--user-token", TOKEN,
                ],
                cwd=folder,
                env=_environment(folder) | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                # a run that is killed leaves no server behind
                preexec_fn=lambda: _LIBC.prctl(_DIES_WITH_PARENT, signal.SIGTERM),  # noqa: PLW1509
            )  # fmt: skip
        try:
            _wait_until_ready(url, process, log)
            headers = {"Authorization": f"Token {TOKEN}"}
            with httpx.Client(base_url=url, headers=headers, timeout=60) as admin:
                yield Server(url=url, admin=admin)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


@pytest.fixture(scope="session")
def ada(server: Server) -> Iterator[Rater]:
    rater = server.sign_up("ada")
    yield rater
    rater.session.close()


@pytest.fixture(scope="session")
def bob(server: Server) -> Iterator[Rater]:
    rater = server.sign_up("bob")
    yield rater
    rater.session.close()


@pytest.fixture(scope="session")
def eve(server: Server) -> Iterator[Rater]:
    rater = server.sign_up("eve")
    yield rater
    rater.session.close()


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[LabelQueue]:
    """A queue in a database of its own."""
    database = Database(tmp_path / "labels.db")
    yield LabelQueue(database)
    database.close()


@pytest.fixture
def studio(server: Server, queue: LabelQueue) -> LabelStudio:
    """What is tested, with the administrator's token."""
    return LabelStudio(queue, url=server.url, token=TOKEN)


def _environment(folder: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | {
        "LABEL_STUDIO_BASE_DATA_DIR": folder,
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    }


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < _READY_SECONDS and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    pytest.fail(f"Label Studio did not start:\n{log.read_text(errors='replace')[-4000:]}")
