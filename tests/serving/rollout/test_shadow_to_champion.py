"""A challenger goes from shadow to champion, or back, by itself: days of a world, played."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import VirtualClock, using_clock
from headrace.decisions import DecisionLog
from headrace.lineage.database import Database
from headrace.settings import settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.hosted import decisions_folder
from serving.lane.dealing import Dealing
from serving.lane.table import Compared, LaneTable, Served
from serving.rollout.assess import replay
from serving.rollout.judging import judge_all
from serving.rollout.live_counts import grown, store_counts
from serving.route import Route
from serving.rule import Rule
from serving.rule_guardrails import ErrorRate
from serving.rule_stages import Approval, Ramp, Watch

OLD, NEW = "delay/1", "delay/2"
FIRST = datetime(2026, 3, 2, 7, tzinfo=UTC)  # the day before is mature then
A_DAY = 80
RULE = Rule(
    name="delay",
    metric="brier",
    label_window_hours=6,
    min_decisions=500,
    guardrails=[ErrorRate(max=0.02)],
    ramp=Ramp(steps=(0.1, 0.5, 1.0), hold_hours=24, min_decisions=5),
    watch=Watch(blocks=20),
)


class World:
    """One endpoint, its log, and days of decisions whose outcomes come three hours later.

    Args:
        rule: What the endpoint is judged by.
        noise: Model to the spread of its error; more is worse.
    """

    def __init__(self, rule: Rule, noise: dict[str, float]) -> None:
        self.noise = noise
        self.broken: set[str] = set()
        self.counted: dict[tuple[str, str, str], dict[str, int]] = {}
        self.clock = VirtualClock(FIRST)
        self.luck = random.Random(5)  # noqa: S311
        self.endpoints = Endpoints(Database(settings().database_url))
        self.log = DecisionLog.open(decisions_folder(settings(), "delay"), writer="lane")
        self.columns = self.log.columns(["wind"])
        spec = EndpointSpec(
            model="delay", task="classification", clock="live", space="headrace", lookups=(),
            rule=rule.document(),
        )  # fmt: skip
        with using_clock(self.clock):
            self.endpoints.declare(
                "delay",
                spec=spec,
                champion=OLD,
                challenger=NEW,
                reason="a flow",
            )

    def day(self, *, look: bool = True) -> Route:
        """Let a day pass until seven in the morning, look, and return the route since."""
        for number in range(A_DAY):
            at = self.clock.now() + timedelta(hours=1, minutes=number)
            self.log.append(self._records(f"{at:%Y%m%d}-{number}", at))
        self.clock.advance_to(self.clock.now() + timedelta(days=1))
        if look:
            self._store_counts()
            with using_clock(self.clock):
                judge_all(self.endpoints, "delay", as_of=self.clock.now())
        return self.endpoints.route("delay")

    def days(self, most: int, until: Callable[[Route], bool], *, unseen: int = 0) -> int:
        """Let days pass until a route is as asked; return how many, or fail after `most`.

        Nobody looks at the first `unseen` of them.
        """
        for _ in range(unseen):
            self.day(look=False)
        for passed in range(unseen + 1, most + 1):
            if until(self.day()):
                return passed
        raise AssertionError(f"{most} days passed: {self.endpoints.route('delay')}")

    def told(self) -> list[tuple[str, dict[str, float]]]:
        """Return what was done to the endpoint, with the shares since."""
        return [
            (change.action, {} if change.after.traffic is None else change.after.traffic.shares())
            for change in self.endpoints.history("delay")
        ]

    def _count(self, model: str, part: str, failed: bool) -> None:
        """Count an answer as a lane does: for the comparison that it is part of."""
        route = self.endpoints.route("delay")
        of = route.challenger if model == route.champion else model
        experiment = None if of is None else route.experiment_of(of)
        if experiment is not None:
            key = (experiment, model, part)
            counts = self.counted.setdefault(key, {"trials": 0, "failures": 0, "calls": 0})
            counts["trials"] += 1
            counts["calls"] += 1
            counts["failures"] += failed

    def _store_counts(self) -> None:
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for (experiment, model, part), told in self.counted.items():
            row = rows.get((experiment, model))
            rows[experiment, model] = grown(row, told, part=part, writer=part)
        database = self.endpoints.database
        store_counts(database, "delay", [(*key, counts) for key, counts in rows.items()])

    def _records(self, name: str, at: datetime) -> list[dict[str, Any]]:
        route, us = self.endpoints.route("delay"), round(at.timestamp() * 1e6)
        dealt = Dealing(_table(route)).of({}, name)
        chance = self.luck.betavariate(0.5, 0.5)
        scores = {
            model: min(0.999, max(0.001, chance + self.luck.gauss(0, spread)))
            for model, spread in self.noise.items()
        }
        self._count(dealt.model, "answers", dealt.model in self.broken)
        if dealt.model in self.broken:
            dealt = dealt.to_champion(route.champion, "error")
        decision = {
            "kind": "decision", "id": name, "at": us, "logged": us, "columns": self.columns,
            "features": [1.0], "entity": {}, "overridden": [], "missing": [], **dealt.fields,
            "model": dealt.model, "score": scores[dealt.model],
            "answer": {"probability": scores[dealt.model]},
        }  # fmt: skip
        records = [decision]
        for rival in route.rivals:
            who = route.champion if dealt.model == rival.model else rival.model
            self._count(who, "shadow", who in self.broken)
            said = {"error": "ValueError: no"} if who in self.broken else {"score": scores[who]}
            records.append(
                {"kind": "shadow", "id": name, "logged": us, "model": who, "ms": 1.0,
                 "experiment": rival.experiment, **said}
            )  # fmt: skip
        value = float(self.luck.random() < chance)
        known = us + 3 * 3_600_000_000
        outcome = {"kind": "outcome", "id": name, "known_at": known, "logged": known}
        return [*records, outcome | {"value": value}]


def _table(route: Route) -> LaneTable:
    nowhere = Path()
    first = route.rivals[0] if route.rivals else None
    return LaneTable(
        endpoint=route.endpoint, generation=route.generation,
        champion=Served(ref=route.champion, folder=nowhere),
        challenger=None if first is None else Served(ref=first.model, folder=nowhere),
        experiment=None if first is None else first.experiment,
        also=tuple(
            Compared(model=Served(ref=each.model, folder=nowhere), experiment=each.experiment)
            for each in route.also
        ),
        lookups=(), clock="live", may_lack=frozenset(), online=nowhere, space="headrace",
        log=nowhere, notices=nowhere, traffic=route.traffic,
    )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Make a world in a home of its own; nobody serves there, and there is no MLflow."""
    made: list[World] = []

    def make(rule: Rule = RULE, **noise: float) -> World:
        made.append(World(rule, {OLD: noise.get("old", 0.3), NEW: noise.get("new", 0.3)}))
        return made[-1]

    with using_settings(home=tmp_path, mlflow_port=1):
        yield make
    for each in made:
        each.log.close()


def test_a_better_challenger_climbs_the_ramp_answers_everything_and_is_confirmed(
    world: Callable[..., World],
) -> None:
    there = world(old=0.3, new=0.1)

    won = there.days(30, lambda route: route.traffic is not None, unseen=18)
    promoted = there.days(6, lambda route: route.champion == NEW)
    watched = there.endpoints.route("delay").watched
    there.days(25, lambda route: route.watched is None, unseen=18)

    assert won >= RULE.min_blocks
    assert promoted >= 2  # a day at each share
    assert watched is not None
    assert watched.model == OLD
    assert there.told() == [
        ("declare", {}),
        ("ramp", {NEW: 0.1}),
        ("ramp", {NEW: 0.5}),
        ("promote", {}),
        ("confirm", {}),
    ]
    traces = [change.trace for change in there.endpoints.history("delay") if change.trace]
    assert [replay(trace).trace() for trace in traces] == traces


def test_an_equal_challenger_stays_in_shadow(world: Callable[..., World]) -> None:
    there = world(old=0.2, new=0.2)

    for _ in range(19):
        there.day(look=False)
    for _ in range(3):
        there.day()

    assert there.told() == [("declare", {})]
    (newest, *_) = there.endpoints.judgements(
        "delay", str(there.endpoints.route("delay").experiment)
    )
    assert newest.trace["action"] == "hold"


def test_a_challenger_that_breaks_while_it_climbs_is_withdrawn(
    world: Callable[..., World],
) -> None:
    there = world(old=0.3, new=0.1)
    there.days(30, lambda route: route.traffic is not None, unseen=19)

    there.broken.add(NEW)
    took = there.days(3, lambda route: route.challenger is None)

    assert took <= 2
    assert there.endpoints.route("delay").champion == OLD
    assert there.told()[-1] == ("withdraw", {})


def test_a_new_champion_that_turns_out_worse_is_rolled_back(world: Callable[..., World]) -> None:
    there = world(RULE.model_copy(update={"ramp": None}), old=0.3, new=0.05)
    there.days(30, lambda route: route.champion == NEW, unseen=19)

    there.noise[NEW], there.noise[OLD] = 0.8, 0.05
    there.days(30, lambda route: route.champion == OLD, unseen=18)

    assert [action for action, _ in there.told()] == ["declare", "promote", "rollback"]


@pytest.mark.lengthy
def test_a_watched_promotion_is_neither_forgotten_nor_overtaken(
    world: Callable[..., World],
) -> None:
    """A model that is trained meanwhile is put up beside the old champion, and waits for it."""
    rule = RULE.model_copy(update={"ramp": None, "watch": {"blocks": 23}})
    there = world(rule, old=0.3, new=0.2)
    there.noise["delay/3"] = 0.05
    there.days(30, lambda route: route.champion == NEW, unseen=19)
    spec = there.endpoints.spec("delay")

    with using_clock(there.clock):
        there.endpoints.declare("delay", spec=spec, champion="delay/3", reason="retrained")
    route = there.endpoints.route("delay")
    there.days(30, lambda route: route.champion == "delay/3", unseen=20)

    assert [rival.model for rival in route.rivals] == [OLD, "delay/3"]
    assert [action for action, _ in there.told()] == [
        "declare", "promote", "declare", "confirm", "promote",
    ]  # fmt: skip
    looks = there.endpoints.judgements("delay", str(route.experiment_of("delay/3")))
    assert [look.trace["action"] for look in looks].count("promote") > 1  # it had won, and waited


def test_what_waits_for_a_person_waits_and_its_author_cannot_wave_it_through(
    world: Callable[..., World],
) -> None:
    asks = RULE.model_copy(update={"ramp": None, "approval": Approval().model_dump()})
    with using_settings(home=settings().home, mlflow_port=1, actor="ann"):
        there = world(asks, old=0.3, new=0.1)
    for _ in range(20):
        there.day(look=False)
    there.day()
    experiment = str(there.endpoints.route("delay").experiment)
    waits = there.endpoints.judgements("delay", experiment, last=1)[0].trace

    def say(who: str) -> None:
        with using_settings(home=settings().home, mlflow_port=1, actor=who):
            there.endpoints.consent("delay", experiment, rule=asks.hash, approved=True, reason="")

    say("ann")
    by_author = there.day().champion
    say("bob")
    by_another = there.day().champion

    assert waits["action"] == "hold"
    held_by = [check["name"] for check in waits["checks"] if check["action"] == "hold"]
    assert held_by == ["approved"]
    assert (by_author, by_another) == (OLD, NEW)


def test_a_held_endpoint_promotes_nobody_until_it_is_released(
    world: Callable[..., World],
) -> None:
    there = world(RULE.model_copy(update={"ramp": None}), old=0.3, new=0.1)
    there.endpoints.change("delay", "hold", generation=None, reason="audit", why="audit")

    for _ in range(20):
        there.day(look=False)
    before = there.day().champion
    there.endpoints.change("delay", "release", generation=None, reason="audit is over")
    there.day()

    assert (before, there.endpoints.route("delay").champion) == (OLD, NEW)
