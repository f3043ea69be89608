"""This module declares features that are aggregates over windows of time, as known at each moment.

    airline_record = FeatureView(
        name="airline_record", entities=(CARRIER,), source=Landing, owner="flight-delay",
        description="How punctual an airline was lately.",
        compute=Windows(
            row_id="flight_id",
            aggregates=(
                count(over=(DAY, WEEK)),
                mean("arrival_delay", over=WEEK),
                rate("arrival_delay", above=15, over=WEEK),
            ),
        ),
    )

At any moment T a feature is the aggregate of the entity's rows whose event lies in (T - window, T]
and that were known by T. It changes when a row becomes known and when one leaves the window, so
there is a row of the view for each of those moments; where a window has run empty, counts and sums
are 0 and all else is null. The order of the source's rows never matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from features._window_aggregates import (
    Aggregate,
    count,
    distinct,
    last,
    max_of,
    mean,
    min_of,
    rate,
    sum_of,
)
from features._window_columns import columns_of
from headrace.errors import DefinitionError
from headrace.schemas import Column, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

    from features.view import FeatureView

__all__ = [
    "Aggregate",
    "Windows",
    "count",
    "distinct",
    "last",
    "max_of",
    "mean",
    "min_of",
    "rate",
    "sum_of",
]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """This computes a feature view as aggregates of its source's rows over windows of time.

    Rows with a null key, event time or known time are left out. Nulls (and NaN) in a column are
    ignored by whatever reads it.

    Args:
        aggregates: What to aggregate, over which windows.
        event_time: Column of the source with the moment that a row is about; None for the one with
            the role.
        known_time: Column with the moment from which a row could be used, likewise.
        row_id: Column that identifies a row. Of several rows with one id, each is in force from
            its known time until the next is known: the last one known counts. None where every row
            stands for itself.

    Raises:
        DefinitionError: There are no aggregates.
    """

    aggregates: tuple[Aggregate, ...]
    event_time: str | None = None
    known_time: str | None = None
    row_id: str | None = None

    def __post_init__(self) -> None:
        given = self.aggregates
        object.__setattr__(self, "aggregates", tuple(given) if isinstance(given, Sequence) else ())
        wrong = [a for a in self.aggregates if not isinstance(a, Aggregate)]
        if wrong or not self.aggregates:
            raise DefinitionError(
                f"Windows have {'the aggregate ' + repr(wrong[0]) if wrong else 'no aggregates'}.",
                remedy='Give a tuple of aggregates: aggregates=(mean("delay", over=WEEK),).',
            )

    @property
    def longest(self) -> timedelta | None:
        """How far the longest window reaches back; None for ever."""
        spans = [over for a in self.aggregates for over in a.over]
        known = [span for span in spans if span is not None]
        return None if len(known) < len(spans) else max(known)

    def columns_of(self, source: TableSchema) -> tuple[Column, ...]:
        """Return the features over a source, which says their types, units and sensitivity.

        Raises:
            UnknownNameError: The source has no such column; the message offers the nearest.
            DefinitionError: Two features have one name, or a column cannot be aggregated so.
        """
        return columns_of(self, source)

    def rows(self, source: pa.Table, view: FeatureView) -> pa.Table:
        """Return the rows of a view: one for every moment at which a feature of an entity changes.

        Args:
            source: Rows of the view's source.
            view: The view.

        Raises:
            LeakageError: A row is known before it happened, or one of its values only after the
                row's known time.
            DataError: A row has no id, or a sum of integers does not fit into 64 bits.
        """
        from features._window_rows import window_rows

        return window_rows(self, source, view)
