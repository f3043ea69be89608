"""A labeling page on a free port over a queue of its own, asked as a browser asks."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from headrace.labels.items import Batch, NewItem
from headrace.labels.queue import LabelQueue
from headrace.labels.raters import Raters
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.lineage.database import Database
from headrace.settings import Settings, using_settings
from serving.labeling.app import labeling_app

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
NEWS = LabelTask(
    name="news",
    title="Topic of the news",
    labels=LabelSchema(
        choices=("business", "politics", "sport"),
        guideline="What is it mostly about?\n\n- money: business\n- a match: sport",
    ),
    entity="document",
    show=("title", "text"),
    overlap=2,
    gold_share=0.0,
    hide_suggestions=0.0,
)


def items(count: int, **more: Any) -> list[NewItem]:
    return [
        NewItem(
            entity=f"entity-{n}",
            as_of=AS_OF,
            shown={"title": f"Title {n}", "text": f"Text {n} of the news"},
            **more,
        )
        for n in range(count)
    ]


@dataclass
class Browser:
    """One rater's browser: it keeps cookies, and says where its requests come from."""

    client: httpx.Client
    csrf: str = ""

    @property
    def origin(self) -> dict[str, str]:
        return {"origin": str(self.client.base_url).rstrip("/")}

    def sign_in(self, token: str, *, takes_over: bool = False, wanted: str = "/") -> httpx.Response:
        form = self.client.get("/sign-in", params={"next": wanted}).text
        fields = dict(re.findall(r'name="(form|next)" value="([^"]*)"', form))
        fields |= {"token": token} | ({"takes_over": "on"} if takes_over else {})
        answer = self.client.post("/sign-in", data=fields, headers=self.origin)
        if answer.status_code == 303:
            self.csrf = self.client.get("/api/session").json()["csrf"]
        return answer

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        told = {"x-csrf-token": self.csrf} | self.origin | headers
        return self.client.post(path, json=body, headers=told)

    def claim(self, task: str = "news", **body: Any) -> Any:
        return self.post(f"/api/tasks/{task}/next", body).json()["claim"]

    def vote(self, answer: Any, *, request: str, task: str = "news") -> httpx.Response:
        lease = self.claim(task)["lease"]
        body = {"lease": lease, "answer": answer, "ms": 900, "request": request}
        return self.post("/api/votes", body)


@dataclass
class Labeling:
    """A queue, its raters, and the page."""

    of: Settings
    queue: LabelQueue
    raters: Raters
    url: str

    def ask_for(self, task: LabelTask, asked: list[NewItem], **more: Any) -> Batch:
        key = sha256(repr((task.name, task.labels.version, asked)).encode()).hexdigest()
        return self.queue.request(task, asked, key=key, actor="test", **more)

    def browser(self, address: str = "127.0.0.1") -> Browser:
        transport = httpx.HTTPTransport(local_address=address)
        return Browser(httpx.Client(base_url=self.url, transport=transport, timeout=30))

    def rater(self, name: str, *, adjudicates: bool = False) -> Browser:
        browser = self.browser()
        answer = browser.sign_in(self.raters.add(name, adjudicates=adjudicates))
        assert answer.status_code == 303, answer.text
        return browser


@contextmanager
def running(app: Any) -> Iterator[str]:
    """Serve an application in a thread; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without anything in it: its migrations are run once."""
    path = tmp_path_factory.mktemp("empty") / "headrace.db"
    Database(path).close()
    return path


class Served:
    """The application of whichever test runs: one server for all of them."""

    def __init__(self) -> None:
        self.app: Any = None
        self.url = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    served = Served()
    with running(served) as served.url:
        yield served


@pytest.fixture
def labeling(tmp_path: Path, empty_database: Path, served: Served) -> Iterator[Labeling]:
    with using_settings(home=tmp_path) as of:
        shutil.copy(empty_database, tmp_path / "headrace.db")
        database = Database(of.database_url)
        queue, raters = LabelQueue(database), Raters(database)
        served.app = labeling_app(of, queue=queue, raters=raters)
        yield Labeling(of, queue, raters, served.url)
        database.close()


@pytest.fixture
def rater(labeling: Labeling) -> Callable[..., Browser]:
    return labeling.rater
