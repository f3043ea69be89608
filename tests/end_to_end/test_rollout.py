"""A model's whole way at a real endpoint: shadow, ramp, approval, promotion, watch; and a fall.

One story in one home, told once; each test looks at a part of it. Requests say when they are
decided, so two months pass in two minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import httpx
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from flows import _services
from flows._command import endpoint, rules
from flows.rollout import rollout
from flows.runtime import run_flow
from headrace import Col, Model, Report, Schema, TrainSet, ValidationSet
from headrace.decisions import open_view
from headrace.errors import HeadraceError
from headrace.settings import Settings, settings, using_settings
from operators.train_xgboost import train_xgboost
from serving.bundles import folder_of
from serving.client import Client, DecisionRefused, Outcome
from serving.deploy import deploy
from serving.endpoints import Endpoints
from serving.hosted import decisions_folder
from serving.register import register_challenger
from serving.registry import Registry
from serving.rollout.live_counts import counts_of
from serving.rollout.settling import TOLD_TAG, VERDICT_TAG
from serving.rule import Rule
from serving.rule_guardrails import Calibration, ErrorRate, Latency, SampleRatio, SliceGap
from serving.rule_stages import Approval, Ramp, Watch

pytestmark = pytest.mark.lengthy

NAME = "late_orders"
WEAK, STRONG, FRAGILE = (f"{NAME}/{number}" for number in (1, 2, 3))
A_DAY, AT_ONCE = 100, 25
FIRST = datetime(2013, 3, 1, tzinfo=UTC)
FAR = 2000.0  # no order is so far, and the fragile model fails there
RULE = Rule(
    name="late orders",
    metric="log_loss",
    label_window_hours=6,
    min_decisions=500,
    guardrails=[
        ErrorRate(max=0.02),
        Latency(max_ms=5000),
        Calibration(max=0.15, min_decisions=300),
        SliceGap(by="region", max_drop=0.3, min_decisions=200),
        SampleRatio(),
    ],
    ramp=Ramp(steps=(0.25, 0.5, 1.0), hold_hours=24, min_decisions=10, patience_ms=5000),
    approval=Approval(by=("ann", "bob")),
    watch=Watch(blocks=20),
)
HAIL = '''"""This flow notes who was promoted."""

from headrace import Report, When, flow, operator


@operator(effect=True)
def note(*, champion: str) -> Report:
    """Note who was promoted."""
    return Report.of({"passed": True, "champion": champion})


@flow(
    triggers=[
        When("headrace.model.promoted", parameters={"champion": "{{ event.payload.champion }}"})
    ]
)
def hail(*, champion: str = "") -> Report:
    """Note who was promoted."""
    return note(champion=champion)
'''


class Order(Schema, Protocol):
    order: Annotated[str, Col(role="entity")]
    ordered_at: Annotated[datetime, Col(role="decision_time")]
    known_at: Annotated[datetime, Col(role="known_time")]
    late: Annotated[int, Col(role="label")]
    pieces: Annotated[float, Col(role="feature", known_at="ordered_at")]
    distance: Annotated[float, Col(role="feature", unit="km", known_at="ordered_at")]
    region: Annotated[str, Col(role="feature", known_at="ordered_at")]


def _orders(luck: int, rows: int, start: datetime) -> pd.DataFrame:
    """Make orders of one day up: those from far away and the large ones are late more often."""
    random = np.random.default_rng(luck)
    pieces, distance = random.integers(1, 9, rows).astype(float), random.uniform(1, 300, rows)
    chance = 1 / (1 + np.exp(-(distance - 150) / 30 - (pieces - 4.5) / 2))
    late = (random.uniform(size=rows) < chance).astype(int)
    at = start + pd.to_timedelta(np.sort(random.uniform(0, 86_000, rows)).round(), "s")
    return pd.DataFrame(
        {
            "order": [f"{luck}-{n}" for n in range(rows)],
            "ordered_at": at,
            "known_at": at + pd.to_timedelta(np.where(late == 1, 5, 3), "h"),
            "late": late,
            "pieces": pieces,
            "distance": distance,
            "region": random.choice(["north", "south"], rows),
        }
    )


def _learned(**more: int) -> Model:
    before = FIRST - timedelta(days=30)
    train = TrainSet[Order].of(_orders(1, 1500, before))
    return train_xgboost(train, ValidationSet[Order].of(_orders(2, 500, before)), **more)


def _eventually(look: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


@dataclass
class Customers:
    """These are people who order, and whose orders arrive; a day passes when it is told to."""

    day: int = 0
    answered: dict[int, Counter[str]] = field(default_factory=dict)

    def days(self, number: int) -> int:
        """Let days pass, until they were scored in shadow too; return the last."""
        with Client(NAME) as client:
            for _ in range(number):
                self._one(client)

            def is_scored() -> bool:
                log = client.about()["log"]
                return bool(log["shadows"] >= log["decisions"])

            if Endpoints().route(NAME).rivals:
                _eventually(is_scored)
        return self.day

    def _one(self, client: Client) -> None:
        self.day += 1
        rows = _orders(1000 + self.day, A_DAY, FIRST + timedelta(days=self.day)).to_dict("records")
        asked = [
            {
                "id": row["order"],
                "at": row["ordered_at"],
                "entity": {"order": row["order"]},
                "features": {name: row[name] for name in ("pieces", "distance", "region")},
            }
            for row in rows
        ]
        who = self.answered[self.day] = Counter()
        for begin in range(0, A_DAY, AT_ONCE):
            for each in client.decide_many(asked[begin : begin + AT_ONCE]):
                assert not isinstance(each, DecisionRefused)
                who[each.model] += 1
        client.outcomes(
            Outcome(id=row["order"], value=float(row["late"]), known_at=row["known_at"])
            for row in rows
        )

    def order_far_away(self) -> float:
        """Order until the fragile model answers nobody any more; return the seconds it took."""
        began, number = time.monotonic(), 0
        at = FIRST + timedelta(days=self.day + 1)
        with Client(NAME, patience_seconds=0.1) as client:
            while time.monotonic() - began < 30:
                number += 1
                try:
                    decision = client.decide(
                        entity={"order": f"far-{number}"},
                        features={"pieces": 1.0, "distance": FAR, "region": "north"},
                        at=at + timedelta(seconds=number),
                    )
                except HeadraceError:  # 503, as the champion fails
                    time.sleep(0.02)
                    continue
                assert decision.model == STRONG
                return time.monotonic() - began
        raise AssertionError("the fragile model answers still")


def _headrace(app: Any, *words: str, actor: str = "ann") -> str:
    """Run a command as somebody, and return what it says."""
    with using_settings(actor=actor):
        done = CliRunner().invoke(app, words)
    if done.exception is not None and done.exit_code != 0:
        raise done.exception
    return done.stdout


def _refused(*words: str, actor: str) -> str:
    """Return why a command is refused to somebody."""
    with pytest.raises(HeadraceError) as caught:
        _headrace(endpoint.app, *words, actor=actor)
    return f"Error: {caught.value}"


def _counted() -> bool:
    """Return whether the host has written down what it counts of the new champion's answers."""
    endpoints = Endpoints()
    experiment = str(endpoints.route(NAME).experiment)
    return counts_of(endpoints.database, NAME, experiment, STRONG) is not None


def _events(name: str) -> list[dict[str, Any]]:
    """Return what Prefect heard of the endpoint, the oldest first."""
    asked = {
        "event": {"name": [f"headrace.model.{name}"]},
        "resource": {"id": [f"headrace.model.{NAME}"]},
    }
    url = f"{settings().prefect_api_url}/events/filter"
    answer = httpx.post(url, json={"filter": asked}, timeout=60).raise_for_status()
    return [each["payload"] for each in reversed(answer.json()["events"])]


def _hailed() -> list[str]:
    """Return whom the flow that waits for promotions noted, in runs that completed."""
    asked = {
        "flows": {"name": {"any_": ["hail"]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
    }
    url = f"{settings().prefect_api_url}/flow_runs/filter"
    answer = httpx.post(url, json=asked, timeout=60).raise_for_status()
    return [run["parameters"]["parameters"]["champion"] for run in answer.json()]


def _roles() -> dict[str, set[str]]:
    return {f"{NAME}/{v.version}": set(v.aliases) for v in Registry().versions(NAME)}


def _shares() -> dict[str, float]:
    traffic = Endpoints().route(NAME).traffic
    return {} if traffic is None else traffic.shares()


@pytest.fixture(scope="module")
def runner(serving: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return what brings the runner up or down, with a user's flow that waits for promotions."""
    root = tmp_path_factory.mktemp("own") / "shop"
    root.mkdir()
    (root / "hail.py").write_text(HAIL)

    def call(word: str) -> None:
        subprocess.run(
            [Path(sys.executable).with_name("headrace"), word, "runner"],
            env=os.environ | {"HEADRACE_ROOTS": str(root)},
            capture_output=True,
            check=True,
        )

    yield call
    call("down")


@dataclass(frozen=True, kw_only=True)
class Story:
    """This is what happened at the endpoint, in this order."""

    customers: Customers
    too_early: str
    shares: list[dict[str, float]]
    ramp_days: tuple[int, int]
    held: str
    asked: str
    by_author: str
    by_nobody: str
    by_bob: str
    roles: dict[str, dict[str, set[str]]]
    promoted_tags: dict[str, str]
    page: str
    watched: str
    confirmed: str
    seconds_until_rolled_back: float


@pytest.fixture(scope="module")
def story(serving: Settings, runner: Callable[[str], None], fail_beyond: Any) -> Story:
    """Tell it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow warns of itself while it is imported
        import mlflow.pyfunc  # noqa: F401
    weak, strong, fragile = (
        register_challenger(_learned(n_estimators=trees, max_depth=depth), name=NAME)
        for trees, depth in ((2, 1), (40, 4), (20, 2))
    )
    fail_beyond(folder_of(FRAGILE), miles=FAR - 1)
    customers, told = Customers(), dict[str, Any]()
    shares, roles = list[dict[str, float]](), dict[str, dict[str, set[str]]]()

    def judged() -> str:
        return _headrace(endpoint.app, "judge", NAME)

    _served(weak, strong)
    customers.days(19)
    told["too_early"] = judged()
    customers.days(2)
    run_flow(rollout, {"endpoints": [NAME]}).require_completed()
    shares.append(_shares())
    first = customers.days(2)
    _headrace(endpoint.app, "hold", NAME, "--reason", "audit")
    told["held"] = judged()
    _headrace(endpoint.app, "release", NAME)
    judged()
    shares.append(_shares())
    told["ramp_days"] = first, customers.days(2)
    told["asked"] = judged()
    told["by_author"] = _refused("approve", NAME, actor="ann")
    told["by_nobody"] = _refused("approve", NAME, actor="eve")
    runner("up")  # from here on the flow `rollout` starts by itself
    told["by_bob"] = _headrace(endpoint.app, "approve", NAME, "--reason", "fine", actor="bob")
    _eventually(lambda: Endpoints().route(NAME).champion == STRONG)
    _eventually(_hailed)
    runner("down")
    roles["promoted"] = _roles()
    told["promoted_tags"] = dict(Registry().tags(NAME, "2"))
    customers.days(2)
    _eventually(_counted)
    told["watched"] = judged()
    told["page"] = _eventually(lambda: _page("is watched"))
    customers.days(19)
    told["confirmed"] = judged()
    roles["confirmed"] = _roles()

    told["seconds_until_rolled_back"] = _break_without_registry(customers, fragile)
    _eventually(lambda: _events("rolled_back"))
    roles["rolled back"] = _roles()
    run_flow(rollout, {"endpoints": [NAME]}).require_completed()
    return Story(customers=customers, shares=shares, roles=roles, **told)


def _break_without_registry(customers: Customers, fragile: Report) -> float:
    """Let the fragile model answer and break while MLflow is away; return for how many seconds."""
    _served(fragile)
    _headrace(endpoint.app, "promote", NAME, "--force", "--reason", "in a hurry", actor="bob")
    customers.days(1)
    _services.down(only=("mlflow",))
    try:
        return customers.order_far_away()
    finally:
        _services.up(only=("mlflow",))


def _served(champion: Report, *challengers: Report) -> Report:
    with using_settings(actor="ann"):
        return deploy(
            champion, list(challengers), endpoint=NAME, views=[], rule=RULE, clock="replayed",
            space="replay",
        )  # fmt: skip


def _page(word: str) -> str:
    """Return the endpoint's page once it says something; the host tells it every few seconds."""
    lane = Endpoints().lane(NAME)
    assert lane is not None
    text = httpx.get(f"{lane.url}/v1/{NAME}/page", timeout=60).text
    return text if word in text else ""


def test_a_challenger_waits_in_shadow_until_there_are_enough_days(story: Story) -> None:
    before = [story.customers.answered[day] for day in range(1, 22)]

    assert story.too_early.startswith(f"Hold {STRONG} at {NAME}")
    assert "There are 18 days and 1,800 decisions; 20 and 500 are needed" in story.too_early
    assert "Expected: 2 more days have to close." in story.too_early
    assert all(set(who) == {WEAK} for who in before)


def test_a_better_one_climbs_the_ramp_and_units_are_dealt_as_it_says(story: Story) -> None:
    with open_view(decisions_folder(settings(), NAME)) as view:
        dealt = [
            view.execute(
                "SELECT count(*) FILTER (assigned = $model), count(*), "
                "count(*) FILTER (model = $model) FROM decisions "
                "WHERE decided_at >= $since AND decided_at < $since + INTERVAL 2 DAY",
                {"model": STRONG, "since": FIRST + timedelta(days=last - 1)},
            ).fetchall()[0]
            for last in story.ramp_days
        ]

    assert story.shares == [{STRONG: 0.25}, {STRONG: 0.5}]
    for share, (assigned, all_of_them, answered) in zip((0.25, 0.5), dealt, strict=True):
        # five standard deviations: once in a million runs
        spread = 5 * (all_of_them * share * (1 - share)) ** 0.5
        assert all_of_them == 2 * A_DAY
        assert abs(assigned - share * all_of_them) < spread
        assert 10 <= answered <= assigned


def test_nothing_moves_while_a_person_holds_the_endpoint(story: Story) -> None:
    assert "A person holds the endpoint: audit" in story.held
    assert story.held.startswith(f"Hold {STRONG} at {NAME}: it goes on answering 0.25")


def test_its_author_cannot_approve_it_and_nobody_whom_the_rule_does_not_ask(story: Story) -> None:
    assert f"Nothing but approval is missing: `headrace endpoint approve {NAME}" in story.asked
    assert story.by_author == (
        f"Error: 'ann' put up or registered {STRONG} at the endpoint '{NAME}', and may not approve "
        "it.\n  Fix: Let somebody else look at it; HEADRACE_ACTOR says who you are."
    )
    assert story.by_nobody.startswith(f"Error: 'eve' may not approve {STRONG}")


def test_a_persons_word_starts_the_flow_and_the_promotion_what_waits_for_it(story: Story) -> None:
    (promoted, forced) = _events("promoted")

    assert f"{STRONG} at '{NAME}' is approved by bob." in story.by_bob
    assert [event["actor"] for event in _events("approved")] == ["bob"]
    assert (promoted["champion"], promoted["previous"]) == (STRONG, WEAK)
    assert promoted["run"]  # a flow run did it, and nobody at a terminal
    assert (forced["champion"], forced["run"]) == (FRAGILE, None)
    assert STRONG in _hailed()


def test_the_registry_follows_every_step(story: Story) -> None:
    number = story.promoted_tags[TOLD_TAG]

    assert story.roles["promoted"][STRONG] == {"champion"}
    assert story.roles["promoted"][WEAK] == {"challenger", "previous"}
    assert story.promoted_tags[VERDICT_TAG] == "promote"
    assert story.promoted_tags[f"{VERDICT_TAG}.number"] == number
    assert story.promoted_tags[f"{VERDICT_TAG}.rule"] == f"{RULE.name} ({RULE.hash[:12]})"
    assert story.roles["confirmed"] == {STRONG: {"champion"}, WEAK: {"previous"}, FRAGILE: set()}


def test_a_promotion_is_watched_on_the_page_too_and_then_confirmed(story: Story) -> None:
    assert story.watched.startswith(f"Go on watching {STRONG} at {NAME}: {WEAK} is ready")
    assert f"{STRONG} is watched; {WEAK} is ready to take over again" in story.page
    assert "There are too few for a bound." in story.page
    assert story.confirmed.startswith(f"Confirm {STRONG} at {NAME}")
    assert "The promotion was watched for 20 of 20 days." in story.confirmed


def test_a_champion_that_breaks_is_taken_back_at_once_while_the_registry_is_away(
    story: Story,
) -> None:
    (told,) = _events("rolled_back")  # once, though the flow looked at the endpoint since

    assert story.seconds_until_rolled_back < 3
    assert (told["champion"], told["previous"]) == (STRONG, FRAGILE)
    assert story.roles["rolled back"] == {STRONG: {"champion"}, WEAK: set(), FRAGILE: set()}


def test_the_history_says_who_did_what_and_why(story: Story) -> None:
    changes = Endpoints().history(NAME)

    by_rule, by_rule_approved = "the rule 'late orders'", "the rule 'late orders', approved by bob"
    me = settings().actor
    last = changes[-1]
    assert [(change.action, change.actor, change.reason) for change in changes[:-1]] == [
        ("declare", "ann", "declared by a flow"),
        ("ramp", me, by_rule),
        ("hold", "ann", "audit"),
        ("release", "ann", "asked for at the command line"),
        ("ramp", "ann", by_rule),
        ("promote", me, by_rule_approved),
        ("confirm", "ann", by_rule),
        ("declare", "ann", "declared by a flow"),
        ("promote", "bob", "forced: in a hurry"),
    ]
    assert (last.action, last.actor) == ("rollback", "serving host")
    assert last.reason.startswith("the rule 'late orders': ")
    assert f"answers of {FRAGILE}" in last.reason


def test_every_ruling_is_the_same_when_it_is_judged_again(story: Story) -> None:
    experiments = {
        route.experiment_of(rival.model)
        for change in Endpoints().history(NAME)
        for route in (change.after,)
        for rival in route.rivals
    }
    numbers = sorted(
        judgement.number
        for experiment in experiments
        for judgement in Endpoints().judgements(NAME, str(experiment))
    )

    said = [_headrace(rules.app, "replay", str(number)) for number in numbers]

    assert len(numbers) >= 8
    assert all("is the same to the last byte" in each for each in said)
