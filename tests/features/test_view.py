from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol

import pandas as pd
import pyarrow as pa
import pytest

from features.view import Entity, FeatureView
from headrace import Col, Schema
from headrace.errors import BoundaryError, DataError, DefinitionError, LeakageError
from headrace.schemas import Column

SENSOR = Entity(name="sensor", column="sensor", dtype="int", description="A sensor, by number.")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Reading(Schema, Protocol):
    """This is a reading as it came in."""

    sensor: int
    event_time: datetime
    known_time: datetime
    celsius: float | None


class Temperature(Schema, Protocol):
    """This is what a sensor said."""

    celsius: Annotated[float, Col(unit="°C", sensitivity="public", description="Reading.")]


def as_read(readings: pa.Table) -> pa.Table:
    return readings


def as_a_frame(readings: pa.Table) -> pd.DataFrame:
    return readings.to_pandas().assign(celsius=lambda rows: rows["celsius"] + 1, extra="dropped")


def nothing(readings: pa.Table) -> Any:
    return None


def without_its_feature(readings: pa.Table) -> pa.Table:
    return readings.drop_columns(["celsius"])


def known_before(readings: pa.Table) -> pa.Table:
    return readings.set_column(2, "known_time", pa.array([NOON - timedelta(hours=1)]))


def view(**changes: Any) -> FeatureView:
    given: dict[str, Any] = {
        "name": "temperature",
        "entities": (SENSOR,),
        "source": Reading,
        "features": Temperature,
        "compute": as_read,
        "owner": "plant",
        "description": "Last temperature of a sensor.",
    }
    return FeatureView(**(given | changes))


def readings() -> pa.Table:
    return pa.table(
        {
            "sensor": [7],
            "event_time": [NOON],
            "known_time": [NOON + timedelta(minutes=5)],
            "celsius": [21.5],
        }
    )


def test_the_rows_of_a_view_are_its_entity_its_times_and_its_features():
    schema = view().schema

    assert schema.name == "temperature"
    assert [(c.name, c.dtype, c.role) for c in schema.columns] == [
        ("sensor", "int", "entity"),
        ("event_time", "timestamp", "event_time"),
        ("known_time", "timestamp", "known_time"),
        ("celsius", "float", "feature"),
    ]
    assert schema.column("celsius") == Column(
        name="celsius",
        dtype="float",
        nullable=True,
        role="feature",
        unit="°C",
        known_at="known_time",
        sensitivity="public",
        description="Reading.",
        source="temperature",
    )


def test_with_a_ttl_the_rows_say_until_when_they_may_be_used():
    rows = view(ttl=timedelta(hours=2)).rows(readings())

    assert rows.column_names == ["sensor", "event_time", "known_time", "expires_at", "celsius"]
    assert rows["expires_at"].to_pylist() == [NOON + timedelta(hours=2)]


def test_compute_may_return_a_frame_with_more_columns():
    rows = view(compute=as_a_frame).rows(readings())

    assert rows.column_names == ["sensor", "event_time", "known_time", "celsius"]
    assert rows["celsius"].to_pylist() == [22.5]


def test_features_may_be_given_as_columns():
    columns = (Column(name="celsius", dtype="float", unit="°C"),)

    made = view(features=columns)

    assert [c.name for c in made.columns] == ["celsius"]
    assert made.columns[0].source == "temperature"


def test_equal_views_are_equal_and_survive_pickling():
    assert view() == view()
    assert view() != view(ttl=timedelta(hours=1))
    assert pickle.loads(pickle.dumps(view())) == view()  # noqa: S301


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"name": "Temperature 2"},
            "Feature view 'Temperature 2' has a name that is not lower-case letters, digits and "
            "underscores.\n  Fix: Name it like 'airport_weather'.",
            id="a name with capitals and spaces",
        ),
        pytest.param(
            {"features": None},
            "Feature view 'temperature' declares no features.\n"
            "  Fix: Give a schema class with one annotated column a line, or compute `Windows`.",
            id="no word of features",
        ),
        pytest.param(
            {"freshness": timedelta(0)},
            "Feature view 'temperature' is to be 0:00:00 fresh.\n"
            "  Fix: Use more than zero, or None for no target.",
            id="fresh at once",
        ),
        pytest.param(
            {"stage": "depricated"},
            "Feature view 'temperature' is at the unknown stage 'depricated'.\n"
            "  Fix: Use one of proposed, active, deprecated. Did you mean 'deprecated'?",
            id="an unknown stage",
        ),
        pytest.param(
            {"replaced_by": "warmth"},
            "Feature view 'temperature' is active, but 'warmth' replaces it.\n"
            '  Fix: Say stage="deprecated", or leave `replaced_by` out.',
            id="replaced while active",
        ),
        pytest.param(
            {"stage": "deprecated", "replaced_by": "temperature"},
            "Feature view 'temperature' is replaced by itself.\n"
            "  Fix: Name another view, or leave `replaced_by` out.",
            id="replaced by itself",
        ),
        pytest.param(
            {"features": ()},
            "Feature view 'temperature' has no features.\n"
            "  Fix: Declare at least one feature column.",
            id="no features",
        ),
        pytest.param(
            {"features": (Column(name="sensor", dtype="int"),)},
            "Feature view 'temperature' has a feature 'sensor', a name that is already taken.\n"
            "  Fix: Rename the feature.",
            id="a feature named like the key",
        ),
        pytest.param(
            {"known_time": "event_time"},
            "Feature view 'temperature' uses column 'event_time' for two purposes.\n"
            "  Fix: Give every key and time its own.",
            id="one column for two times",
        ),
        pytest.param(
            {"ttl": timedelta(0)},
            "Feature view 'temperature' has a ttl of 0:00:00.\n"
            "  Fix: Use more than zero, or None for no limit.",
            id="a ttl of nothing",
        ),
        pytest.param(
            {"owner": " "},
            "Feature view 'temperature' has no owner.\n"
            "  Fix: Say who answers for it and what it is, for those who search.",
            id="no owner",
        ),
        pytest.param(
            {"source": Schema},
            "Feature view 'temperature' has a source without columns.\n"
            "  Fix: Give a schema class with one annotated column a line.",
            id="a source without columns",
        ),
        pytest.param(
            {"compute": len},
            "Feature view 'temperature' computes with len, which is not a function of a module.\n"
            "  Fix: Write `def compute(source): ...` at the top level of the view's file: its code "
            "is part of the cache key, and other processes find it by name. Or give one SELECT "
            "from the table `source`, or `Windows`.",
            id="a builtin",
        ),
        pytest.param(
            {"compute": lambda table: table},
            "Feature view 'temperature' computes with <lambda>, which is not a function of a "
            "module.\n  Fix: Write `def compute(source): ...` at the top level of the view's file: "
            "its code is part of the cache key, and other processes find it by name. Or give "
            "one SELECT from the table `source`, or `Windows`.",
            id="a lambda",
        ),
    ],
)
def test_a_view_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(DefinitionError) as error:
        view(**changes)

    assert str(error.value) == message


def test_an_entity_is_identified_exactly():
    with pytest.raises(DefinitionError) as error:
        Entity(name="place", column="latitude", dtype="float")

    assert str(error.value) == (
        "Entity 'place' is identified by 'latitude' of type float, which cannot be joined on "
        'exactly.\n  Fix: Use dtype="string" or dtype="int".'
    )


def test_what_compute_leaves_out_is_named():
    with pytest.raises(BoundaryError) as error:
        view(compute=without_its_feature).rows(readings())

    assert str(error.value) == (
        "What view 'temperature' computed does not fit schema 'temperature': column 'celsius' is "
        "missing. Known: 'event_time', 'known_time', 'sensor'.\n"
        "  Fix: Correct the data, or declare the schema as the data is."
    )


def test_a_compute_that_returns_nothing_is_named():
    with pytest.raises(DataError) as error:
        view(compute=nothing).rows(readings())

    assert str(error.value) == (
        "View 'temperature' computed nothing: `nothing` returned None.\n"
        "  Fix: Return the table of the view's rows."
    )


def test_a_row_known_before_it_happened_is_refused():
    with pytest.raises(LeakageError) as error:
        view(compute=known_before).rows(readings())

    assert str(error.value) == (
        "1 rows of view 'temperature' claim to be known before they happened, the first in row 0 "
        "(sensor 7): 'known_time' is 2024-05-01T11:00:00+00:00 but 'event_time' is "
        "2024-05-01T12:00:00+00:00.\n"
        "  Fix: Set 'known_time' to the moment from which the value could be used."
    )


def test_a_source_that_lacks_a_column_is_named():
    with pytest.raises(BoundaryError) as error:
        view().rows(readings().rename_columns(["sensor", "event_time", "known_time", "celcius"]))

    assert str(error.value) == (
        "The source of view 'temperature' does not fit schema 'Reading': column 'celsius' is "
        "missing. Did you mean 'celcius'?\n"
        "  Fix: Correct the data, or declare the schema as the data is."
    )
