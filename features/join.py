"""This module joins features to rows as they were known at the decision: the point-in-time join.

For a row with decision time D and a view's rows with event time E and known time K, the match is

    the newest event (largest E) among the rows of the same entity with K <= D;
    of several rows about one event the one known last (largest K), then the last one given;
    and none if the match expired before D.

So a correction that arrives later never leaks, and a late row about an old event never hides a
newer one. An ASOF join on K alone would give the row known *last*, not the newest event. It becomes
exact once the rows that can never be a match are left out: in the order in which rows became known,
those whose event is older than one known already. What is left grows in K and E together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import BoundaryError, DefinitionError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]

NO_MATCH = -1


@dataclass(frozen=True, kw_only=True)
class Facts:
    """These are rows with an event time and a known time, and how they are joined.

    Args:
        rows: The rows. One whose key, event time or known time is null never matches.
        keys: The columns that identify the entity, in these rows and in those joined to.
        event_time: Column with the moment that a row is about; a time with a zone.
        known_time: Column with the moment from which it could be used; a time with a zone.
        expires: Column with the last moment at which a row may be used; None for no limit.
    """

    rows: pa.Table
    keys: tuple[str, ...]
    event_time: str = "event_time"
    known_time: str = "known_time"
    expires: str | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise DefinitionError(
                "Facts have no key to join on.", remedy="Name the columns that identify the entity."
            )


def match_as_known(spine: pa.Table, facts: Facts, *, at: str) -> Ints:
    """Return for each row of `spine` the position of the fact known at its decision time.

    Args:
        spine: Rows to find facts for; any order, duplicates are kept. A null key finds nothing.
        facts: The facts.
        at: Column of `spine` with the decision time, a time with a zone, not null.

    Returns:
        Positions in `facts.rows`, `(n_spine_rows,)`; `NO_MATCH` (-1) where nothing was known.
        Instants are compared in whole microseconds; finer known times are rounded up and finer
        decision times down, so that nothing is used too early.

    Raises:
        BoundaryError: A time has no zone or is no time, or keys differ in type.
    """
    import duckdb
    import numpy as np

    decisions, known_facts = _decisions(spine, facts, at), _known(facts)
    found = np.full(spine.num_rows, NO_MATCH, dtype=np.int64)
    if not spine.num_rows or not facts.rows.num_rows:
        return found
    with duckdb.connect() as connection:
        connection.register("decisions", decisions)
        connection.register("facts", known_facts)
        pairs = connection.sql(_query(len(facts.keys))).fetchnumpy()
    found[pairs["decision"]] = pairs["fact"]
    return found


def join_as_known(spine: pa.Table, facts: Sequence[Facts], *, at: str) -> pa.Table:
    """Return `spine` with the other columns of each `facts` beside it, as known at `at`.

    Args:
        spine: As for `match_as_known`; its rows, their order and its columns are kept.
        facts: The facts; columns other than keys and times are taken, null where nothing matched.
        at: Column of `spine` with the decision time.

    Raises:
        BoundaryError: As `match_as_known`, or a column would occur twice.
    """
    joined = spine
    for one in facts:
        times = {one.event_time, one.known_time, one.expires}
        taken = [n for n in one.rows.column_names if n not in times and n not in one.keys]
        for name in taken:
            if name in joined.column_names:
                raise BoundaryError(
                    f"The join would have two columns '{name}'.",
                    remedy="Rename one of them before joining.",
                )
        for name, column in take(one.rows.select(taken), match_as_known(spine, one, at=at)).items():
            joined = joined.append_column(name, column)
    return joined


def take(rows: pa.Table, positions: Ints) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Return the columns of `rows` at `positions`; null where a position is `NO_MATCH`."""
    import pyarrow as pa

    indices = pa.array(positions, mask=positions == NO_MATCH)
    return {name: rows.column(name).take(indices) for name in rows.column_names}


def _query(keys: int) -> str:
    names = [f"key_{i}" for i in range(keys)]
    key_list = ", ".join(names)
    same_key = " AND ".join(f"decisions.{n} = useful.{n}" for n in names)
    # newest: the newest event known by then; where it is a row's own, the row improves on all
    # before it. Rows known at the same moment: the last of them in this order is the one to use.
    return f"""
        WITH ordered AS (
            SELECT *,
                max(event) OVER known_so_far AS newest,
                lead(known) OVER (PARTITION BY {key_list} ORDER BY known, event, fact) AS next_known
            FROM facts
            WINDOW known_so_far AS (
                PARTITION BY {key_list} ORDER BY known, event, fact ROWS UNBOUNDED PRECEDING
            )
        ), useful AS (
            SELECT * FROM ordered
            WHERE event >= newest AND next_known IS DISTINCT FROM known
        )
        SELECT decision, fact
        FROM decisions ASOF JOIN useful ON {same_key} AND decisions.decided >= useful.known
        WHERE useful.expires IS NULL OR useful.expires >= decisions.decided
    """  # noqa: S608  the text is made of numbered names only


def _decisions(spine: pa.Table, facts: Facts, at: str) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    columns = {"decided": _instants(spine, at, round_up=False)}
    for i, key in enumerate(facts.keys):
        _require_same_type(spine, facts, key)
        columns[f"key_{i}"] = _plain(spine.column(key))
    return pa.table({**columns, "decision": np.arange(spine.num_rows)})


def _known(facts: Facts) -> pa.Table:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = facts.rows
    event = _instants(rows, facts.event_time, round_up=False)
    known = _instants(rows, facts.known_time, round_up=True)
    expires = (
        pa.nulls(rows.num_rows, pa.int64())
        if facts.expires is None
        else _instants(rows, facts.expires, round_up=False)
    )
    keys = {f"key_{i}": _plain(rows.column(key)) for i, key in enumerate(facts.keys)}
    table = pa.table(
        {
            **keys,
            "event": event,
            "known": known,
            "expires": expires,
            "fact": np.arange(rows.num_rows),
        }
    )
    usable = pc.and_(pc.is_valid(event), pc.is_valid(known))
    return table.filter(usable)


def _instants(table: pa.Table, name: str, *, round_up: bool) -> pa.ChunkedArray:
    """Return a time column as microseconds since 1970, UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(name)
    kind = column.type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        what = "a time without a zone" if pa.types.is_timestamp(kind) else str(kind)
        raise BoundaryError(
            f"The column '{name}' is {what}, so that it cannot be put on one time line.",
            remedy="Make it a time-zone aware instant, such as timestamp[us, tz=UTC].",
        )
    if kind.unit != "ns":
        return column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
    nanoseconds = column.cast(pa.int64())
    if round_up:
        nanoseconds = pc.add(nanoseconds, 999)
    return _floor_divided(nanoseconds, 1000)


def _floor_divided(numbers: pa.ChunkedArray, by: int) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    # Arrow divides towards zero, which before 1970 is upwards
    quotient = pc.divide(numbers, by)
    remainder = pc.subtract(numbers, pc.multiply(quotient, by))
    return pc.subtract(quotient, pc.cast(pc.less(remainder, 0), "int64"))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a key without dictionary encoding, whose categories may differ between tables."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _require_same_type(spine: pa.Table, facts: Facts, key: str) -> None:
    import pyarrow.types as is_

    ours, theirs = _plain(spine.column(key)).type, _plain(facts.rows.column(key)).type
    alike = (
        ours == theirs
        or (is_.is_integer(ours) and is_.is_integer(theirs))
        or ("string" in str(ours) and "string" in str(theirs))
    )
    if not alike:
        raise BoundaryError(
            f"The key '{key}' is {ours} in the rows but {theirs} in the facts.",
            remedy="Give it the same type on both sides.",
        )
