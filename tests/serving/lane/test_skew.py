"""What was served is what the offline join gives; where it is not, the feature is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer

from features._online_encode import ENCODERS
from features.online import OnlineStore
from features.online_lookup import lookup_of
from features.store import publish_rows
from flows._command._feature_skew import skew
from headrace import Report, Table, flow
from headrace.clock import SystemClock, VirtualClock, using_clock
from headrace.errors import BoundaryError, DataError, GrantError, ParameterError, UnknownNameError
from headrace.grants import granting
from headrace.settings import settings, using_settings
from operators.measure_skew import measure_skew
from serving.endpoints import Endpoints, EndpointSpec
from serving.hosted import decisions_folder
from serving.served_features import served_features
from serving.skew import skew_of

US = pa.timestamp("us", tz="UTC")
NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WIND = [  # origin, hours after noon of event and known time, wind, gust
    ("EWR", 0.0, 0.0, 12.5, None),
    ("JFK", 0.0, 0.0, 3.25, 20.0),
    ("EWR", 1.0, 1.5, 0.1 + 0.2, 31.0),
    ("JFK", 1.0, 3.0, 7.0, None),
]
TAILS = [(f"N{n}", 0.0, 0.0, n, n - 3.5) for n in range(1, 6)] + [("N1", 2.0, 2.0, 9, None)]


@dataclass
class World:
    """An endpoint that is replayed: its views' rows, what is pushed, and the lane."""

    views: tuple[Any, ...]
    lane: Any
    store: OnlineStore
    path: Path
    clock: VirtualClock
    asked: int = 0
    rows: list[pa.Table] = field(default_factory=list)

    def push(self, view: int, fact: tuple[Any, ...]) -> None:
        self.store.push_rows(self.views[view], [row_of(fact)])

    def decide(self, origin: str, tail: str, hours: float, **features: Any) -> None:
        at = NOON + hours * HOUR
        self.asked += 1
        answer = self.lane.decide(
            id=f"D{self.asked}",
            entity={"origin": origin, "tail": tail},
            features={"carrier": "UA", "distance": 719, **features},
            at=at.isoformat(),
        )
        assert answer.status == 200, answer.document

    def live(self) -> None:
        """Push each row when it is known, and decide at every half hour in between."""
        facts = sorted([(0, f) for f in WIND] + [(1, f) for f in TAILS], key=lambda f: f[1][2])
        for half in range(1, 10):
            at = half / 2
            while facts and facts[0][1][2] <= at:
                view, fact = facts.pop(0)
                self.clock.advance_to(max(NOON + at * HOUR, self.clock.now()))
                self.push(view, fact)
            for origin, tail in (("EWR", "N1"), ("JFK", "N5")):
                self.decide(origin, tail, at)

    def offline(self, view: int, facts: list[tuple[Any, ...]]) -> Table[Any]:
        schema = self.views[view].schema
        columns = list(zip(*facts, strict=True))
        times = [pa.array([NOON + h * HOUR for h in columns[i]], US) for i in (1, 2)]
        arrays = [pa.array(columns[0]), *times, *(pa.array(c) for c in columns[3:])]
        return Table.of(pa.table(dict(zip(schema.names, arrays, strict=True))), schema=schema)

    def measured(self, wind: Any = None, tails: Any = None, **options: Any) -> dict[str, Any]:
        given = [self.offline(0, wind or WIND), self.offline(1, tails or TAILS)]
        served = served_features(endpoint="flight_delay")
        return dict(measure_skew(served, given, **options).document)


def row_of(fact: tuple[Any, ...]) -> tuple[Any, ...]:
    key, event, known, *values = fact
    times = [int((NOON + hours * HOUR).timestamp() * 1_000_000) for hours in (event, known)]
    return (key, *times, *values)


def spec_of(views: tuple[Any, ...], *features: list[str], **changes: Any) -> EndpointSpec:
    lookups = [lookup_of(v, f) for v, f in zip(views, features, strict=True)]
    return EndpointSpec(
        model="flight_delay", task="classification", clock="replayed", space="replay",
        lookups=tuple(replace(each, **changes).to_json() for each in lookups),
    )  # fmt: skip


@pytest.fixture
def world(
    tmp_path: Path,
    views: tuple[Any, ...],
    tables: Callable[..., Any],
    start_lane: Callable[..., Any],
) -> Iterator[World]:
    """A lane on the replayed clock whose models take `wind` and `landings`."""
    with using_settings(home=tmp_path / "home"):
        spec = spec_of(views, ["wind"], ["landings"])
        Endpoints().declare("flight_delay", spec=spec, champion="flight_delay/1", reason="test")
        clock = VirtualClock(NOON)
        path = tmp_path / "home" / "features" / "online.db"
        path.parent.mkdir(parents=True, exist_ok=True)
        with using_clock(clock), OnlineStore(path, "replay") as store:
            lane = start_lane(
                tables(
                    tmp_path,
                    clock="replayed",
                    space="replay",
                    online=path,
                    log=decisions_folder(settings(), "flight_delay"),
                    lookups=tuple(lookup_of(v) for v in views),
                )
            )
            yield World(views=views, lane=lane, store=store, path=path, clock=clock)


def test_what_was_served_in_order_is_what_the_offline_join_gives(world: World):
    world.live()

    measured = world.measured()

    told = measured.pop("told")
    features = [(f["view"], f["feature"], f["compared"], f["share"]) for f in measured["features"]]
    assert features == [("weather", "wind", 18, 1.0), ("tails", "landings", 18, 1.0)]
    assert (measured["passed"], measured["share"], measured["compared"]) == (True, 1.0, 36)
    assert (measured["decisions"], measured["of"], measured["versions"]) == (18, 18, [])
    assert told == "36 of 36 served values are what the offline join gives."


def test_an_online_row_that_was_altered_is_found_and_named(world: World):
    world.push(0, WIND[0])
    world.push(1, TAILS[0])
    world.decide("EWR", "N1", 0.5)
    with closing(sqlite3.connect(world.path)) as database, database:
        altered, _ = ENCODERS["float"](12.500000000000002)
        changed = database.execute(
            "UPDATE replay_weather SET value = ? WHERE feature_name = 'wind'", [altered]
        )
        assert changed.rowcount == 1
    world.decide("EWR", "N1", 0.75)

    measured = world.measured()

    wind, landings = measured["features"]
    assert measured["passed"] is False
    assert (wind["share"], landings["share"]) == (0.5, 1.0)
    assert wind["differing"] == [
        {
            "decision": "D2",
            "entity": {"origin": "EWR"},
            "at": "2013-07-01T12:45:00+00:00",
            "served": 12.500000000000002,
            "offline": 12.5,
        }
    ]
    assert measured["told"] == (
        "3 of 4 served values are what the offline join gives; too few of 'weather:wind' (50.00%)."
    )


def test_a_row_that_was_pushed_late_is_found_for_the_decisions_before_it_came(world: World):
    for fact in (WIND[0], WIND[1]):
        world.push(0, fact)
    world.push(1, TAILS[0])
    world.decide("EWR", "N1", 1.4)
    world.decide("EWR", "N1", 2.0)  # known since 1.5, and not pushed yet
    world.clock.advance_to(NOON + 3 * HOUR)
    world.push(0, WIND[2])
    world.decide("EWR", "N1", 3.0)

    measured = world.measured(tails=TAILS[:5])

    differing = measured["features"][0]["differing"]
    assert [(d["decision"], d["served"], d["offline"]) for d in differing] == [
        ("D2", 12.5, 0.1 + 0.2)
    ]


def test_rows_of_another_version_are_named_and_never_pass(world: World):
    world.live()
    tails = world.views[1]
    others = [(*fact[:3], fact[3] * 10, fact[4]) for fact in TAILS]
    rows = world.offline(1, others)
    schema = replace(
        tails.schema,
        columns=tuple(
            replace(c, source="tails@v1") if c.role == "feature" else c
            for c in tails.schema.columns
        ),
    )

    measured = measure_skew(
        served_features(endpoint="flight_delay"),
        [world.offline(0, WIND), Table.of(rows.arrow(), schema=schema)],
    ).document

    assert measured["versions"] == [{"served": "tails", "rows": "tails@v1"}]
    assert (measured["passed"], measured["features"][1]["share"]) == (False, 0.0)
    assert measured["told"] == (
        "18 of 36 served values are what the offline join gives; 'tails' was served, the rows are "
        "of 'tails@v1'; too few of 'tails:landings' (0.00%)."
    )


def test_decisions_of_a_generation_that_read_another_version_are_not_compared(world: World):
    world.live()
    spec = spec_of(world.views, ["wind"], ["landings"], number=1)

    Endpoints().declare("flight_delay", spec=spec, champion="flight_delay/1", reason="a new one")
    measured = world.measured()

    assert (measured["compared"], measured["passed"], measured["share"]) == (0, False, None)
    assert measured["told"] == "Nothing was compared, so nothing is known of skew."


def test_what_the_client_gave_itself_is_not_compared_and_null_is_null(world: World):
    world.push(0, WIND[0])
    world.push(1, TAILS[1])
    world.decide("EWR", "N2", 0.5, wind=99.0)
    world.store.push_rows(world.views[0], [row_of(("LGA", 0.0, 0.0, None, 1.0))])
    world.decide("LGA", "N2", 0.5)

    wind = [*WIND, ("LGA", 0.0, 0.0, float("nan"), 1.0)]
    measured = world.measured(wind=wind)

    assert [(f["feature"], f["compared"], f["equal"]) for f in measured["features"]] == [
        ("wind", 1, 1),
        ("landings", 2, 2),
    ]


def test_a_sample_is_drawn_by_its_seed_wherever_the_decisions_lie(world: World):
    world.live()

    def sampled(seed: int) -> list[str]:
        table = served_features(endpoint="flight_delay", sample=7, seed=seed).arrow()
        assert table["decided_at"].to_pylist() == sorted(table["decided_at"].to_pylist())
        return list(table["decision"].to_pylist())

    assert len(sampled(1)) == 7
    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)
    assert world.measured(sample=5, seed=3)["decisions"] == 5


def test_a_period_has_the_decisions_of_its_moments(world: World):
    world.live()

    period = served_features(endpoint="flight_delay", since=NOON + 1 * HOUR, until=NOON + 2 * HOUR)

    assert period.rows == 6
    with pytest.raises(ParameterError) as refused:
        served_features(endpoint="flight_delay", since=datetime(2013, 7, 1))
    assert str(refused.value) == (
        "The argument 'since' is 2013-07-01T00:00:00, a time without a zone.\n"
        "  Fix: Say the zone, for example with tzinfo=UTC."
    )


def test_a_view_without_rows_is_refused_by_name(world: World):
    world.live()

    with pytest.raises(BoundaryError) as refused:
        measure_skew(served_features(endpoint="flight_delay"), [world.offline(0, WIND)])

    assert str(refused.value) == (
        "Features of view 'tails' were served, but its rows are not given. Known: 'weather'.\n"
        "  Fix: Give the rows of every view that the endpoint looks up."
    )


@flow(grants=["decisions:flight_delay"])
def watch_skew(weather: Table[Any], tails: Table[Any]) -> Report:
    """Watch."""
    return measure_skew(served_features(endpoint="flight_delay", sample=100), [weather, tails])


@flow
def peek() -> Table[Any]:
    """Read decisions without a grant."""
    return served_features(endpoint="flight_delay")


def test_a_monitoring_flow_runs_the_check_each_time_anew(world: World):
    world.live()
    given = world.offline(0, WIND), world.offline(1, TAILS)

    with using_clock(SystemClock()):  # a run waits for its room by the clock
        first = watch_skew.run(*given)
        world.decide("JFK", "N5", 4.6, wind=1.0)
        second = watch_skew.run(*given)

    documents = [run.returned().document for run in (first, second)]
    assert [(d["passed"], d["decisions"]) for d in documents] == [(True, 18), (True, 19)]


def test_the_decisions_of_an_endpoint_are_read_only_where_they_are_granted(world: World):
    [problem] = peek.plan().problems

    assert (problem.rule, problem.problem, problem.remedy) == (
        "missing grant",
        "'served_features:flight_delay' reads 'decisions:flight_delay', but the flow is granted "
        "nothing.",
        "Add it to the flow: `@flow(grants=['decisions:flight_delay'])`.",
    )
    with granting(["feature:*"], flow="peek"), pytest.raises(GrantError) as refused:
        served_features(endpoint="flight_delay")
    assert str(refused.value) == (
        "The operator reads 'decisions:flight_delay', but its flow is granted 'feature:*'.\n"
        "  Fix: Add it to the flow: `@flow(grants=['decisions:flight_delay'])`."
    )


def test_an_unknown_endpoint_is_offered_the_nearest(world: World):
    with pytest.raises(UnknownNameError, match="Did you mean 'flight_delay'"):
        skew_of("flight_delays")


def published(world: World, wind: list[Any] = WIND, *views: int) -> None:
    for view in views or (0, 1):
        rows = world.offline(view, [wind, TAILS][view])
        with using_clock(VirtualClock(NOON + 5 * HOUR)):
            publish_rows(world.views[view], rows.arrow(), digest=rows.digest)


def test_an_endpoint_is_compared_with_what_is_published_up_to_when_it_was(world: World):
    world.live()
    published(world)
    world.clock.advance_to(NOON + 6 * HOUR)
    world.push(0, ("EWR", 5.5, 5.5, 99.0, None))
    world.decide("EWR", "N1", 6.0)  # what it saw is not published yet

    found = skew_of("flight_delay").document

    assert (found["passed"], found["share"], found["decisions"]) == (True, 1.0, 18)
    assert (found["until"], found["unpublished"]) == ("2013-07-01T17:00:00+00:00", [])


def test_the_command_names_what_differs_and_ends_with_1(world: World, capsys: Any):
    world.live()
    published(world, [*WIND, ("EWR", 0.5, 0.5, 1.5, None)])

    with pytest.raises(typer.Exit) as ended:
        skew("flight_delay")

    told = capsys.readouterr().out
    assert ended.value.exit_code == 1
    assert told == (
        "18 decisions of 'flight_delay': 34 of 36 served values are what the offline join gives; "
        "too few of 'weather:wind' (88.89%).\n"
        "\n"
        "feature         compared  equal\n"
        "weather:wind    18        88.889%\n"
        "tails:landings  18        100.000%\n"
        "weather:wind of origin EWR at 2013-07-01T12:30:00+00:00: served 12.5, offline 1.5 "
        "(decision D1)\n"
        "weather:wind of origin EWR at 2013-07-01T13:00:00+00:00: served 12.5, offline 1.5 "
        "(decision D3)\n"
    )


def test_a_view_of_which_nothing_is_published_is_named_and_does_not_pass(world: World):
    world.live()
    with pytest.raises(DataError) as refused:
        skew_of("flight_delay")
    published(world, WIND, 0)

    found = skew_of("flight_delay").document

    assert str(refused.value) == (
        "Endpoint 'flight_delay' looks up 'weather@v0', 'tails@v0', of which nothing is "
        "published.\n"
        "  Fix: Publish the views; the offline join is made of their rows."
    )
    assert (found["passed"], found["share"], found["unpublished"]) == (False, 1.0, ["tails@v0"])
