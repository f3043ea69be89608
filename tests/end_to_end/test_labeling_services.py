"""`examples/messages` with every server, as a team plays it: raters answer over HTTP, a person
approves each round in Prefect, events do the rest, and servers are killed in the middle of it.
At last the same people are asked for a number, and for several choices.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from flows import _services
from flows._backup import backup, restore
from flows._services import ports
from flows.labeling import SimulatedEstimator, SimulatedRater, SimulatedTagger
from headrace import Labels, load
from headrace.execution import Session
from headrace.labels.items import Batch
from headrace.labels.queue import LabelQueue
from headrace.labels.raters import Raters
from headrace.settings import Settings, settings, using_settings

pytestmark = [pytest.mark.server, pytest.mark.lengthy]

T = TypeVar("T")
_EXAMPLE = Path(__file__).parents[2] / "examples" / "messages"
_PATIENCE_SECONDS = 240.0
_SERVICES = ("prefect", "mlflow", "runner", "labels")
_MS = 4000
# a round is 80 answers of 4 s: the second one fits into twelve minutes, a third one would not
_DECLARED = {"target=0.9": "approve=True", "hours=2.0": "hours=0.2"}
_TOPIC, _WORDS, _MANNERS = "message_topic", "message_words", "message_manners"
_OTHER_KINDS = '''"""These loops ask how long a message is, and whether it greets and thanks."""

from flows.labeling import LabelLoop
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from messages.labels.message_topic import unread


def _loop(name, **labels):
    schema = LabelSchema(**labels)
    task = LabelTask(name=name, labels=schema, entity="message", show=("text",), overlap=2)
    return LabelLoop(task=task, pool=unread, batch=20, random_share=0.5, train_from=8)


WORDS = _loop("message_words", kind="number", low=0, high=100, unit="words", tolerance=2.0)
MANNERS = _loop("message_manners", kind="multi", choices=("greets", "thanks"))
'''


class Team:
    """These are raters at the page, and who runs it, with the servers that they need."""

    def __init__(self, of: Settings) -> None:
        self.of = of
        self.queue = LabelQueue()
        self.acknowledged: list[tuple[str, str]] = []
        self._prefect = httpx.Client(base_url=of.prefect_api_url, timeout=60, trust_env=False)
        self._raters: dict[str, tuple[httpx.Client, Callable[[Any], Any]]] = {}

    def sign_in(self, name: str, rater: Callable[[Any], Any]) -> None:
        """Let a rater sign in at the page with a token of their own."""
        page = f"http://127.0.0.1:{self.of.labels_port}"
        client = httpx.Client(base_url=page, headers={"Origin": page}, timeout=60, trust_env=False)
        form = re.search(r'name="form" value="([^"]+)"', client.get("/sign-in").text)
        assert form is not None
        given = {"form": form[1], "token": Raters().add(name), "next": "/"}
        assert client.post("/sign-in", data=given).status_code == 303
        client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
        self._raters[name] = (client, rater)

    def think(self, name: str, rater: Callable[[Any], Any]) -> None:
        """Let a rater answer something else from now on."""
        self._raters[name] = (self._raters[name][0], rater)

    def answer(self, task: str = _TOPIC, *, leave: int = 0) -> None:
        """Let raters answer in turn until only so many answers are left."""
        at_work = dict(self._raters)
        while at_work:
            for name, (client, rater) in list(at_work.items()):
                told = client.get(f"/api/tasks/{task}/progress").json()
                if told["wanted"] - told["votes"] <= leave:
                    return
                claim = client.post(f"/api/tasks/{task}/next", json={}).json()["claim"]
                if claim is None:
                    del at_work[name]
                    continue
                shown = {field["name"]: field["text"] for field in claim["fields"]}
                vote = {"lease": claim["lease"], "answer": rater(shown), "ms": _MS}
                vote["request"] = uuid.uuid4().hex
                client.post("/api/votes", json=vote).raise_for_status()
                again = client.post("/api/votes", json=vote)  # as a tab does that heard nothing
                assert again.status_code == 200
                self.acknowledged.append((name, vote["request"]))

    def launch_round(self, loop: str = _TOPIC) -> str:
        """Press "Run" for a round in Prefect, and return the flow run."""
        deployment = self._prefect.get("/deployments/name/label_round/default").json()["id"]
        wanted = {"parameters": {"parameters": {"loop": loop}}}
        made = self._prefect.post(f"/deployments/{deployment}/create_flow_run", json=wanted)
        return str(made.raise_for_status().json()["id"])

    def suspended(self, number: int) -> tuple[str, str]:
        """Wait until a round asks to be approved; return the flow run and the question."""

        def asks() -> tuple[str, str] | None:
            body = {"flow_runs": {"state": {"name": {"any_": ["Suspended"]}}}}
            for run in self._prefect.post("/flow_runs/filter", json=body).json():
                key = run["state"]["state_details"]["run_input_keyset"]["description"]
                question = self._prefect.get(f"/flow_runs/{run['id']}/input/{key}").json()
                if f"round {number}?" in question:
                    return run["id"], question
            return None

        return self.until(asks, f"round {number} asks to be approved")

    def approve(self, flow_run: str) -> None:
        """Fill in the form of a suspended run as Prefect's UI sends it."""
        given = {"decision": "approve", "approved_by": "lead", "note": "go on"}
        told = self._prefect.post(f"/flow_runs/{flow_run}/resume", json={"run_input": given})
        assert told.json()["status"] == "ACCEPT", told.text

    def open_batch(self, number: int, task: str = _TOPIC) -> Batch:
        """Wait until the batch of a round is asked for."""

        def found() -> Batch | None:
            going = self.queue.batches(task, status="open")
            return next((batch for batch in going if batch.number == number), None)

        return self.until(found, f"batch {number} of '{task}' is asked for")

    def collected(self, batch: str, runs: int = 1) -> str:
        """Wait until so many runs have collected a batch, and return the newest."""

        def done() -> str | None:
            of_batch = [
                run.id
                for run in Session.of_settings().lineage.runs(limit=100, flow="label_collect")
                if run.parameters["batch"] == batch and run.state == "completed"
            ]
            return of_batch[0] if len(of_batch) >= runs else None

        return self.until(done, f"batch {batch} is collected {runs} times")

    def announce(self, batch: str) -> None:
        """Tell Prefect again that a batch is complete."""
        said = {
            "id": str(uuid.uuid4()),
            "occurred": "2030-01-01T00:00:00+00:00",
            "event": "headrace.labels.completed",
            "resource": {"prefect.resource.id": "headrace.label_task.message_topic"},
            "payload": {"task": "message_topic", "batch": batch},
        }
        self._prefect.post("/events", json=[said]).raise_for_status()

    def kill(self, name: str) -> None:
        """Kill a server as a power cut does."""
        pid = self._pid_of(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: self._pid_of(name) is None or None, f"{name} is dead")

    def _pid_of(self, name: str) -> int | None:
        return next(each.pid for each in _services.status(of=self.of) if each.name == name)

    def until(self, found: Callable[[], T | None], what: str) -> T:
        """Return what is found in the end."""
        ends = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < ends:
            if (value := found()) is not None:
                return value
            time.sleep(0.5)
        runs = [(r.flow, r.state, r.message) for r in Session.of_settings().lineage.runs()]
        pytest.fail(f"It was waited in vain that {what}; the runs were {runs}.")


@dataclass(frozen=True, kw_only=True)
class Played:
    """This is what came of it; the servers are still up."""

    team: Team
    before_approval: list[Batch]
    question: str
    first: Batch
    second: Batch
    collected: str
    again: str
    archive: Path


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Play two rounds: the page is killed in the first one, Prefect and runner at its end."""
    folder = tmp_path_factory.mktemp("messages")
    root = shutil.copytree(_EXAMPLE / "messages", folder / "messages")
    declared = root / "labels" / "message_topic.py"
    text = declared.read_text(encoding="utf-8")
    for old, new in _DECLARED.items():
        assert old in text
        text = text.replace(old, new)
    declared.write_text(text, encoding="utf-8")
    (root / "labels" / "other_kinds.py").write_text(_OTHER_KINDS, encoding="utf-8")
    sys.path.insert(0, str(folder))
    try:
        with using_settings(home=folder / "home", roots=[root], **_free_ports()) as of:
            _services.apply_client_environment(of)
            try:
                _services.up(only=_SERVICES, of=of)
                yield _play(Team(of), folder / "home.tar")
            finally:
                _services.down(of=of)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == "messages"]:
            del sys.modules[name]


def test_nobody_is_asked_before_a_person_approves_what_it_takes(played: Played) -> None:
    assert played.before_approval == []
    assert played.question.startswith(
        "Ask people to label 'What is it about?', round 2?\n\n"
        "- at most 40 items; 80 answers in all\n"
        "- about 5 minutes, at 4.0 s an answer so far; 0.09 of 0.2 hours are spent\n"
    )


def test_every_acknowledged_vote_stands_once_whatever_was_killed(played: Played) -> None:
    votes = [v for b in (played.first, played.second) for v in played.team.queue.votes(batch=b.id)]

    assert len(votes) == len(played.team.acknowledged) == 160
    assert len({(vote.batch, vote.entity, vote.rater) for vote in votes}) == 160


def test_the_loop_goes_on_by_events_and_stops_when_the_hours_are_spent(played: Played) -> None:
    report = _decided(played.collected)

    assert [batch.status for batch in _batches(played)] == ["complete", "complete"]
    assert (report["decision"], report["reason"]) == ("stop", "budget")
    assert report["why"].startswith("640 s of people are spent and the next batch takes about 320")
    assert report["accuracy"]["low"] <= report["accuracy"]["value"] <= report["accuracy"]["high"]
    assert report["accuracy"]["value"] > 0.4  # a guess is right in a quarter
    assert report["gain"] is not None


def test_an_event_that_comes_twice_gives_the_same_labels_and_asks_nobody(played: Played) -> None:
    first, second = (
        load(f"run:{run}/round_2/aggregate_votes.labels")
        for run in (played.collected, played.again)
    )

    assert isinstance(first, Labels)
    assert first.digest == second.digest
    assert _decided(played.again)["reason"] == "budget"
    assert len(_batches(played)) == 2


def test_a_model_leads_back_to_the_votes_and_to_what_was_asked(played: Played) -> None:
    model = load(f"run:{played.collected}/round_2/train_labeler")
    graph = Session.of_settings().lineage.closure(model.digest, "up")

    made = [node.label.rsplit(".", 1)[-1] for node in graph.nodes]
    path = ["write_messages", "select_for_labeling", "request_labels", "collect_labels", "Votes"]
    path += ["aggregate_votes", "Labels", "train_labeler", "Model"]
    assert [made.index(each) for each in path] == sorted(made.index(each) for each in path)


def test_both_models_are_in_mlflow_with_their_accuracy(played: Played) -> None:
    import mlflow

    trained = mlflow.search_runs(
        search_all_experiments=True,
        filter_string="tags.`headrace.operator` = 'operators.train_labeler.train_labeler'",
        output_format="list",
    )

    nodes = {run.data.tags["headrace.node"]: run.data.metrics for run in trained}
    assert {"round_1/train_labeler", "round_2/train_labeler"} <= set(nodes)
    assert all(0 <= metrics["validation_accuracy"] <= 1 for metrics in nodes.values())


def test_a_backup_brings_votes_raters_and_labels_to_another_home(
    played: Played, tmp_path: Path
) -> None:
    home = tmp_path / "other"
    restore(played.archive, home)
    labels = load(f"run:{played.collected}/round_2/aggregate_votes.labels")

    with using_settings(home=home, roots=settings().roots):
        there = LabelQueue().votes(task=_TOPIC)
        same = load(f"run:{played.collected}/round_2/aggregate_votes.labels")
        names = [rater.name for rater in Raters().list()]

    assert there == played.team.queue.votes(task=_TOPIC)
    assert same.digest == labels.digest
    assert names == ["ada", "bob"]


@pytest.mark.parametrize(
    ("loop", "metric", "unit"), [(_WORDS, "mae", "words"), (_MANNERS, "jaccard", "")]
)
def test_a_loop_of_numbers_and_one_of_several_choices_go_round(
    played: Played, loop: str, metric: str, unit: str
) -> None:
    import mlflow

    team = played.team
    for seed, name in enumerate(("ada", "bob")):
        team.think(name, _estimator(seed) if loop == _WORDS else _tagger(seed))

    team.launch_round(loop)
    first = team.open_batch(1, loop)
    team.answer(loop)
    run = team.collected(first.id)
    second = team.open_batch(2, loop)  # nobody launched it

    report = _decided(run)
    (model,) = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.`headrace.run` = 'run:{run}' and "
        "tags.`headrace.operator` = 'operators.train_labeler.train_labeler'",
        output_format="list",
    )
    assert (report["decision"], report["metric"], report["unit"]) == ("next", metric, unit)
    assert report["score"]["low"] <= report["score"]["value"] <= report["score"]["high"]
    assert model.data.metrics[f"validation_{metric}"] == pytest.approx(report["score"]["value"])
    assert len(team.queue.votes(batch=first.id)) == 40
    assert any(item.suggested_by for item in team.queue.items(second.id))


def _play(team: Team, archive: Path) -> Played:
    from messages.operators.write_messages import TOPICS, topic_of  # type: ignore[import-not-found]

    flow_run = team.launch_round()
    assert team.suspended(1)[0] == flow_run
    before = team.queue.batches()
    team.approve(flow_run)
    first = team.open_batch(1)
    for seed, (name, right) in enumerate((("ada", 0.98), ("bob", 0.95))):
        rater = SimulatedRater(
            truth=lambda shown: topic_of(shown["text"]), choices=TOPICS, right=right, seed=seed
        )
        team.sign_in(name, rater)
    team.answer(leave=30)
    team.kill("labels")
    _services.up(only=("labels",), of=team.of)
    team.answer(leave=1)  # with the sessions that they had
    team.kill("runner")
    team.kill("prefect")
    team.answer()  # nobody hears that the batch is complete
    _services.up(only=_SERVICES, of=team.of)
    flow_run, question = team.suspended(2)
    team.approve(flow_run)
    second = team.open_batch(2)
    team.answer()
    collected = team.collected(second.id)
    team.announce(second.id)
    again = team.collected(second.id, runs=2)
    backup(archive, of=team.of)
    return Played(
        team=team,
        before_approval=before,
        question=question,
        first=first,
        second=second,
        collected=collected,
        again=again,
        archive=archive,
    )


def _estimator(seed: int) -> SimulatedEstimator:
    return SimulatedEstimator(
        truth=lambda shown: len(shown["text"].split()), noise=1.0, low=0, high=100, seed=seed
    )


def _tagger(seed: int) -> SimulatedTagger:
    said = {"greets": ("Hello", "Hi ", "Good", "Dear"), "thanks": ("Thank",)}
    return SimulatedTagger(
        truth=lambda shown: [how for how in said if any(w in shown["text"] for w in said[how])],
        choices=tuple(said),
        misses=0.05,
        seed=seed,
    )


def _batches(played: Played) -> list[Batch]:
    return played.team.queue.batches(_TOPIC)


def _decided(run: str) -> Any:
    report: Any = load(f"run:{run}/decide_round")
    return report.document


def _free_ports() -> dict[str, int]:
    """Return ports that the system gives to no outgoing connection while their server is dead."""
    at = random.SystemRandom().randrange(20_000, 30_000)
    found = {}
    for name in ("prefect_port", "mlflow_port", "labels_port"):
        found[name] = ports.next_free("127.0.0.1", at)
        at = found[name] + 1
    return found
