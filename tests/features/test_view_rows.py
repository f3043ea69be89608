from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pytest

from features.publish import publish
from features.store import published
from features.view import Entity, FeatureView
from headrace import Schema, Table
from headrace.clock import VirtualClock, using_clock
from headrace.errors import BoundaryError, DataError, LeakageError
from headrace.settings import using_settings
from operators.compute_features import compute_features

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ENTITY = Entity(name="sensor", column="sensor")


class Reading(Schema, Protocol):
    """This is a reading as it came in."""

    sensor: str
    event_time: datetime
    known_time: datetime
    celsius: float | None


class Temperature(Schema, Protocol):
    """This is what a sensor said."""

    celsius: float


def readings(sensors: str = "aabc") -> pa.Table:
    times = [NOON + timedelta(hours=i) for i in range(len(sensors))]
    return pa.table(
        {
            "sensor": list(sensors),
            "event_time": times,
            "known_time": times,
            "celsius": [20.0 + i for i in range(len(sensors))],
        }
    )


def view(compute: Any, **changes: Any) -> FeatureView:
    given: dict[str, Any] = {
        "name": "temperature",
        "entities": (ENTITY,),
        "source": Reading,
        "features": Temperature,
        "compute": compute,
        "owner": "plant",
        "description": "Last temperature of a sensor.",
    }
    return FeatureView(**(given | changes))


def as_read(source: pa.Table) -> pa.Table:
    return source


def said_twice(source: pa.Table) -> pa.Table:
    return pa.concat_tables([source, source.slice(1, 2)])


def without_its_feature(source: pa.Table) -> pa.Table:
    return source.rename_columns(["sensor", "event_time", "known_time", "celsuis"])


def in_words(source: pa.Table) -> pa.Table:
    return source.set_column(3, "celsius", pa.array(["warm"] * source.num_rows))


def without_a_zone(source: pa.Table) -> pd.DataFrame:
    return source.to_pandas().assign(
        event_time=lambda rows: rows["event_time"].dt.tz_localize(None)
    )


def divides_by_zero(source: pa.Table) -> pa.Table:
    return source.slice(0, source.num_rows // 0)


def refuses(source: pa.Table) -> pa.Table:
    raise DataError("The readings are of another plant.", remedy="Ask for ours.")


def test_sql_computes_a_view_as_a_function_does():
    text = "SELECT sensor, event_time, known_time, celsius + 1 AS celsius FROM source"

    rows = view(text, ttl=timedelta(hours=1)).rows(readings())

    assert rows["celsius"].to_pylist() == [21.0, 22.0, 23.0, 24.0]
    assert rows["event_time"].to_pylist() == readings()["event_time"].to_pylist()
    assert rows["expires_at"][0].as_py() == NOON + timedelta(hours=1)


def test_a_view_may_be_about_no_entity():
    text = "SELECT event_time, known_time, avg(celsius) OVER (ORDER BY event_time) AS celsius " \
        "FROM source"  # fmt: skip
    everywhere = view(text, entities=())

    rows = everywhere.rows(readings())

    assert everywhere.keys == ()
    assert rows.column_names == ["event_time", "known_time", "celsius"]
    assert rows["celsius"].to_pylist() == [20.0, 20.5, 21.0, 21.5]


@pytest.mark.parametrize(
    ("compute", "kind", "message"),
    [
        pytest.param(
            said_twice,
            DataError,
            "View 'temperature' says more than one thing about 2 combinations of entity, event and "
            "known time, the first: 2 rows from row 1 on (sensor 'a', event_time "
            "2024-05-01T13:00:00+00:00, known_time 2024-05-01T13:00:00+00:00); 2 rows from row 2 "
            "on (sensor 'b', event_time 2024-05-01T14:00:00+00:00, known_time "
            "2024-05-01T14:00:00+00:00).\n"
            "  Fix: Compute one row for each: join, aggregate or take the last.",
            id="duplicate keys",
        ),
        pytest.param(
            without_its_feature,
            BoundaryError,
            "What view 'temperature' computed does not fit schema 'temperature': column 'celsius' "
            "is missing. Did you mean 'celsuis'?\n"
            "  Fix: Correct the data, or declare the schema as the data is.",
            id="a missing column",
        ),
        pytest.param(
            in_words,
            BoundaryError,
            "What view 'temperature' computed does not fit schema 'temperature': column 'celsius' "
            "is float but holds string, such as 'warm'.\n"
            "  Fix: Correct the data, or declare the schema as the data is.",
            id="another type",
        ),
        pytest.param(
            without_a_zone,
            BoundaryError,
            "What view 'temperature' computed does not fit schema 'temperature': column "
            "'event_time' holds times without a time zone.\n"
            "  Fix: Correct the data, or declare the schema as the data is.",
            id="naive timestamps",
        ),
        pytest.param(
            divides_by_zero,
            DataError,
            "View 'temperature' could not be computed: `divides_by_zero` raised ZeroDivisionError: "
            "integer division or modulo by zero, in features/test_view_rows.py, line LINE.\n"
            "  Fix: Correct what computes it, or the source that it does not expect.",
            id="it raises",
        ),
        pytest.param(
            refuses,
            DataError,
            "The readings are of another plant.\n  Fix: Ask for ours.",
            id="it says itself what is wrong",
        ),
        pytest.param(
            "SELECT sensor, event_time, known_time, celsuis AS celsius FROM source",
            DataError,
            "View 'temperature' could not be computed: its SQL raised BinderException: Binder "
            'Error: Referenced column "celsuis" not found in FROM clause! Candidate bindings: '
            '"celsius", "sensor".\n'
            "  Fix: Correct what computes it, or the source that it does not expect.",
            id="SQL that asks for another column",
        ),
        pytest.param(
            "SELECT * FROM read_csv('secrets.csv')",
            DataError,
            "View 'temperature' could not be computed: its SQL raised PermissionException: "
            'Permission Error: Cannot access file "secrets.csv" - file system operations are '
            "disabled by configuration.\n"
            "  Fix: Correct what computes it, or the source that it does not expect.",
            id="SQL that reads a file",
        ),
    ],
)
def test_bad_rows_are_refused_with_view_column_rows_and_remedy(
    compute: Callable[[pa.Table], Any] | str, kind: type[Exception], message: str
):
    line = str(divides_by_zero.__code__.co_firstlineno + 1)

    with pytest.raises(kind) as error:
        view(compute).rows(readings())

    assert str(error.value) == message.replace("LINE", line)


def test_a_view_that_was_published_stays_as_it_was_when_its_rows_turn_bad(tmp_path):
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON + timedelta(hours=2))):
        good = compute_features(Table.of(readings("ab")), view=view(as_read))
        publish(good, view=view(as_read))
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        future = compute_features(Table.of(readings("aabc")), view=view(as_read))

        with pytest.raises(LeakageError) as error:
            publish(future, view=view(as_read))

        assert str(error.value) == (
            "1 rows of view 'temperature' claim to be known after now, 2024-05-01T14:00:00+00:00: "
            "row 3 (sensor 'c', known_time 2024-05-01T15:00:00+00:00).\n"
            "  Fix: Set 'known_time' to the moment from which the value could be used; leave "
            "forecasts of later moments out until then."
        )
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
        found = published("temperature")
        assert found is not None
        assert found.digest == good.digest
