"""Real flights through a real lane: deployed, replayed, judged, promoted, rolled back.

One story in one home, told once; each test looks at a part of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.airport_weather import airport_weather
from features.carrier_history import carrier_history
from features.nycflights13 import FlightRecord
from features.tail_history import tail_history
from flows import _services
from flows._services import processes
from headrace import Labels, Model, Report, Table
from headrace.decisions import Tail, open_view
from headrace.errors import ServiceError
from headrace.recording import Invocation, invoking
from headrace.settings import Settings, settings
from operators import nycflights13 as nyc
from operators.build import build
from operators.compute_features import compute_features
from operators.label_by_outcome import label_by_outcome
from operators.split import split_by_time
from operators.train_xgboost import train_xgboost
from serving import _replay_run
from serving.bundles import folder_of
from serving.client import Client
from serving.deploy import deploy
from serving.endpoints import Endpoints, Lane
from serving.hosted import decisions_folder, is_up
from serving.promote import promote
from serving.register import register_challenger
from serving.registry import Registry
from serving.replay import replay
from serving.rollout.assess import replay as judge_again
from serving.rule import Rule

ZONE = "America/New_York"
ENDPOINT = "late_flights"
VIEWS = [airport_weather, tail_history, carrier_history]
# by ranks: losses follow how many flights are late, and days of storms resemble each other
RULE = Rule(
    name="late flights", metric="auc", label_window_hours=36.0, timezone=ZONE,
    min_decisions=100,
)  # fmt: skip
FIRST, SIXTH = date(2013, 10, 1), date(2013, 10, 6)
AGAIN, LAST = date(2013, 11, 1), date(2013, 12, 20)


@dataclass(frozen=True, kw_only=True)
class World:
    """These are the flights of two carriers, what is known of them, and models that learned it."""

    flights: Table[Any]
    labels: Labels[Any]
    rows: list[Table[Any]]
    joined: pd.DataFrame
    wrong: Model
    right: Model
    other: Model


@pytest.fixture(scope="module")
def world() -> World:
    """Make it with the operators of the golden flow."""
    records = nyc.read_flights().arrow()
    two = records.filter(pc.is_in(records["carrier"], pa.array(["VX", "F9"])))
    flights = nyc.time_flights(Table[FlightRecord].of(two), nyc.read_airports())
    landed, weather = nyc.landings(flights), nyc.time_weather(nyc.read_weather())
    rows = [
        compute_features(source, view=view)
        for view, source in zip(VIEWS, (weather, landed, landed), strict=True)
    ]
    labels, _ = label_by_outcome(flights, outcome="arrival_delay", above=15.0, window_hours=36.0)
    joined = build(labels, rows)
    train, validation, _, _ = split_by_time(
        joined, validation_from=date(2013, 8, 1), test_from=date(2013, 9, 1), until=FIRST
    )
    return World(
        flights=flights,
        labels=labels,
        rows=rows,
        joined=joined.frame(),
        wrong=train_xgboost(_opposite(train), _opposite(validation), n_estimators=10),
        right=train_xgboost(train, validation, n_estimators=20),
        other=train_xgboost(train, validation, n_estimators=5),
    )


def _opposite(examples: Any) -> Any:
    """The same examples, late for punctual: what is learned from them is wrong, and clearly."""
    frame = examples.frame()
    return type(examples).of(frame.assign(label=1 - frame["label"]), schema=examples.schema)


@dataclass(frozen=True, kw_only=True)
class Story:
    """This is what happened at the endpoint, in this order."""

    deployed: Report
    deployed_again: Report
    interrupted: str
    decided_by_then: int
    replayed_some: Report
    held: Report
    held_again: Report
    judgements: int
    replayed: Report
    replayed_again: Report
    promoted: Report
    judged_again: Report
    deployed_after: Report
    failing: Report
    replayed_failing: Report
    rolled_back: Report
    models: dict[str, str]


@pytest.fixture(scope="module")
def story(world: World, serving: Settings, fail_beyond: Any) -> Story:
    """Tell it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow warns of itself while it is imported
        import mlflow.pyfunc  # noqa: F401
    wrong, right, other = (
        register_challenger(model, name=ENDPOINT)
        for model in (world.wrong, world.right, world.other)
    )
    fail_beyond(folder_of(f"{ENDPOINT}/{other.document['version']}"), miles=2000.0)

    def served(champion: Report, *challengers: Report) -> Report:
        return deploy(
            champion, list(challengers), endpoint=ENDPOINT, views=VIEWS, rule=RULE,
            clock="replayed", space="replay", may_lack=["tail_history"],
        )  # fmt: skip

    def replayed(deployed: Report, since: date, until: date) -> Report:
        return replay(
            world.flights, world.labels, world.rows, deployed, endpoint=ENDPOINT, views=VIEWS,
            since=since, until=until, timezone=ZONE,
        )  # fmt: skip

    told: dict[str, Any] = {}
    told["deployed"] = first = served(wrong, right)
    told["deployed_again"] = served(wrong, right)
    told["interrupted"] = _interrupted(lambda: replayed(first, AGAIN, LAST))
    told["decided_by_then"] = len(decisions())
    told["replayed_some"] = replayed(first, FIRST, SIXTH)
    told["held"] = promote(told["replayed_some"], endpoint=ENDPOINT)
    told["held_again"] = promote(told["replayed_some"], endpoint=ENDPOINT)
    experiment = str(told["held"].document["experiment"])
    told["judgements"] = len(Endpoints().judgements(ENDPOINT, experiment))
    told["replayed"] = replayed(first, AGAIN, LAST)
    told["replayed_again"] = replayed(first, AGAIN, LAST)
    told["promoted"] = promote(told["replayed"], endpoint=ENDPOINT)
    told["judged_again"] = promote(told["replayed"], endpoint=ENDPOINT)
    told["deployed_after"] = served(wrong, right)
    told["failing"] = served(other)
    told["replayed_failing"] = replayed(told["failing"], AGAIN, LAST)
    told["rolled_back"] = promote(told["replayed_failing"], endpoint=ENDPOINT)
    return Story(
        **told,
        models={
            name: f"{ENDPOINT}/{report.document['version']}"
            for name, report in (("wrong", wrong), ("right", right), ("other", other))
        },
    )


class _Interrupted(Exception):
    """This ends a replay as Ctrl-C does."""


def _interrupted(run: Any) -> str:
    """Run until a hundred decisions were made, and return the last word on how far it was."""
    heard: list[str] = []

    def listen(word: str) -> None:
        heard.append(word)
        if "decisions" in word and int(word.split(maxsplit=1)[0].replace(",", "")) >= 100:
            raise _Interrupted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_replay_run, "_SECONDS_BETWEEN_WORDS", 0.0)
        with (
            invoking(Invocation(run_id="r", node="replay", flow="f", tell=listen)),
            pytest.raises(_Interrupted),
        ):
            run()
    return heard[-1]


def decisions(mark: str = "") -> list[dict[str, Any]]:
    """All decisions of the endpoint, or those of one replay."""
    folder = decisions_folder(settings(), ENDPOINT)
    with open_view(folder) as connection:
        rows = connection.execute(
            "SELECT id, model, decided_at, features, texts, entity, missing, experiment, "
            "epoch_us(decided_at) AS at_us FROM decisions WHERE starts_with(id, $mark) "
            "ORDER BY decided_at, id", {"mark": mark},
        )  # fmt: skip
        names = [column[0] for column in rows.description]
        return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def logged() -> list[dict[str, Any]]:
    """All decisions in the log, as often as they stand there."""
    tail = Tail.open(decisions_folder(settings(), ENDPOINT))
    found = [document for _, document in tail.poll(100_000)]
    tail.close()
    return found


def of(report: Report) -> dict[str, Any]:
    return dict(report.document)


def test_the_first_champion_answers_and_the_proposed_challenger_is_in_its_shadow(story):
    deployed = of(story.deployed)

    url = deployed.pop("url")
    assert deployed == {
        "passed": True,
        "changed": True,
        "endpoint": ENDPOINT,
        "generation": 1,
        "proposed": [story.models["wrong"], story.models["right"]],
        "champion": story.models["wrong"],
        "challenger": story.models["right"],
        "experiment": deployed["experiment"],
        "challengers": [story.models["right"]],
        "shares": {},
        "told": f"Endpoint '{ENDPOINT}' answers at {url} with {story.models['wrong']}; "
        f"{story.models['right']} is in its shadow.",
    }


def test_deploying_again_changes_nothing(story):
    assert of(story.deployed_again) == of(story.deployed) | {"changed": False}


def test_a_replay_asks_for_every_flight_of_the_period_and_tells_every_outcome(story, world):
    report = of(story.replayed)

    flights = world.flights.frame()
    begin, end = (pd.Timestamp(day, tz=ZONE) for day in (AGAIN, LAST))
    asked = flights[(flights["decided_at"] >= begin) & (flights["decided_at"] < end)]
    labelled = world.joined["flight_id"].isin(asked["flight_id"]).sum()
    assert 300 < len(asked) == report["decisions"]
    assert report["outcomes"] == labelled
    assert report["changed"] is True
    made = {each["id"] for each in decisions(report["mark"])}
    assert made == {f"{report['mark']}:{flight}" for flight in asked["flight_id"]}


def test_what_a_decision_saw_is_what_the_offline_join_gives_for_it(story, world):
    made = decisions(of(story.replayed)["mark"])
    offline = world.joined.set_index("flight_id")

    differ, compared = [], 0
    for each in made:
        flight = each["id"].partition(":")[2]
        if flight not in offline.index:
            continue  # without an outcome there is no example to compare with
        expected = offline.loc[flight]
        seen = {**each["features"], **each["texts"]}
        compared += 1
        for name in world.right.card.feature_names:
            given, wanted = seen.get(name), expected[name]
            same = given is None if pd.isna(wanted) else given == wanted
            if not same:
                differ.append((flight, name, given, wanted))

    assert compared > 300
    assert differ == []
    assert len(world.right.card.feature_names) > 15


def test_a_replay_that_was_interrupted_goes_on_and_no_decision_is_made_twice(story):
    report = of(story.replayed)

    assert " decisions, at 2013-11-" in story.interrupted
    assert 100 <= story.decided_by_then < report["decisions"]
    assert report["repeated"] == story.decided_by_then
    ids = [document["id"] for document in logged()]
    assert len(ids) == len(set(ids))


def test_a_replay_that_was_done_changes_nothing(story):
    first, again = of(story.replayed), of(story.replayed_again)

    told = first["told"] + " It was done before; nothing was asked again."
    assert again == first | {"changed": False, "told": told}


def test_too_few_days_are_held(story):
    held = of(story.held)

    assert (held["action"], held["changed"]) == ("hold", False)
    assert held["champion"] == story.models["wrong"]
    assert "5 days" in held["why"] or "5 of" in held["why"] or "20" in held["why"]


def test_what_was_held_and_of_which_nothing_was_logged_since_is_told_again(story):
    assert of(story.held_again) == of(story.held)
    assert story.judgements == 1


def test_the_clearly_better_challenger_is_promoted_and_the_verdict_can_be_judged_again(story):
    promoted = of(story.promoted)

    assert (promoted["action"], promoted["changed"]) == ("promote", True), promoted["why"]
    assert promoted["champion"] == story.models["right"]
    assert promoted["challenger"] is None
    again = judge_again(promoted["trace"])
    assert (again.action, again.prose()) == ("promote", promoted["why"])
    [change] = [c for c in Endpoints().history(ENDPOINT) if c.action == "promote"]
    assert change.trace == promoted["trace"]


def test_what_was_decided_is_not_decided_again(story):
    again = of(story.judged_again)

    assert (again["action"], again["changed"]) == ("promote", False)
    assert again["why"] == of(story.promoted)["why"]
    assert again["told"].startswith("Decided before")


def test_running_the_flow_again_does_not_undo_a_promotion(story):
    after = of(story.deployed_after)

    assert (after["changed"], after["champion"]) == (False, story.models["right"])
    assert after["challenger"] is None


def test_a_champion_that_is_proposed_later_has_to_challenge_the_present_one(story):
    failing = of(story.failing)

    assert (failing["champion"], failing["challenger"]) == (
        story.models["right"],
        story.models["other"],
    )


def test_a_challenger_that_fails_is_withdrawn_and_no_answer_was_touched(story):
    report, withdrawn = of(story.replayed_failing), of(story.rolled_back)

    assert (withdrawn["action"], withdrawn["changed"]) == ("rollback", True)
    assert (withdrawn["champion"], withdrawn["challenger"]) == (story.models["right"], None)
    made = decisions(report["mark"])
    assert len(made) == report["decisions"]
    assert {each["model"] for each in made} == {story.models["right"]}


def test_the_registry_says_what_the_versions_are_for(story):
    versions = {v.version: sorted(v.aliases) for v in Registry().versions(ENDPOINT)}

    names = {name: ref.rpartition("/")[2] for name, ref in story.models.items()}
    assert versions[names["right"]] == ["champion"]
    assert versions[names["wrong"]] == ["previous"]
    assert versions[names["other"]] == []


# --- the life of the lane; the last test is the last, since it ends the host ---


@pytest.fixture
def asked(world: World, story: Story) -> dict[str, Any]:
    """What to ask about a flight after all that was replayed."""
    flight = world.joined[world.joined["carrier"] == "VX"].iloc[-1]
    flights = world.flights.frame().set_index("flight_id")
    own = [f.name for f in world.right.card.features if f.source is None]
    known = flights.loc[flight["flight_id"]]
    return {
        "entity": {key: known[key] for key in ("origin", "tail", "carrier")},
        "features": {name: _plain(flight[name]) for name in own},
        "at": "2013-12-28T12:00:00Z",
    }


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def lane() -> Lane:
    found = Endpoints().lane(ENDPOINT)
    assert found is not None
    return found


def test_a_killed_replica_is_replaced_its_clients_go_on_and_every_answer_is_in_the_log(asked):
    before = lane()
    answers: dict[str, float] = {}
    ended = threading.Event()

    def ask(thread: int) -> None:
        number = 0
        with Client(ENDPOINT, patience_seconds=60) as client:
            while not ended.is_set():
                decision = client.decide(id=f"kill:{thread}/{number}", **asked)
                answers[decision.id] = decision.value
                number += 1

    with ThreadPoolExecutor(16) as pool:
        asking = [pool.submit(ask, thread) for thread in range(16)]
        _wait_until(lambda: len(answers) > 300)
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        _wait_until(lambda: lane().pid != before.pid)
        answered = len(answers)
        _wait_until(lambda: len(answers) > answered + 300)
        ended.set()
        for each in asking:
            each.result()

    after = lane()
    assert (after.state, after.generation) == ("serving", before.generation)
    with Client(ENDPOINT, url=after.url) as client:  # the address of the database is the lane's
        assert client.about()["model"] == client.decide(id="kill:0/0", **asked).model
    ids = [each["id"] for each in logged() if each["id"].startswith("kill:")]
    scores = {each["id"]: each["score"] for each in logged()}
    assert len(ids) == len(set(ids)) == len(answers)
    assert {name: scores[name] for name in answers} == answers


def test_down_ends_ray_and_nothing_else_and_up_brings_the_endpoints_back(
    asked, story, world, serving: Settings, monkeypatch: pytest.MonkeyPatch
):
    with Client(ENDPOINT) as client:
        first = client.decide(id="before down", **asked)
    daemons = processes.recorded(serving)
    of_ray = processes._session(daemons["serving"].pid)
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)

    stopped = _services.down(only=("serving",))

    left = [process for process in of_ray if processes._is_alive(process)]
    others = {each.name: each.state for each in _services.status()}
    assert (stopped, left, bystander.poll()) == (("serving",), [], None)
    assert len(of_ray) > 6  # the host, what Ray is made of, and the replicas
    assert (others["mlflow"], others["serving"]) == ("ready", "stopped")
    bystander.kill()
    bystander.wait()
    assert (is_up(), lane().state) == (False, "stopped")
    with pytest.raises(ServiceError) as refused:
        deploy(_registered(story, "right"), [], endpoint=ENDPOINT, views=VIEWS)
    assert str(refused.value) == (
        "Ray Serve is not up, so no endpoint can be served.\n"
        "  Fix: Start it with `headrace up`, then run the flow again."
    )

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # somebody else's cluster is no matter
    _services.up(only=("serving",))

    assert (is_up(), lane().state) == (True, "serving")
    with Client(ENDPOINT) as client:
        assert client.decide(id="before down", **asked) == replace(first, repeated=True)
        new = client.decide(id="after up", **asked)
    assert (new.model, new.value) == (first.model, first.value)


def _registered(story: Story, model: str) -> Report:
    name, _, version = story.models[model].rpartition("/")
    return Report.of({"name": name, "version": version})


def _wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
