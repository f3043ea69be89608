"""What a run does: in order, nothing twice, and a failure stops only what needs it."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import pytest

import headrace
from headrace import (
    Col,
    Labels,
    Partitions,
    Report,
    Schema,
    Table,
    flow,
    map_over,
    operator,
    otherwise,
    when,
)
from headrace.errors import DataError, GrantError, ServiceError
from headrace.execution import RunError, Session, plan_status, run_plan
from headrace.grants import External, require

# A list in this module would be part of the cache keys of the bodies that append to it; what is
# logged is not.
LOGGER = logging.getLogger("bodies")
ATTEMPTS: list[str] = []
S = TypeVar("S", bound=Schema)


class Trip(Schema, Protocol):
    trip: Annotated[int, Col(role="entity")]
    day: str
    late: Annotated[float, Col(unit="min")]


class Wide(Schema, Protocol):
    secret: str
    late: Annotated[float, Col(unit="min")]
    day: str
    trip: Annotated[int, Col(role="entity")]


class Judged(Trip, Protocol):
    label: Annotated[int, Col(role="label")]


class Calls(logging.Handler):
    """These are the bodies that ran."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.names.append(record.getMessage())

    def clear(self) -> None:
        self.names.clear()


@pytest.fixture
def calls() -> Iterator[Calls]:
    """Count the bodies that run."""
    handler = Calls()
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    yield handler
    LOGGER.removeHandler(handler)


@operator()
def read_trips(*, rows: int = 4) -> Table[Trip]:
    """Make trips."""
    LOGGER.info("read_trips")
    days = ["mon", "tue", "mon", "wed", "tue", "thu"]
    return Table[Trip].of(
        {"trip": list(range(rows)), "day": days[:rows], "late": [5.0 * i for i in range(rows)]}
    )


@operator()
def judge(trips: Table[Trip], *, above: float) -> Labels[Judged]:
    """Label trips."""
    LOGGER.info("judge")
    frame = trips.frame()
    return Labels.of(frame.assign(label=(frame.late > above).astype("int64")))


@operator()
def count_late(labels: Labels[Judged], *, enough: int = 1) -> Report:
    """Count late trips."""
    LOGGER.info("count_late")
    late = int(labels.frame().label.sum())
    return Report.of({"late": late, "passed": late >= enough})


@operator(effect=True)
def announce(report: Report) -> Report:
    """Tell somebody."""
    LOGGER.info("announce")
    return report


@operator()
def break_down(trips: Table[Trip]) -> Report:
    """Fail."""
    LOGGER.info("break_down")
    raise DataError("Trip 3 has no day.", remedy="Give it one.")


@flow
def trips_flow(above: float = 7.0, rows: int = 4, enough: int = 1) -> Report:
    """Count late trips."""
    counted = count_late(judge(read_trips(rows=rows), above=above), enough=enough)
    with when(counted):
        announce(counted)
    return counted


def run(planned: Any, session: Session) -> Any:
    return run_plan(planned, session)


def states(finished: Any) -> dict[str, str]:
    return {path: outcome.state for path, outcome in finished.outcomes.items()}


def test_a_flow_called_as_a_function_runs_and_returns_artifacts_with_data(home: Path) -> None:
    report = trips_flow(above=7.0)

    assert report.document == {"late": 2, "passed": True}


def test_a_second_run_executes_no_pure_operator_and_effects_act_again(
    session: Session, calls: Calls
) -> None:
    run(trips_flow.plan(), session)
    calls.clear()

    again = run(trips_flow.plan(), session)

    assert calls.names == ["announce"]
    assert again.pure_executed() == 0
    assert states(again) == {
        "read_trips": "cached",
        "judge": "cached",
        "count_late": "cached",
        "announce": "executed",
    }


def test_a_changed_parameter_runs_only_what_depends_on_it(session: Session, calls: Calls) -> None:
    run(trips_flow.plan(above=7.0), session)
    calls.clear()

    changed = run(trips_flow.plan(above=6.0), session)

    assert calls.names[:1] == ["judge"]
    assert changed.outcomes["judge"].message == "parameter 'above' changed from 7.0 to 6.0"
    assert states(changed)["count_late"] == "cached"  # the labels came out the same


def test_the_plan_says_what_is_cached_and_why_the_rest_is_not(session: Session) -> None:
    run(trips_flow.plan(), session)

    status = plan_status(trips_flow.plan(above=6.0), session)

    made_by = session.lineage.runs()[0].id[:8]
    assert status.by_node == {
        "read_trips": f"cached (run {made_by})",
        "judge": "will run: parameter 'above' changed from 7.0 to 6.0",
        "count_late": "depends on upstream 'judge'",
        "announce": "effect, acts every time",
    }
    assert status.share_uncached == 0.0


def test_what_a_condition_rules_out_is_skipped_with_the_reason(
    session: Session, calls: Calls
) -> None:
    finished = run(trips_flow.plan(enough=99), session)

    assert finished.state == "completed"
    assert finished.outcomes["announce"].message == "skipped: 'count_late' did not pass"
    assert "announce" not in calls.names


def test_otherwise_runs_what_when_skips(session: Session) -> None:
    @flow
    def both(enough: int = 99) -> Report:
        counted = count_late(judge(read_trips(), above=1.0), enough=enough)
        with when(counted):
            announce(counted)
        with otherwise(counted):
            announce(counted)
        return counted

    assert states(run(both.plan(), session))["announce"] == "skipped"
    assert states(run(both.plan(), session))["announce#2"] == "executed"
    assert states(run(both.plan(enough=1), session))["announce#2"] == "skipped"


def test_a_failing_node_stops_only_what_needs_it(session: Session) -> None:
    @flow
    def half_broken() -> tuple[Report, Report]:
        trips = read_trips()
        return announce(break_down(trips)), count_late(judge(trips, above=1.0))

    finished = run(half_broken.plan(), session)

    assert finished.state == "failed"
    assert states(finished) == {
        "read_trips": "executed",
        "break_down": "failed",
        "announce": "skipped",
        "judge": "executed",
        "count_late": "executed",
    }
    with pytest.raises(RunError) as caught:
        finished.require_completed()
    assert str(caught.value) == (
        "Flow 'half_broken' failed in 1 of 5 nodes:\n"
        "  - break_down: Trip 3 has no day.\n"
        "  Fix: Give it one.\n"
        "  Fix: Correct the cause and run it again; what was done is reused."
    )
    assert caught.value.fault == "data"


def test_a_failed_run_is_recorded_with_its_reason(session: Session) -> None:
    @flow
    def broken() -> Report:
        return break_down(read_trips())

    finished = run(broken.plan(), session)

    record = session.lineage.run(finished.id)
    assert (record.state, record.message) == (
        "failed",
        "break_down: Trip 3 has no day.\n  Fix: Give it one.",
    )


def test_a_damaged_artifact_is_made_again_and_never_returned(
    session: Session, calls: Calls, home: Path
) -> None:
    first = run(trips_flow.plan(), session)
    (stored,) = (home / "store").rglob(f"*{first['judge'].digest}*/*.parquet")
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-9] + b"corrupted")
    calls.clear()

    again = run(trips_flow.plan(), session)

    assert calls.names == ["judge", "announce"]
    assert again.outcomes["judge"].message == (
        "what was stored is gone or damaged, so it is made again"
    )
    assert again["judge"].digest == first["judge"].digest


@operator(retries=2)
def stumble(trips: Table[Trip]) -> Report:
    """Fail twice, as a busy server does."""
    ATTEMPTS.append("stumble")
    if len(ATTEMPTS) < 3:
        raise ServiceError("Busy.", remedy="Wait.")
    return Report.of({"tries": len(ATTEMPTS)})


def test_what_fails_for_the_systems_sake_is_tried_again(session: Session) -> None:
    @flow
    def patient() -> Report:
        return stumble(read_trips())

    assert run(patient.plan(), session).returned().document == {"tries": 3}


@operator(retries=5)
def wrong_data(trips: Table[Trip]) -> Report:
    """Fail for good."""
    LOGGER.info("wrong_data")
    raise DataError("Wrong.", remedy="Mend it.")


def test_wrong_data_is_not_tried_again(session: Session, calls: Calls) -> None:
    @flow
    def hopeless() -> Report:
        return wrong_data(read_trips())

    run(hopeless.plan(), session)

    assert calls.names.count("wrong_data") == 1


@operator()
def by_day(trips: Table[Trip]) -> Partitions[Table[Trip]]:
    """Part trips by day."""
    frame = trips.frame()
    return Partitions.of({str(day): Table[Trip].of(rows) for day, rows in frame.groupby("day")})


@operator()
def total(trips: Table[Trip]) -> Table[Trip]:
    """Sum up a day."""
    LOGGER.info("total")
    frame = trips.frame()
    return Table.of(frame.head(1).assign(late=frame.late.sum()))


@operator()
def together(days: list[Table[Trip]]) -> Report:
    """Put days together."""
    return Report.of({"late": [float(d.frame().late.sum()) for d in days]})


@flow
def daily(rows: int = 4) -> Report:
    """Sum up each day."""
    return together(map_over(total, by_day(read_trips(rows=rows))))


def test_a_map_runs_once_for_each_partition_that_the_data_has(
    session: Session, calls: Calls
) -> None:
    finished = run(daily.plan(), session)

    assert finished.returned().document == {"late": [10.0, 5.0, 15.0]}
    assert calls.names.count("total") == 3


def test_a_new_partition_runs_alone(session: Session, calls: Calls) -> None:
    run(daily.plan(rows=4), session)
    calls.clear()

    finished = run(daily.plan(rows=6), session)

    assert calls.names.count("total") == 2  # thu is new, tue has a new row; mon and wed are reused
    assert finished.outcomes["total"].message == "4 partitions, 2 of them cached"
    assert states(run(daily.plan(rows=6), session))["total"] == "cached"


@operator(always=True)
def read_world() -> Table[Trip]:
    """Read what changes without a trace."""
    LOGGER.info("read_world")
    return Table[Trip].of({"trip": [1], "day": ["mon"], "late": [1.0]})


def test_what_follows_an_unchanged_world_is_reused(session: Session, calls: Calls) -> None:
    @flow
    def worldly() -> Labels[Judged]:
        return judge(read_world(), above=0.0)

    run(worldly.plan(), session)
    run(worldly.plan(), session)

    assert calls.names == ["read_world", "judge", "read_world"]


@operator(deterministic=False)
def draw(trips: Table[Trip]) -> Report:
    """Depend on chance."""
    LOGGER.info("draw")
    return Report.of({"drawn": 4})


def test_a_result_of_chance_is_reused_only_within_its_run(session: Session, calls: Calls) -> None:
    @flow
    def chancy() -> Report:
        return draw(read_trips())

    first = run(chancy.plan(), session)
    run(chancy.plan(), session)
    resumed = run(
        chancy.plan(),
        Session(store=session.store, lineage=session.lineage, run_id=first.id),
    )

    assert calls.names.count("draw") == 2
    assert resumed.outcomes["draw"].state == "cached"


@operator()
def seeded(trips: Table[Trip], *, seed: int | None = None) -> Report:
    """Use a seed."""
    return Report.of({"seed": seed})


def test_seeds_come_from_the_flows_seed_and_the_nodes_path(session: Session) -> None:
    @flow
    def lottery(seed: int = 1) -> tuple[Report, Report]:
        trips = read_trips()
        return seeded(trips), seeded(trips)

    one, two = run(lottery.plan(), session).returned()
    again, _ = run(lottery.plan(), session).returned()
    other, _ = run(lottery.plan(seed=2), session).returned()

    assert one.document == again.document
    assert len({one.document["seed"], two.document["seed"], other.document["seed"]}) == 3


def test_equal_nodes_of_one_run_are_computed_once(session: Session, calls: Calls) -> None:
    @flow
    def twice() -> tuple[Labels[Judged], Labels[Judged]]:
        return judge(read_trips(), above=3.0), judge(read_trips(), above=3.0)

    run(twice.plan(), session)

    assert sorted(calls.names) == ["judge", "read_trips"]


def _outside(parameters: Any) -> list[External]:
    return [External(name="file:trips.csv", fingerprint=lambda: "1234")]


@operator(reads=_outside)
def sneak() -> Report:
    """Read what was not granted, beside what was."""
    require("file:salaries.csv")
    return Report.of({})


def test_a_body_reaches_only_what_its_flow_was_granted(session: Session) -> None:
    @flow(grants=["file:trips.csv"])
    def sneaky() -> Report:
        return sneak()

    error = run(sneaky.plan(), session).outcomes["sneak"].error

    assert isinstance(error, GrantError)
    assert str(error) == (
        "The operator reads 'file:salaries.csv', but its flow is granted 'file:trips.csv'.\n"
        "  Fix: Add it to the flow: `@flow(grants=['file:salaries.csv'])`."
    )


def test_a_table_that_was_handed_in_is_stored_and_cached_by_its_content(
    session: Session, calls: Calls
) -> None:
    @flow
    def given(trips: Table[Trip], above: float = 1.0) -> Labels[Judged]:
        return judge(trips, above=above)

    def table(late: float) -> Table[Trip]:
        return Table[Trip].of({"trip": [1], "day": ["mon"], "late": [late]})

    given.run_with({"trips": table(2.0)}, session=session)
    given.run_with({"trips": table(2.0)}, session=session)
    given.run_with({"trips": table(3.0)}, session=session)

    assert calls.names == ["judge", "judge"]


def test_load_gives_back_what_a_past_run_made(session: Session) -> None:
    finished = run(trips_flow.plan(), session)

    loaded = headrace.load(f"run:{finished.id[:10]}/judge")

    assert isinstance(loaded, Labels)
    assert loaded.schema is not None
    assert loaded.schema.column("late").unit == "min"
    assert loaded.arrow().equals(finished["judge"].arrow())


def test_every_invocation_and_edge_is_in_the_lineage(session: Session) -> None:
    finished = run(trips_flow.plan(), session)

    graph = session.lineage.closure(finished["count_late"].digest, "up")

    operators = {n.label.rsplit(".", 1)[-1] for n in graph.nodes if n.sort == "invocation"}
    assert {"read_trips", "judge", "count_late"} <= operators


def test_an_input_holds_exactly_the_declared_columns(session: Session) -> None:
    seen: list[list[str]] = []

    @operator(deterministic=False)
    def look(trips: Table[Trip]) -> Report:
        """Look at the columns."""
        seen.append(list(trips.arrow().column_names))
        return Report.of({})

    @flow
    def narrow(trips: Table[Wide]) -> Report:
        return look(trips)

    wide = Table[Wide].of({"secret": ["x"], "late": [1.0], "day": ["mon"], "trip": [1]})
    narrow.run_with({"trips": wide}, session=session)

    assert seen == [["trip", "day", "late"]]


def test_records_carry_who_when_and_on_what(session: Session) -> None:
    finished = run(trips_flow.plan(), session)

    record = session.lineage.run(finished.id)

    assert record.parameters == {"above": 7.0, "rows": 4, "enough": 1}
    assert record.actor
    assert record.machine["cores"] >= 1
    assert record.ended_at is not None
    assert dt.timedelta(0) <= record.ended_at - record.started_at < dt.timedelta(minutes=1)
