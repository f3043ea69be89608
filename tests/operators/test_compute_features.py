from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import pyarrow as pa
import pytest

from features.view import Entity, FeatureView
from headrace import Col, Schema, Table
from headrace.errors import BoundaryError, ParameterError
from headrace.promise import call_of, promised_schemas
from operators.compute_features import compute_features

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Reading(Schema, Protocol):
    """This is a reading as it came in."""

    sensor: str
    event_time: datetime
    known_time: datetime
    celsius: Annotated[float, Col(unit="°C")]


class Temperature(Schema, Protocol):
    """This is what a sensor said."""

    celsius: Annotated[float, Col(unit="°C")]


class InFahrenheit(Reading, Protocol):
    """This is a reading in another unit."""

    celsius: Annotated[float, Col(unit="°F")]


class WithGaps(Reading, Protocol):
    """This is a reading that may be missing."""

    celsius: Annotated[float | None, Col(unit="°C")]


class AsText(Reading, Protocol):
    """This is a reading that somebody typed."""

    celsius: Annotated[str, Col()]  # type: ignore[assignment]


def as_read(readings: pa.Table) -> pa.Table:
    return readings


temperature = FeatureView(
    name="temperature",
    entities=(Entity(name="sensor", column="sensor"),),
    source=Reading,
    features=Temperature,
    compute=as_read,
    owner="plant",
    description="Last temperature of a sensor.",
)


def readings(schema: Any = Reading, celsius: Any = 21.5) -> Table[Any]:
    made: Table[Any] = Table[schema].of(
        {
            "sensor": ["a"],
            "event_time": [NOON],
            "known_time": [NOON + timedelta(minutes=5)],
            "celsius": [celsius],
        }
    )
    return made


def findings(source: Table[Any]) -> list[str]:
    bound = compute_features.signature.bind((source,), {"view": temperature})
    assert compute_features.options.check is not None
    return [f.problem for f in compute_features.options.check(call_of(compute_features, bound))]


def test_the_rows_have_the_views_schema_as_the_plan_promises():
    source = readings()
    bound = compute_features.signature.bind((source,), {"view": temperature})

    promised = promised_schemas(compute_features, call_of(compute_features, bound))
    rows = compute_features(source, view=temperature)

    assert promised == {"result": temperature.schema}
    assert rows.schema == temperature.schema
    assert rows.arrow().to_pylist() == [
        {
            "sensor": "a",
            "event_time": NOON,
            "known_time": NOON + timedelta(minutes=5),
            "celsius": 21.5,
        }
    ]
    assert findings(source) == []


def test_a_view_may_be_given_by_its_name_and_arrives_as_the_view():
    bound = compute_features.signature.bind((readings(),), {"view": "airport_weather"})

    from features.airport_weather import airport_weather

    assert bound.parameters["view"] is airport_weather


def test_an_unknown_view_is_told_the_nearest():
    with pytest.raises(ParameterError) as error:
        compute_features(readings(), view="tail_histori")

    assert str(error.value) == (
        "Operator 'compute_features' got a wrong parameter 'view': There is no feature view "
        "'tail_histori'. Did you mean 'tail_history' or 'carrier_history'?, got 'tail_histori'.\n"
        "  Fix: Pass a value of the declared type and range."
    )


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param(
            readings(InFahrenheit),
            "The source of view 'temperature' has column 'celsius' in °F; the view needs it in °C.",
            id="another unit",
        ),
        pytest.param(
            readings(WithGaps),
            "The source of view 'temperature' allows nulls in 'celsius'; the view does not.",
            id="nulls",
        ),
        pytest.param(
            readings(AsText, "21.5"),
            "The source of view 'temperature' has column 'celsius' as string; the view needs "
            "float.",
            id="another type",
        ),
        pytest.param(
            Table.of(readings().arrow().rename_columns({"celsius": "celcius"})),
            "The source of view 'temperature' has no column 'celsius'. Did you mean 'celcius'?",
            id="no such column",
        ),
    ],
)
def test_a_source_that_does_not_fit_is_found_by_the_plan(source, problem):
    assert findings(source) == [problem]


def test_a_source_that_does_not_fit_is_refused_at_the_run():
    source = Table.of(readings().arrow().drop_columns(["celsius"]))

    with pytest.raises(BoundaryError) as error:
        compute_features(source, view=temperature)

    assert str(error.value) == (
        "The source of view 'temperature' does not fit schema 'Reading': column 'celsius' is "
        "missing. Known: 'event_time', 'known_time', 'sensor'.\n"
        "  Fix: Correct the data, or declare the schema as the data is."
    )
