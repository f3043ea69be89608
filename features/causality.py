"""This module tests that a view keeps its word on time: rows use nothing that became known later.

A row that claims to be known at K must come out the same from what was known by K. So the view is
computed again from its source as it was known at some moments T, and its rows with K <= T must be
what they are when computed from everything. A mean over the whole history, a value filled in after
the fact, a wrong known time: each shows as a row that changes. (The idea is that of a causal
filter, whose output at T does not depend on input after T; what is measured is the view itself.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    import pyarrow as pa

    from features.view import FeatureView
    from headrace.schemas import TableSchema

CUTS = (0.35, 0.65, 0.9)  # shares of the rows, by known time, after which the source is cut
_TOLERANCE = 1e-9  # relative; a sum over other rows may differ in its last bits


@dataclass(frozen=True, kw_only=True)
class Unfounded:
    """This is a row that was not the same before what it claims not to need was known.

    Args:
        view: Name of the view.
        column: The feature that changed; None where the row itself came or went.
        keys: The entity.
        known: When the row claims to be known.
        cut: What became known after this moment was left out.
        claimed: The feature's value, computed from everything.
        founded: Its value, computed from what was known at the cut.
        rows: How many rows changed at that cut, of `looked_at`.
        looked_at: How many rows claim to be known by then.
    """

    view: str
    column: str | None
    keys: dict[str, Any]
    known: datetime
    cut: datetime
    claimed: Any
    founded: Any
    rows: int
    looked_at: int

    def problem(self) -> str:
        """Return what was found, as a sentence."""
        entity = ", ".join(f"{name} {value!r}" for name, value in self.keys.items()) or "everything"
        if self.column is None:
            what = f"the row of {entity}, known at {self.known.isoformat()}, is there only"
        else:
            what = (
                f"'{self.column}' of {entity}, known at {self.known.isoformat()}, is "
                f"{self.claimed!r}, and {self.founded!r} without them, so that it is right only"
            )
        return (
            f"View '{self.view}' uses what became known later: {what} with source rows that became "
            f"known after {self.cut.isoformat()}; {self.rows:,} of {self.looked_at:,} rows change."
        )

    def remedy(self) -> str:
        """Return what to do about it."""
        return (
            "Compute each row from what was known at its known time, or give it the known time of "
            "the latest value it uses."
        )


def first_unfounded(
    view: FeatureView, source: pa.Table, *, cuts: Sequence[float] = CUTS
) -> Unfounded | None:
    """Return a row of a view that uses what became known later, None when none was found.

    Args:
        view: The view.
        source: All rows of its source.
        cuts: Where to cut, as shares of the view's rows by known time.

    Raises:
        HeadraceError: The view cannot be computed from the whole source.
    """
    import pyarrow.compute as pc

    rows = view.rows(source)
    if not can_tell(view.source_schema) or not rows.num_rows:
        return None
    known = rows.column(view.known_time)
    times = pc.quantile(known.cast("int64"), q=list(cuts), interpolation="lower")
    for moment in sorted(set(times.to_pylist())):
        cut = pc.cast(moment, known.type).as_py()
        try:
            founded = view.rows(known_by(source, view.source_schema, cut))
        except HeadraceError:
            continue  # some views cannot be computed from a part, say from no rows
        found = _first_change(view, rows, founded, cut)
        if found is not None:
            return found
    return None


def can_tell(schema: TableSchema) -> bool:
    """Return whether a source says when its rows or values became known."""
    return bool(_row_times(schema) or _cell_times(schema))


def known_by(source: pa.Table, schema: TableSchema, moment: datetime) -> pa.Table:
    """Return a source as it was known at a moment: later rows left out, later values null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in _row_times(schema):
        source = source.filter(pc.less_equal(source.column(name), moment))
    for name, time in _cell_times(schema):
        later = pc.fill_null(pc.greater(source.column(time), moment), True)
        null = pa.scalar(None, source.column(name).type)
        hidden = pc.if_else(later, null, source.column(name))
        source = source.set_column(source.schema.get_field_index(name), name, hidden)
    return source


def _row_times(schema: TableSchema) -> list[str]:
    """Return the columns that say from when on a whole row was known."""
    return [c.name for c in schema.with_role("known_time") if not c.nullable]


def _cell_times(schema: TableSchema) -> list[tuple[str, str]]:
    """Return the columns of which single values became known later, each with its time.

    The times themselves come last, so that they can be read until then.
    """
    rows = _row_times(schema)
    cells = [
        (c.name, c.known_at)
        for c in schema.columns
        if c.nullable and c.known_at is not None and c.known_at in schema and c.known_at not in rows
    ]
    return sorted(cells, key=lambda cell: cell[0] == cell[1])


def _first_change(
    view: FeatureView, rows: pa.Table, founded: pa.Table, cut: datetime
) -> Unfounded | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    identity = [*view.keys, view.event_time, view.known_time]
    features = [c.name for c in view.columns]
    claimed = rows.filter(pc.less_equal(rows.column(view.known_time), cut))
    founded = founded.filter(pc.less_equal(founded.column(view.known_time), cut))
    if not claimed.num_rows and not founded.num_rows:
        return None
    marked = claimed.select([*identity, *features]).append_column(
        "in_claimed", pa.array([True] * claimed.num_rows, pa.bool_())
    )
    others = founded.select([*identity, *features]).rename_columns(
        [*identity, *(f"founded {name}" for name in features)]
    )
    others = others.append_column("in_founded", pa.array([True] * founded.num_rows, pa.bool_()))
    both = _plain(marked).join(_plain(others), keys=identity, join_type="full outer")
    both = both.sort_by([(name, "ascending") for name in [view.known_time, *view.keys]])
    gone = pc.or_(pc.is_null(both["in_claimed"]), pc.is_null(both["in_founded"]))
    changed: dict[str | None, Any] = {None: gone}
    for name in features:
        differs = _differs(both[name], both[f"founded {name}"])
        changed[name] = pc.and_(pc.invert(gone), differs)
    anywhere = gone
    for flags in changed.values():
        anywhere = pc.or_(anywhere, flags)
    count = pc.sum(anywhere).as_py() or 0
    if not count:
        return None
    row = anywhere.index(True).as_py()
    column = next(name for name, flags in changed.items() if flags[row].as_py())
    return Unfounded(
        view=view.name,
        column=column,
        keys={key: both[key][row].as_py() for key in view.keys},
        known=both[view.known_time][row].as_py(),
        cut=cut,
        claimed=None if column is None else both[column][row].as_py(),
        founded=None if column is None else both[f"founded {column}"][row].as_py(),
        rows=int(count),
        looked_at=both.num_rows,
    )


def _plain(table: pa.Table) -> pa.Table:
    """Return a table without dictionaries, whose codes may differ."""
    import pyarrow as pa

    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(i, field.name, table.column(i).cast(field.type.value_type))
    return table


def _differs(one: pa.ChunkedArray, other: pa.ChunkedArray) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    nulls = pc.not_equal(pc.is_null(one, nan_is_null=True), pc.is_null(other, nan_is_null=True))
    if pa.types.is_floating(one.type):
        size = pc.max_element_wise(pc.abs(one), pc.abs(other), 1.0)
        apart = pc.greater(pc.abs(pc.subtract(one, other)), pc.multiply(size, _TOLERANCE))
    else:
        apart = pc.not_equal(one, other)
    return pc.or_(nulls, pc.fill_null(apart, False))
