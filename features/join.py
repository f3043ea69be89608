"""This module joins features to rows as they were known at the decision: the point-in-time join.

For a row with decision time D and a view's rows with event time E and known time K, the match is

    the newest event (largest E) among the rows of the same entity with K <= D;
    of several rows about one event the one known last (largest K), then the last one given;
    and none if the match expired before D.

So a correction that arrives later never leaks, and a late row about an old event never hides a
newer one. An ASOF join on K alone would give the row known *last*, not the newest event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from features._join_inputs import Facts, instants, require_same_type
from features._join_search import NO_MATCH, Search
from headrace.errors import BoundaryError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]

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
    import numpy as np
    import pyarrow.compute as pc

    for key in facts.keys:
        require_same_type(spine, facts, key)
    rows = facts.rows
    decided = instants(spine, at, round_up=False)
    known = instants(rows, facts.known_time, round_up=True)
    event = instants(rows, facts.event_time, round_up=False)
    search = Search([spine.column(key) for key in facts.keys], decided)
    keys = [rows.column(key) for key in facts.keys]
    search.add(keys, event=event, usable=known, known=known)
    found, _ = search.found()
    if facts.expires is not None:
        matched = np.flatnonzero(found != NO_MATCH)
        expires = instants(rows, facts.expires, round_up=False).take(found[matched])
        late = pc.less(expires, decided.take(matched)).fill_null(False)
        found[matched[late.to_numpy()]] = NO_MATCH
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
