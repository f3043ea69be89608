"""This module takes from a view's rows what the online store is to have, as plain values."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from features._online_encoded import Row
from features._view_rows import EXPIRES, require_known_after_event
from features.view import FeatureView

if TYPE_CHECKING:
    import pyarrow as pa


def conformed(view: FeatureView, rows: pa.Table) -> pa.Table:
    """Return what the online store takes of a view's rows: keys, times and features, in order.

    Raises:
        BoundaryError: The rows do not fit the view; a null key is one reason.
        LeakageError: A row claims to be known before it happened.
    """
    from headrace.conform import conform

    schema = view.schema if view.ttl is None else view.schema.dropping([EXPIRES])
    table = conform(rows, schema, where=f"What is pushed to view '{view.name}'")
    require_known_after_event(table, schema)
    return table


def plain_rows(view: FeatureView, rows: pa.Table) -> list[Row]:
    """Return rows as the online store takes them fastest; see `OnlineStore.push_rows`.

    Args:
        view: The view.
        rows: Its rows; `expires_at` may be missing.

    Raises:
        BoundaryError: The rows do not fit the view.
        LeakageError: A row claims to be known before it happened.
    """
    import pyarrow as pa

    table = conformed(view, rows)
    columns = [
        (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
        for column in table.columns
    ]
    return list(zip(*columns, strict=True))


def latest_as_known(view: FeatureView, rows: pa.Table, moment: datetime) -> pa.Table:
    """Return for each entity the row that a decision at `moment` would find, expired or not.

    Args:
        view: The view.
        rows: Its rows, conformed.
        moment: The moment, aware.
    """
    import pyarrow as pa

    from features.join import NO_MATCH, Facts, match_as_known

    facts = Facts(rows=rows, keys=view.keys, event_time=view.event_time, known_time=view.known_time)
    entities = rows.select(view.keys).group_by(view.keys).aggregate([])
    moments = pa.repeat(pa.scalar(moment, pa.timestamp("us", tz="UTC")), entities.num_rows)
    asked = entities.append_column("\0moment", moments)  # a name that no key has
    found = match_as_known(asked, facts, at="\0moment")
    return rows.take(found[found != NO_MATCH])
