"""Writing whole columns gives the bytes that writing each value gives."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features._online_batch import BatchEncoder, key_name
from features._online_columns import COLUMNS, feast_seconds_of
from features._online_encode import ENCODERS
from features._online_encoded import RowEncoder
from features._online_layout import layout_of
from features._online_times import feast_seconds
from features.view import Entity, FeatureView
from headrace.schemas import Column, TableSchema

SECOND = 1_000_000
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
# by logical type: values, their Arrow type in a batch, and the value that stands for one there
KINDS: dict[str, tuple[st.SearchStrategy[Any], pa.DataType, Any]] = {
    "float": (st.floats(), pa.float64(), lambda v: v),
    "int": (INT64 | st.integers(-200, 200), pa.int64(), lambda v: v),
    "bool": (st.booleans(), pa.bool_(), lambda v: v),
    "string": (st.text(max_size=200), pa.string(), lambda v: v),
    "category": (st.sampled_from(["", "é", "a\0b"]), pa.string(), lambda v: v),
    "timestamp": (
        st.integers(-(1 << 33), 1 << 34).map(lambda s: s * SECOND), pa.int64(), lambda v: v,
    ),
    "date": (
        st.integers(-20_000, 40_000).map(lambda d: date(1970, 1, 1) + timedelta(days=d)),
        pa.int64(),
        lambda v: (v - date(1970, 1, 1)).days * 86_400 * SECOND,
    ),
}  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_column_has_the_bytes_and_texts_of_its_values(data):
    dtype = data.draw(st.sampled_from(sorted(KINDS)))
    values, kind, plain = KINDS[dtype]
    given_values = data.draw(st.lists(st.none() | values, max_size=12))
    column = pa.array([None if v is None else plain(v) for v in given_values], kind)

    written, texts = COLUMNS[dtype](column)

    expected = [ENCODERS[dtype](value) for value in given_values]
    assert list(zip(written, texts, strict=True)) == expected


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_times_are_those_of_each_instant_on_a_machine_in_any_zone(zone, monkeypatch):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        hours = np.arange(-2_000, 500_000, 7) * 3_600 * SECOND  # all around the changes of clocks
        instants = np.concatenate([hours, hours - 1, hours + 899_999_999, [-1, 0, 1]])
        expected = [feast_seconds(instant) for instant in instants.tolist()]

        assert feast_seconds_of(instants) == expected
    finally:
        monkeypatch.undo()
        time.tzset()


def as_given(source: pa.Table) -> pa.Table:
    return source


def a_view(*keys: tuple[str, Any]) -> FeatureView:
    return FeatureView(
        name="gates",
        entities=tuple(Entity(name=column, column=column, dtype=dtype) for column, dtype in keys),
        source=TableSchema(name="Source", columns=(Column(name="port", dtype="string"),)),
        features=(Column(name="speed", dtype="float"), Column(name="state", dtype="string")),
        compute=as_given,
        owner="airport",
        description="What is known of a gate.",
    )


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param((("port", "string"), ("gate", "int")), id="two, sorted the other way round"),
        pytest.param((("gate", "int"),), id="an integer"),
        pytest.param((), id="no entity"),
    ],
)
def test_a_batch_is_what_its_rows_are(keys):
    view = a_view(*keys)
    entities = {"port": ["é", "", "x" * 300], "gate": [-1, 1 << 40, 0]}
    at = [1_356_998_400_000_001, -5, 0]
    speeds, states = [0.5, None, float("nan")], ["on", None, ""]
    batch = pa.record_batch(
        {
            **{key_name(i): entities[column] for i, (column, _) in enumerate(keys)},
            "event": at,
            "known": [each + 1 for each in at],
            "feature_0": pa.array(speeds, pa.float64()),
            "feature_1": states,
        }
    )

    written = BatchEncoder(layout_of(view)).encode(batch)

    encoder, now_us = RowEncoder(view), 1 << 60
    for i, (key, *fact) in enumerate(written.facts()):
        plain = (*(entities[c][i] for c, _ in keys), at[i], at[i] + 1, speeds[i], states[i])
        one = encoder.encode(plain, now_us=now_us)
        assert (key, *fact) == (one.key, one.event_us, one.known_us, one.digest)
        assert list(written.values())[i] == (one.key, *one.cells)
