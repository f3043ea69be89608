"""These tests specify labels by outcome: the limit, maturity, censoring, and no leak."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Col, Report, Schema, Table
from headrace.calls import PlannedCall
from headrace.errors import DataError, DefinitionError, LeakageError, ParameterError
from headrace.schemas import TableSchema, schema_of
from headrace.symbols import Symbol
from operators.label_by_outcome import label_by_outcome
from operators.nycflights13 import read_airports, read_flights, time_flights

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


class Trips(Schema, Protocol):
    trip: Annotated[str, Col(role="entity", known_at="asked_at")]
    driver: Annotated[str | None, Col(known_at="asked_at")]
    miles: Annotated[float, Col(role="feature", unit="mi", known_at="asked_at")]
    due_at: Annotated[datetime, Col(role="event_time", known_at="asked_at")]
    asked_at: Annotated[datetime, Col(role="decision_time")]
    arrived_at: Annotated[datetime | None, Col(role="known_time")]
    delay: Annotated[float | None, Col(unit="min", known_at="arrived_at")]
    fate: Annotated[str, Col(known_at="arrived_at")]


def _trips(**changes: list[Any]) -> Table[Trips]:
    """Four trips asked for at noon: on the limit, above it, called off, and very late."""
    hours = [1, 2, None, 30]
    columns: dict[str, list[Any]] = {
        "trip": ["at", "over", "off", "late"],
        "driver": ["ann", None, "ann", "bob"],
        "miles": [1.0, 2.0, 3.0, 4.0],
        "due_at": [NOON + timedelta(hours=1)] * 4,
        "asked_at": [NOON] * 4,
        "arrived_at": [None if h is None else NOON + timedelta(hours=h) for h in hours],
        "delay": [15.0, 15.1, None, 1700.0],
        "fate": ["arrived", "arrived", "called off", "arrived"],
    }
    return Table[Trips].of({**columns, **changes})


def _label(trips: Table[Any], **changes: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    settings = {"outcome": "delay", "above": 15.0, "window_hours": 36.0, **changes}
    labels, report = label_by_outcome(trips, **settings)
    return labels.frame(), report.document


def test_only_what_lies_strictly_above_the_limit_is_labelled_1():
    labels, _ = _label(_trips())

    assert dict(zip(labels["trip"], labels["label"], strict=True)) == {
        "at": 0,
        "over": 1,
        "late": 1,
    }


def test_what_has_no_outcome_is_never_labelled_but_counted_with_its_reason():
    _, report = _label(_trips(), reason_column="fate")

    assert report == {
        "passed": True,
        "outcome": "delay",
        "above": 15.0,
        "window_hours": 36.0,
        "as_of": None,
        "rows": 4,
        "labelled": 3,
        "immature": 0,
        "censored": 1,
        "censored_by_reason": {"called off": 1},
        "positive_share": pytest.approx(2 / 3),
    }


def test_an_outcome_that_comes_after_the_window_is_censored_whenever_one_looks():
    labels, report = _label(_trips(), window_hours=24)

    assert list(labels["trip"]) == ["at", "over"]
    assert report["censored_by_reason"] == {"known after the window": 1, "no outcome": 1}


def test_a_row_is_immature_while_its_window_is_open_even_if_its_outcome_is_known():
    later = NOON + timedelta(hours=10)
    asked = [NOON, NOON, NOON, later]
    arrived = [NOON + timedelta(hours=1), NOON + timedelta(hours=2), None, later]
    trips = _trips(asked_at=asked, arrived_at=arrived, delay=[0.0, 20.0, None, 20.0])

    labels, report = _label(trips, window_hours=4, as_of=NOON + timedelta(hours=13.9))

    assert list(labels["trip"]) == ["at", "over"]
    assert (report["immature"], report["censored"]) == (1, 1)
    assert report["as_of"] == "2013-01-02T01:54:00+00:00"


def test_a_window_has_passed_at_the_moment_it_closes():
    _, report = _label(_trips(), as_of=NOON + timedelta(hours=36))

    assert report["immature"] == 0


def test_without_a_limit_the_label_is_the_outcome_itself():
    labels, report = label_by_outcome(_trips(), outcome="delay", window_hours=36)

    assert labels.frame()["label"].tolist() == [15.0, 15.1, 1700.0]
    assert labels.schema.column("label").dtype == "float"
    assert labels.schema.column("label").unit == "min"
    assert "positive_share" not in report.document


def test_labels_hold_what_is_known_at_the_decision_and_nothing_known_later():
    labels, _ = label_by_outcome(_trips(), outcome="delay", above=15, window_hours=36)

    roles = {c.name: c.role for c in labels.schema.columns}
    assert roles == {
        "trip": "entity",
        "driver": None,
        "miles": "feature",
        "due_at": None,
        "asked_at": "decision_time",
        "label_known_at": "known_time",
        "label": "label",
    }
    known = labels.frame().set_index("trip")["label_known_at"]
    assert known["over"] == NOON + timedelta(hours=2)


def test_the_plan_knows_the_schema_that_the_run_delivers():
    planned = _planned(schema_of(Trips), outcome="delay", above=15.0)
    labels, _ = label_by_outcome(_trips(), outcome="delay", above=15, window_hours=36)

    promised = label_by_outcome.options.produces(planned)

    assert promised["labels"] == labels.schema
    assert not label_by_outcome.options.check(planned)


def _planned(schema: TableSchema | None, **parameters: Any) -> PlannedCall:
    symbol = Symbol(node="read", slot="result", kind="Table", schema=schema)
    given = {"reason_column": None, **parameters}
    return PlannedCall(operator="label_by_outcome", parameters=given, inputs={"table": (symbol,)})


class LeakingLater(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    asked_at: Annotated[datetime, Col(role="decision_time")]
    left_at: Annotated[datetime, Col(known_at="left_at")]
    arrived_at: Annotated[datetime | None, Col(role="known_time")]
    wait: Annotated[float, Col(role="feature", known_at="left_at")]
    delay: Annotated[float | None, Col(known_at="arrived_at")]


class LeakingOutcome(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    asked_at: Annotated[datetime, Col(role="decision_time")]
    arrived_at: Annotated[datetime | None, Col(role="known_time")]
    delay: Annotated[float | None, Col(role="feature", known_at="arrived_at")]


class Silent(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    asked_at: Annotated[datetime, Col(role="decision_time")]
    arrived_at: Annotated[datetime | None, Col(role="known_time")]
    mood: Annotated[float, Col(role="feature")]
    delay: Annotated[float | None, Col(known_at="arrived_at")]


class KnownAlready(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    asked_at: Annotated[datetime, Col(role="decision_time")]
    delay: Annotated[float | None, Col(known_at="asked_at")]


class Undecided(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    arrived_at: Annotated[datetime | None, Col(role="known_time")]
    delay: Annotated[float | None, Col(known_at="arrived_at")]


class Untimed(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    asked_at: Annotated[datetime, Col(role="decision_time")]
    delay: float | None


class Taken(Schema, Protocol):
    trip: Annotated[str, Col(role="entity")]
    asked_at: Annotated[datetime, Col(role="decision_time")]
    arrived_at: Annotated[datetime | None, Col(role="known_time")]
    label: Annotated[int, Col(known_at="asked_at")]
    delay: float | None


FINDINGS = [
    pytest.param(
        LeakingLater,
        "delay",
        "leak",
        "Feature 'wait' is known at 'left_at', not at the decision ('asked_at').",
        id="a feature known later",
    ),
    pytest.param(
        LeakingOutcome,
        "delay",
        "leak",
        "'delay' is the outcome and a feature at once.",
        id="the outcome as a feature",
    ),
    pytest.param(
        Silent, "delay", "leak", "Feature 'mood' does not say when it is known.", id="a silent one"
    ),
    pytest.param(
        KnownAlready,
        "delay",
        "leak",
        "The outcome 'delay' is known at the decision ('asked_at') already.",
        id="an outcome known at the decision",
    ),
    pytest.param(
        Trips,
        "dealy",
        "unknown column",
        "Schema 'Trips' has no column 'dealy' for the outcome. Did you mean 'delay'?",
        id="an unknown column",
    ),
    pytest.param(
        Trips,
        "fate",
        "wrong type",
        "The outcome 'fate' is string, which has no order.",
        id="a text",
    ),
    pytest.param(
        Undecided,
        "delay",
        "missing role",
        "Schema 'Undecided' has 0 columns with role 'decision_time'; labels need exactly one.",
        id="no decision time",
    ),
    pytest.param(
        Untimed,
        "delay",
        "missing role",
        "Schema 'Untimed' does not say when 'delay' is known.",
        id="no known time",
    ),
    pytest.param(
        Taken, "delay", "column exists", "Schema 'Taken' has a column 'label' already.", id="taken"
    ),
]


@pytest.mark.parametrize(("schema", "outcome", "rule", "problem"), FINDINGS)
def test_a_table_that_cannot_be_labelled_is_found_in_the_plan_and_at_the_run(
    schema: type, outcome: str, rule: str, problem: str
):
    columns = {n: v for n, v in _trips().arrow().to_pydict().items()}
    columns |= {"wait": [1.0] * 4, "mood": [1.0] * 4, "left_at": [NOON] * 4, "label": [0] * 4}
    table = Table[schema].of(columns)  # type: ignore[valid-type]

    (finding,) = label_by_outcome.options.check(
        _planned(schema_of(schema), outcome=outcome, above=15.0)
    )
    with pytest.raises(LeakageError if rule == "leak" else DefinitionError) as refused:
        label_by_outcome(table, outcome=outcome, above=15, window_hours=36)

    assert (finding.rule, finding.problem) == (rule, problem)
    assert refused.value.problem == problem


def test_the_remedy_for_a_leak_names_the_decision():
    (finding,) = label_by_outcome.options.check(
        _planned(schema_of(LeakingLater), outcome="delay", above=15.0)
    )

    assert finding.remedy == (
        "Take the role 'feature' from it, or, if it is known by then, declare "
        '`known_at="asked_at"`.'
    )


def test_a_feature_that_holds_the_outcome_is_refused_whatever_it_declares():
    trips = _trips(miles=[15.0, 15.1, 9.9, 1700.0])

    with pytest.raises(LeakageError) as refused:
        _label(trips)

    assert refused.value.problem == "Feature 'miles' holds the outcome 'delay' in every row."


WRONG_DATA = [
    pytest.param(
        {"arrived_at": [None, NOON + timedelta(hours=2), None, None]},
        "Row 0 and 1 more: it has 'delay' but no 'arrived_at', so it is not known when it became "
        "known.",
        id="an outcome without its moment",
    ),
    pytest.param(
        {"arrived_at": [NOON, NOON - timedelta(hours=1), None, NOON]},
        "Row 1 and 0 more: it has 'delay' known at 'arrived_at', before its decision.",
        id="an outcome before its decision",
    ),
    pytest.param(
        {"delay": [None] * 4},
        "No row can be labelled: of 4 rows 0 are immature and 4 censored.",
        id="no outcome at all",
    ),
    pytest.param(
        {"delay": [1.0, 2.0, None, 15.0]},
        "Of 3 labelled rows none have 'delay' above 15, so there is one class only and nothing "
        "to learn.",
        id="none above",
    ),
    pytest.param(
        {"delay": [16.0, 17.0, None, 18.0]},
        "Of 3 labelled rows all have 'delay' above 15, so there is one class only and nothing "
        "to learn.",
        id="all above",
    ),
]


@pytest.mark.parametrize(("changes", "problem"), WRONG_DATA)
def test_data_that_cannot_be_labelled_is_refused(changes: dict[str, list[Any]], problem: str):
    with pytest.raises(DataError) as refused:
        _label(_trips(**changes))

    assert refused.value.problem == problem


def test_an_empty_table_is_refused():
    empty = Table[Trips].of(_trips().arrow().slice(0, 0))

    with pytest.raises(DataError) as refused:
        _label(empty)

    assert str(refused.value) == (
        "The table to label has no rows.\n  Fix: Check what was read or filtered before."
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"window_hours": 0}, id="no window"),
        pytest.param({"as_of": datetime(2013, 1, 1)}, id="a naive moment"),
    ],
)
def test_parameters_out_of_range_are_refused(changes: dict[str, Any]):
    with pytest.raises(ParameterError, match=f"wrong parameter.*{next(iter(changes))}"):
        _label(_trips(), **changes)


@given(
    arrivals=st.lists(st.one_of(st.none(), st.integers(0, 50)), min_size=1, max_size=12),
    window=st.integers(1, 40),
    as_of=st.one_of(st.none(), st.integers(0, 60)),
)
def test_every_row_is_labelled_immature_or_censored(
    arrivals: list[int | None], window: int, as_of: int | None
):
    hours = [1, 1, *arrivals]  # two that are labelled, one of each class, unless immature
    rows = len(hours)
    arrived = [None if h is None else NOON + timedelta(hours=h) for h in hours]
    delays = [0.0, 60.0, *(None if h is None else float(h * 60) for h in arrivals)]
    trips = Table[Trips].of(
        {
            "trip": [str(i) for i in range(rows)],
            "driver": [None] * rows,
            "miles": [-1.0] * rows,
            "due_at": [NOON] * rows,
            "asked_at": [NOON] * rows,
            "arrived_at": arrived,
            "delay": delays,
            "fate": ["?"] * rows,
        }
    )
    moment = None if as_of is None else NOON + timedelta(hours=as_of)

    if as_of is not None and as_of < window:
        with pytest.raises(DataError, match=f"of {rows} rows {rows} are immature"):
            _label(trips, window_hours=window, as_of=moment)
        return
    labels, report = _label(trips, window_hours=window, as_of=moment)

    assert report["labelled"] + report["immature"] + report["censored"] == rows
    assert report["labelled"] == len(labels) == sum(h is not None and h <= window for h in hours)


@pytest.fixture(scope="module")
def real() -> tuple[pd.DataFrame, Report]:
    flights = time_flights(read_flights(), read_airports())
    labels, report = label_by_outcome(
        flights, outcome="arrival_delay", above=15, window_hours=36, reason_column="outcome"
    )
    return labels.frame(), report


def test_of_the_year_of_flights_none_is_lost(real: tuple[pd.DataFrame, Report]):
    _, report = real
    document = report.document

    assert document["rows"] == document["labelled"] + document["censored"] == 336_776
    assert document["censored_by_reason"] == {"cancelled": 8_255, "diverted": 1_175}
    assert document["positive_share"] == pytest.approx(0.2371, abs=1e-4)


def test_the_labels_of_flights_are_known_after_their_decision_and_hold_no_outcome(
    real: tuple[pd.DataFrame, Report],
):
    labels, _ = real

    assert (labels["label_known_at"] > labels["decided_at"]).all()
    assert not {"arrival_delay", "departure_delay", "landed_at", "departed_at", "outcome"} & set(
        labels.columns
    )
