from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from features._statistics_freshness import freshness_of
from features.statistics import profile_of
from features.view import Entity, FeatureView
from headrace.clock import VirtualClock, using_clock
from headrace.schemas import Column, TableSchema

T0 = datetime(2013, 1, 1, tzinfo=UTC)
SOURCE = TableSchema(name="Source", columns=(Column(name="shop", dtype="string"),))
TIME = pa.timestamp("us", tz="UTC")


def compute(source):
    return source


def view_of(*columns: Column, keys: tuple[str, ...] = ("shop",)) -> FeatureView:
    return FeatureView(
        name="sales",
        entities=tuple(Entity(name=key, column=key) for key in keys),
        source=SOURCE,
        features=columns,
        compute=compute,
        owner="retail",
        description="What a shop sold.",
    )


def rows_of(values: Any, kind: pa.DataType, *, known: list[datetime] | None = None) -> pa.Table:
    count = len(values)
    moments = known or [T0 + timedelta(hours=hour) for hour in range(count)]
    return pa.table(
        {
            "shop": pa.array([f"shop {row % 3}" for row in range(count)], pa.string()),
            "event_time": pa.array(moments, TIME),
            "known_time": pa.array(moments, TIME),
            "x": pa.array(values, kind),
        }
    )


def column_of(values: Any, kind: pa.DataType, dtype: Any, **more: Any) -> dict[str, Any]:
    view = view_of(Column(name="x", dtype=dtype, **more))
    profile = profile_of(view, rows_of(values, kind))
    json.dumps(profile, allow_nan=False)  # JSON-like, without NaN
    return profile["columns"]["x"]


def test_numbers_are_described_exactly():
    told = column_of([1.0, 2.0, None, 4.0, float("nan"), 4.0], pa.float64(), "float")

    over_time = told.pop("over_time")
    assert told == {
        "dtype": "float",
        "count": 4,
        "null_rate": pytest.approx(1 / 3),
        "distinct": 3,
        "min": 1.0,
        "max": 4.0,
        "mean": 2.75,
        "std": pytest.approx(np.std([1, 2, 4, 4])),
        "quantiles": {
            "0.01": pytest.approx(1.03), "0.05": 1.15, "0.25": 1.75, "0.5": 3.0, "0.75": 4.0,
            "0.95": 4.0, "0.99": 4.0,
        },
        "histogram": {"values": [1.0, 2.0, 4.0], "counts": [1, 1, 2]},
    }  # fmt: skip
    assert [v for v in over_time["mean"] if v is not None] == [1.0, 2.0, 4.0, 4.0]
    assert [v for v in over_time["null_rate"] if v is not None] == [0, 0, 1, 0, 1, 0]


def test_few_far_values_do_not_put_all_others_into_one_bin():
    told = column_of([*np.linspace(0, 1, 10_000), 1e9], pa.float64(), "float")

    bins = told["histogram"]
    assert (bins["edges"][0], bins["edges"][-1]) == (0.0, 1e9)
    assert len(bins["counts"]) == 20
    assert sum(bins["counts"]) == 10_001
    assert max(bins["counts"]) < 600


def test_infinite_values_are_counted_apart():
    told = column_of([1.0, float("inf"), float("-inf"), 3.0], pa.float64(), "float")

    assert (told["infinite"], told["min"], told["max"], told["mean"]) == (2, 1.0, 3.0, 2.0)


def test_texts_are_told_by_the_most_frequent_and_of_equals_the_first_in_the_alphabet():
    told = column_of(["b", "a", "b", None, "c", "a"], pa.string(), "string")

    del told["over_time"]
    assert told == {
        "dtype": "string",
        "count": 5,
        "null_rate": pytest.approx(1 / 6),
        "distinct": 3,
        "top": [
            {"value": "a", "count": 2, "share": 0.4},
            {"value": "b", "count": 2, "share": 0.4},
            {"value": "c", "count": 1, "share": 0.2},
        ],
    }


def test_categories_booleans_integers_and_dates_have_figures_of_their_own():
    category = column_of(["x", "y", "x"], pa.dictionary(pa.int32(), pa.string()), "category")
    truth = column_of([True, None, False, True], pa.bool_(), "bool")
    whole = column_of([2**53 + 1, 3], pa.int64(), "int")
    day = column_of([date(2013, 1, 1), date(2013, 1, 3)], pa.date32(), "date")
    moment = column_of([T0, None], TIME, "timestamp")

    assert [top["value"] for top in category["top"]] == ["x", "y"]
    assert truth["share_true"] == pytest.approx(2 / 3)
    assert (whole["max"], whole["min"]) == (2**53 + 1, 3)
    assert (day["min"], day["max"]) == ("2013-01-01", "2013-01-03")
    assert (moment["max"], moment["null_rate"]) == ("2013-01-01T00:00:00+00:00", 0.5)
    assert set(moment["over_time"]) == {"null_rate"}


@pytest.mark.parametrize("sensitivity", ["personal", "secret"])
@pytest.mark.parametrize(("values", "kind", "dtype"), [
    pytest.param([61_234.0, None], pa.float64(), "float", id="a number"),
    pytest.param(["Ada", None], pa.string(), "string", id="a text"),
])  # fmt: skip
def test_nothing_from_which_a_value_could_be_read_is_kept(sensitivity, values, kind, dtype):
    told = column_of(values, kind, dtype, sensitivity=sensitivity)

    assert told["hidden"] == f"It is {sensitivity}: values are not shown."
    assert set(told) == {"dtype", "count", "null_rate", "distinct", "hidden", "over_time"}
    assert set(told["over_time"]) == {"null_rate"}
    assert "Ada" not in json.dumps(told)
    assert "61" not in json.dumps(told)


def test_time_is_cut_into_equal_stretches_and_empty_ones_have_no_figures():
    known = [T0, T0 + timedelta(hours=1), T0 + timedelta(days=24) - timedelta(microseconds=1)]

    profile = profile_of(
        view_of(Column(name="x", dtype="int")), rows_of([1, 3, None], pa.int64(), known=known)
    )

    times, over_time = profile["times"], profile["columns"]["x"]["over_time"]
    assert len(times["edges"]) == 25
    assert (times["edges"][1], times["edges"][-1]) == (
        "2013-01-02T00:00:00+00:00",
        "2013-01-25T00:00:00+00:00",
    )
    assert times["rows"] == [2, *[0] * 22, 1]
    assert over_time["mean"] == [2.0, *[None] * 23]
    assert over_time["null_rate"] == [0.0, *[None] * 22, 1.0]


def test_a_view_says_how_many_entities_it_has_and_one_without_entities_has_one():
    x = Column(name="x", dtype="int")
    rows = rows_of([1, 2, 3, 4], pa.int64())

    of_shops = profile_of(view_of(x), rows)
    of_everybody = profile_of(view_of(x, keys=()), rows.drop_columns("shop"))

    assert (of_shops["rows"], of_shops["entities"], of_everybody["entities"]) == (4, 3, 1)
    assert of_shops["known"]["last"] == "2013-01-01T03:00:00+00:00"


def test_no_rows_have_a_profile_too():
    columns = [Column(name="x", dtype="float")]

    profile = profile_of(view_of(*columns), rows_of([], pa.float64()))

    json.dumps(profile, allow_nan=False)
    assert (profile["rows"], profile["entities"]) == (0, 0)
    assert profile["times"] == {"edges": [], "rows": []}
    told = profile["columns"]["x"]
    assert (told["null_rate"], told["mean"], told["distinct"]) == (None, None, 0)


floats = st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=60)


@hypothesis_settings(max_examples=60, deadline=None)
@given(floats, st.randoms(use_true_random=False))
def test_order_and_chunks_of_rows_change_nothing_but_rounding(values, shuffling):
    order = list(range(len(values)))
    shuffling.shuffle(order)
    whole = rows_of(values, pa.float64())
    mixed = whole.take(order)
    cut = len(values) // 2
    chunked = pa.concat_tables([mixed.slice(0, cut), mixed.slice(cut)])
    view = view_of(Column(name="x", dtype="float"))

    one, other = profile_of(view, whole), profile_of(view, chunked)

    numbers = [value for value in values if value is not None]
    told = one["columns"]["x"]
    assert told == profile_of(view, whole)["columns"]["x"]
    assert told["distinct"] == len(set(numbers))
    assert sum(told.get("histogram", {"counts": [0]})["counts"]) == len(numbers)
    for name in ("count", "distinct", "min", "max", "quantiles", "histogram"):
        assert told.get(name) == other["columns"]["x"].get(name)
    if numbers:
        for name in ("mean", "std"):
            assert told[name] == pytest.approx(other["columns"]["x"][name], rel=1e-6, abs=1e-6)
        assert told["mean"] == pytest.approx(np.mean(numbers), rel=1e-6, abs=1e-6)


@pytest.mark.slow
def test_memory_stays_bounded_for_millions_of_different_texts():
    """Two million rows, so that the test is short; memory does not grow with the columns."""
    code = """
import resource, numpy as np, pyarrow as pa
from datetime import UTC, datetime
from tests_view import view
count = 2_000_000
numbers = np.random.default_rng(0).random(count)
times = pa.array(np.arange(count) * 1_000_000, pa.timestamp("us", tz="UTC"))
columns = {"shop": pa.array(np.arange(count) % 50_000).cast(pa.string())}
columns |= {"event_time": times, "known_time": times}
columns |= {f"x{n}": pa.array(numbers) for n in range(8)}
columns["text"] = pa.array(np.arange(count)).cast(pa.string())
rows = pa.table(columns)
from features.statistics import profile_of
import duckdb
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
told = profile_of(view(8), rows)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
print(told["columns"]["text"]["distinct"], told["entities"])
"""
    module = """
from features.view import Entity, FeatureView
from headrace.schemas import Column, TableSchema
def compute(source): return source
def view(count):
    columns = tuple(Column(name=f"x{n}", dtype="float") for n in range(count))
    return FeatureView(name="v", entities=(Entity(name="shop", column="shop"),),
        source=TableSchema(name="S", columns=(Column(name="shop", dtype="string"),)),
        features=(*columns, Column(name="text", dtype="string")), compute=compute, owner="o",
        description="d")
"""
    inline = (
        f"import sys, types; m = types.ModuleType('tests_view'); exec({module!r}, m.__dict__); "
    )

    done = subprocess.run(
        [sys.executable, "-c", f"{inline}sys.modules['tests_view'] = m\n{code}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    grown, counts = done.stdout.splitlines()  # and nothing else, such as progress
    assert int(grown) < 700  # MB
    assert counts == "2000000 50000"


@pytest.mark.parametrize(
    ("age", "target", "state", "late_by"),
    [
        pytest.param(timedelta(hours=2), timedelta(hours=3), "fresh", None, id="in time"),
        pytest.param(timedelta(hours=3), timedelta(hours=3), "fresh", None, id="just in time"),
        pytest.param(timedelta(hours=5), timedelta(hours=3), "stale", 7200.0, id="late"),
        pytest.param(timedelta(hours=5), None, "no target", None, id="nobody promised anything"),
    ],
)
def test_freshness_is_the_newest_known_row_against_the_target_by_the_kernels_clock(
    age, target, state, late_by
):
    with using_clock(VirtualClock(T0)):
        told = freshness_of(T0 - age, target).to_json()

    assert (told["state"], told["late_by_seconds"]) == (state, late_by)
    assert told["age_seconds"] == age.total_seconds()


def test_without_rows_nothing_is_fresh():
    assert freshness_of(None, timedelta(hours=1)).state == "no rows"
