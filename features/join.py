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
from typing import TYPE_CHECKING

from features._join_inputs import Facts, decisions_of, known_of
from headrace.errors import BoundaryError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]

NO_MATCH = -1

__all__ = ["NO_MATCH", "Facts", "join_as_known", "match_as_known", "take"]


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

    decisions, known_facts = decisions_of(spine, facts, at), known_of(facts)
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
