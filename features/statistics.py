"""This module describes the rows of a view in numbers, as they are shown to who looks for features.

One column after the other is looked at, so that memory stays at a few times one column, whatever
the number of columns. All is exact and in a fixed order: the same rows have the same profile.
Of columns of sensitivity "personal" or "secret" nothing is kept from which a value could be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from features._statistics_numbers import described, numbers_of, short
from features._statistics_texts import described_texts, distinct_rows
from features._statistics_time import TimeBuckets

if TYPE_CHECKING:
    import pyarrow as pa

    from features.view import FeatureView
    from headrace.schemas import Column

__all__ = ["HIDDEN", "profile_of"]

HIDDEN = frozenset({"personal", "secret"})


def profile_of(view: FeatureView, rows: pa.Table) -> dict[str, Any]:
    """Describe the rows of a view: each feature's distribution, and how it went over time.

    Args:
        view: The view.
        rows: Its rows, in any order and in one or many chunks; none is fine. NaN is a null.

    Returns:
        JSON-like: `rows`; `entities`, how many there are; `event` and `known`, the first and last
        of those times; `times`, at most 24 equal stretches of known time with the rows in each; and
        for each feature in `columns` its `dtype`, `count` without nulls, `null_rate`, `distinct`;
        of numbers `min`, `max`, `mean`, `std`, `quantiles` and a `histogram` of at most 20 bins;
        of texts and dates the most frequent values in `top`; of booleans `share_true`; and in
        `over_time` the null rate and the mean of each stretch. Figures that do not exist, such as
        the mean of nothing, are null. Of personal and secret columns there are only counts.
    """
    times = TimeBuckets.of(rows, view.known_time)
    return {
        "rows": rows.num_rows,
        "entities": _entities(rows, view.keys),
        "event": _ends(rows, view.event_time),
        "known": _ends(rows, view.known_time),
        "times": times.to_json(),
        "columns": {column.name: _column(column, rows, times) for column in view.columns},
    }


def _column(column: Column, rows: pa.Table, times: TimeBuckets) -> dict[str, Any]:
    values = rows.column(column.name)
    numbers = numbers_of(values)
    if numbers is None:
        count = len(values) - values.null_count
        told, over_time = described_texts(values), times.nulls(values.is_null())
    else:
        count = numbers.count
        told, over_time = described(numbers, column.dtype), times.numbers(numbers)
        if column.dtype in ("timestamp", "date"):
            del over_time["mean"]  # a mean of moments tells nothing
    shown = {
        "dtype": column.dtype,
        "count": count,
        "null_rate": short(1 - count / len(values)) if len(values) else None,
    }
    if column.sensitivity not in HIDDEN:
        return {**shown, **told, "over_time": over_time}
    # means and bins of few rows are values
    return {
        **shown,
        "distinct": told["distinct"],
        "hidden": f"It is {column.sensitivity}: values are not shown.",
        "over_time": {"null_rate": over_time["null_rate"]},
    }


def _entities(rows: pa.Table, keys: Sequence[str]) -> int:
    if not keys:
        return int(rows.num_rows > 0)  # one row is for everybody
    return distinct_rows(rows.select(list(keys)))


def _ends(rows: pa.Table, column: str) -> dict[str, str | None]:
    import pyarrow.compute as pc

    ends = pc.min_max(rows.column(column)).as_py()
    return {
        name: None if (moment := ends[end]) is None else moment.isoformat()
        for name, end in (("first", "min"), ("last", "max"))
    }
