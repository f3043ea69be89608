"""Where it may call, Label Studio has votes fetched at once; where it may not, nothing is lost."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from flows._command.main import app
from headrace.labels.hooks import HEADER, hook_of
from headrace.labels.items import Batch
from headrace.labels.queue import LabelQueue
from headrace.lineage.database import Database
from headrace.settings import Settings, settings, using_settings
from operators.label_studio import LabelStudio
from tests.labelstudio.conftest import TOKEN, Rater, Server, free_port, label_studio
from tests.labelstudio.test_label_studio import (
    answer_all,
    asked,
    choice,
    items,
    project,
    requested,
)

# what is fetched within this was called for: by itself the page looks once an hour
_SOON_SECONDS = 30.0


@dataclass(kw_only=True)
class Page:
    """The process of the labeling page, and who stands in for Prefect."""

    of: Settings
    queue: LabelQueue
    events: list[dict[str, Any]]
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.of.labels_port}"

    def start(self) -> None:
        environment = os.environ | self.of.as_environment()
        environment["HEADRACE_LABEL_STUDIO_TOKEN"] = TOKEN
        command = [sys.executable, "-P", "-m", "serving.labeling.server"]
        with (self.of.home / "page.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log)
        self.until(self._is_ready)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        self.process = None

    def votes(self, batch: Batch) -> dict[str, str | None]:
        return {vote.entity: vote.label for vote in self.queue.votes(batch=batch.id)}

    def until(self, true: Callable[[], bool]) -> float:
        begun = time.monotonic()
        while not true():
            assert time.monotonic() - begun < _SOON_SECONDS, (self.of.home / "page.log").read_text()
            time.sleep(0.02)
        return time.monotonic() - begun

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health").is_success
        except httpx.HTTPError:
            return False


class _Prefect(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.events.extend(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def calling() -> Iterator[Server]:
    """A Label Studio that may call addresses of its own network."""
    with label_studio(SSRF_PROTECTION_ENABLED="false") as server:
        yield server


@pytest.fixture(scope="module")
def ann(calling: Server) -> Iterator[Rater]:
    rater = calling.sign_up("ann")
    yield rater
    rater.session.close()


@pytest.fixture
def page(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that Label Studio is to call; the test starts it."""
    url = request.getfixturevalue(getattr(request, "param", "calling")).url
    with ExitStack() as left, HTTPServer(("127.0.0.1", 0), _Prefect) as prefect:
        prefect.events = []  # type: ignore[attr-defined]
        threading.Thread(target=prefect.serve_forever, daemon=True).start()
        left.callback(prefect.shutdown)
        given = {"label_studio_url": url, "label_studio_token": TOKEN, "labels_port": free_port()}
        of = left.enter_context(
            using_settings(
                home=tmp_path, prefect_url=f"http://127.0.0.1:{prefect.server_port}",
                label_studio_webhook=True, label_studio_poll_seconds=3600, **given,
            )
        )  # fmt: skip
        database = Database(of.database_url)
        left.callback(database.close)
        page = Page(of=of, queue=LabelQueue(database), events=prefect.events)  # type: ignore[attr-defined]
        yield page
        if page.process is not None:
            page.process.terminate()
            page.process.wait(30)


def _push(page: Page, name: str, count: int = 3) -> Batch:
    return LabelStudio(page.queue).push(
        requested(page.queue, asked(name, overlap=1), items(count)).id
    )


def _hooks(server: Server, batch: Batch) -> list[dict[str, Any]]:
    found = server.admin.get("/api/webhooks/", params={"project": project(batch)})
    return list(found.raise_for_status().json())


def _answer(rater: Rater, batch: Batch, chosen: str) -> str:
    """Answer the next item, and return which it was."""
    task = rater.next(project(batch))
    assert task is not None
    rater.annotate(task["id"], choice(chosen))
    return f"e{task['data']['text'][-1]}"


def test_an_answer_is_a_vote_at_once_and_the_last_one_is_told(
    page: Page, calling: Server, ann: Rater
) -> None:
    page.start()
    batch = _push(page, "at_once")
    _push(page, "at_once")

    first = _answer(ann, batch, "spam")
    waited = page.until(lambda: page.votes(batch) == {first: "spam"})
    ann.change(ann.last, choice("ham"))
    page.until(lambda: page.votes(batch) == {first: "ham"})
    ann.remove(ann.last)
    page.until(lambda: page.votes(batch) == {})
    answer_all(ann, project(batch), lambda _: choice("spam"))
    page.until(lambda: page.queue.batch(batch.id).status == "complete")
    page.until(lambda: bool(page.events))

    [hook] = _hooks(calling, batch)
    assert hook["url"] == f"{page.url}/hooks/label-studio/{batch.id}"
    assert (hook["send_payload"], sorted(hook["headers"])) == (False, [HEADER])
    assert waited < _SOON_SECONDS
    assert [(e["event"], e["payload"]["batch"]) for e in page.events] == [
        ("headrace.labels.completed", batch.id)
    ]


def test_calls_that_are_forged_repeated_or_garbage_change_no_vote(
    page: Page, calling: Server, ann: Rater
) -> None:
    page.start()
    batch = _push(page, "forged")
    [hook] = _hooks(calling, batch)
    answered = _answer(ann, batch, "spam")
    page.until(lambda: page.votes(batch) == {answered: "spam"})
    forged = {"annotation": {"completed_by": 1, "result": choice("ham")}, "action": "x"}

    with httpx.Client(timeout=30) as client:
        bodies = [json.dumps(forged).encode(), b"\xff\x00", b"", b"[" * 50_000] * 50
        right = [
            client.post(hook["url"], content=body, headers=hook["headers"]).status_code
            for body in bodies
        ]
        wrong = client.post(hook["url"], json=forged, headers={HEADER: "guessed"})
    time.sleep(2)

    assert right == [202] * 200
    assert wrong.status_code == 403
    assert page.votes(batch) == {answered: "spam"}
    assert page.queue.batch(batch.id).votes == 1


def test_a_secret_that_does_not_fit_is_told_anew_and_what_came_meanwhile_is_fetched(
    page: Page, calling: Server, ann: Rater
) -> None:
    page.start()
    batch = _push(page, "secret")
    [hook] = _hooks(calling, batch)
    body = {"headers": {HEADER: "another"}}
    calling.admin.patch(f"/api/webhooks/{hook['id']}/", json=body).raise_for_status()

    first = _answer(ann, batch, "spam")
    time.sleep(2)
    unheard = page.votes(batch)
    LabelStudio(page.queue).sync(batch.id, everything=True)
    fetched = page.votes(batch)
    second = _answer(ann, batch, "ham")
    page.until(lambda: len(page.votes(batch)) == 2)

    assert (unheard, fetched) == ({}, {first: "spam"})
    assert page.votes(batch) == {first: "spam", second: "ham"}
    assert len(_hooks(calling, batch)) == 1


def test_what_was_answered_while_the_page_was_down_or_killed_is_fetched_when_it_is_back(
    page: Page, ann: Rater
) -> None:
    batch = _push(page, "down")
    first = _answer(ann, batch, "spam")
    page.start()
    page.until(lambda: page.votes(batch) == {first: "spam"})
    with (settings().run_folder / f"labelstudio-{batch.id}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # it hears of the answer, and cannot fetch it yet
        second = _answer(ann, batch, "ham")
        time.sleep(1)
        page.kill()

    killed = page.votes(batch)
    page.start()
    page.until(lambda: len(page.votes(batch)) == 2)

    assert killed == {first: "spam"}
    assert page.votes(batch) == {first: "spam", second: "ham"}


def test_another_address_is_told_and_who_is_not_to_call_is_told_so(
    page: Page, calling: Server
) -> None:
    batch = _push(page, "elsewhere")
    [before] = _hooks(calling, batch)

    with using_settings(labels_url="http://127.0.0.1:8999/head"):
        LabelStudio(page.queue).sync(batch.id)
        [moved] = _hooks(calling, batch)
    with using_settings(label_studio_webhook=False):
        LabelStudio(page.queue).sync(batch.id)
        off = _hooks(calling, batch)
    LabelStudio(page.queue).sync(batch.id)
    [on] = _hooks(calling, batch)
    page.queue.close(batch.id, why="enough")
    LabelStudio(page.queue).sync(batch.id)

    assert moved["id"] == before["id"]
    assert moved["url"] == f"http://127.0.0.1:8999/head/hooks/label-studio/{batch.id}"
    assert moved["headers"] != before["headers"]
    assert off == []
    assert on["url"] == before["url"]
    assert _hooks(calling, batch) == []
    assert hook_of(page.queue.batch(batch.id)) is None


@pytest.mark.parametrize("page", ["server"], indirect=True)
def test_where_label_studio_may_not_call_it_is_told_what_to_do_and_votes_are_fetched(
    page: Page, server: Server, ada: Rater
) -> None:
    batch = _push(page, "protected", 1)
    answered = _answer(ada, batch, "spam")

    said = CliRunner().invoke(app, ["label", "sync", batch.id], catch_exceptions=False).stdout

    called = f"{page.url}/hooks/label-studio/{batch.id}"
    assert said.splitlines()[1:] == [
        "New: 1; changed: 0; taken back: 0.",
        f"Answers are fetched without being told of: Label Studio refuses to call {called} (403: "
        "URL resolves to a reserved network address (block: 127.0.0.0/8)). Put an address outside "
        "reserved networks into HEADRACE_LABELS_URL, or start Label Studio with "
        "SSRF_PROTECTION_ENABLED=false, which lets whoever has an account there make it ask any "
        "address of its network.",
    ]
    assert page.votes(batch) == {answered: "spam"}
    assert _hooks(server, batch) == []
