"""These tests hold our verdicts to those of great-expectations, check by check."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators._validate_gx import full_report
from operators._validate_sql import judge
from operators.validate import (
    Check,
    Suite,
    between,
    distinct_between,
    in_set,
    length_between,
    matches,
    mean_between,
    not_null,
    null_share,
    ordered,
    row_count,
    unique,
)

NEW_YEAR = datetime(2013, 1, 1, tzinfo=UTC)
small = st.integers(-3, 3)
floats = st.one_of(st.none(), st.just(float("nan")), small.map(lambda n: n / 2))
texts = st.one_of(st.none(), st.text("abN19é\n ", max_size=3))
moments = st.one_of(st.none(), small.map(lambda n: NEW_YEAR + timedelta(hours=n)))
shares = st.sampled_from([1.0, 0.9, 0.75, 2 / 3, 0.5, 0.3, 0.1])


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(1, 8))

    def column(values: st.SearchStrategy[Any], kind: pa.DataType) -> pa.Array:
        return pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind)

    return pa.table(
        {
            "n": column(small, pa.int64()),
            "m": column(small, pa.int64()),
            "x": column(floats, pa.float64()),
            "y": column(floats, pa.float64()),
            "text": column(texts, pa.string()),
            "kind": column(st.sampled_from(["a", "b", None]), pa.string()).dictionary_encode(),
            "at": column(moments, pa.timestamp("us", "UTC")),
        }
    )


@st.composite
def spans(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> tuple[Any, Any]:
    low, high = sorted((draw(values), draw(values)))
    return draw(st.sampled_from([(low, high), (low, None), (None, high)]))


number_spans = spans(small)
count_spans = spans(st.integers(0, 8))
moment_spans = spans(small.map(lambda n: NEW_YEAR + timedelta(hours=n)))
numeric, anything = st.sampled_from(["n", "x"]), st.sampled_from(["n", "x", "text", "kind", "at"])
patterns = st.sampled_from(["a*", r"N\d+", r"\w*", ".", "a|b", "(?i)n.*", "a$", r"[^a]\s?"])

CHECKS: dict[str, st.SearchStrategy[Check]] = {
    "not_null": st.builds(not_null, anything, mostly=shares),
    "null_share": st.builds(
        null_share, anything, at_most=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
    ),
    "between numbers": st.builds(
        lambda c, s, m: between(c, *s, mostly=m), numeric, number_spans, shares
    ),
    "between instants": st.builds(lambda s, m: between("at", *s, mostly=m), moment_spans, shares),
    "in_set of numbers": st.builds(
        in_set, numeric, st.lists(small, min_size=1, unique=True), mostly=shares
    ),
    "in_set of texts": st.builds(
        in_set,
        st.sampled_from(["text", "kind"]),
        st.lists(st.sampled_from(["a", "b", "N1", "", "é"]), min_size=1, unique=True),
        mostly=shares,
    ),
    "matches": st.builds(matches, st.sampled_from(["text", "kind"]), patterns, mostly=shares),
    "length_between": st.builds(
        lambda s, m: length_between("text", *s, mostly=m), count_spans, shares
    ),
    "unique": st.builds(unique, anything),
    "unique together": st.lists(anything, min_size=2, max_size=3, unique=True).map(
        lambda columns: unique(*columns)
    ),
    "row_count": count_spans.map(lambda s: row_count(*s)),
    "mean_between": st.builds(lambda c, s: mean_between(c, *s), numeric, number_spans),
    "distinct_between": st.builds(lambda c, s: distinct_between(c, *s), anything, count_spans),
    "ordered": st.builds(
        lambda pair, strictly, m: ordered(*pair, strictly=strictly, mostly=m),
        st.sampled_from([("n", "m"), ("x", "y"), ("y", "x"), ("n", "y")]),
        st.booleans(),
        shares,
    ),
}


@pytest.mark.parametrize("kind", CHECKS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_our_verdict_is_that_of_great_expectations(kind: str, data: st.DataObject):
    table = data.draw(tables())
    # One report for many checks: starting great-expectations costs more than judging.
    checks = data.draw(st.lists(CHECKS[kind], min_size=1, max_size=8, unique=True))

    ours = [r.passed for r in judge(table, Suite(name="any", checks=tuple(checks)))]
    theirs = full_report(table, checks)["results"]

    assert [r["exception"] for r in theirs] == [None] * len(checks)
    assert ours == [r["success"] for r in theirs]
