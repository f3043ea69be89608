"""This benchmark measures what calling an operator in process adds to calling its bare function.

Both get the same table in memory and give back the same rows with a column added; the operator's
call also sorts and checks the arguments and holds input and output to their schemas.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from headrace import Schema, Table, operator

ROWS, CALLS, REPEATS = 1000, 50, 15


class Delays(Schema, Protocol):
    """A delay in minutes."""

    flight: str
    delay: float | None


class Late(Delays, Protocol):
    """A delay with its label."""

    label: int


@operator()
def label_late(rows: Table[Delays], *, above: float = 15.0) -> Table[Late]:
    """Label delays above a number of minutes."""
    return Table.of(_labelled(rows.arrow(), above))


def _labelled(rows: pa.Table, above: float) -> pa.Table:
    late = pc.fill_null(pc.greater(rows["delay"], above), False)
    return rows.append_column("label", late.cast(pa.int64()))


def run() -> Iterator[dict[str, Any]]:
    """Call both in turn and compare."""
    table = pa.table(
        {"flight": [f"f{i}" for i in range(ROWS)], "delay": [float(i % 60) for i in range(ROWS)]}
    )
    rows = Table[Delays].of(table)
    operated, bare = [], []
    for _ in range(REPEATS):
        operated.append(_milliseconds(lambda: label_late(rows, above=20.0)))
        bare.append(_milliseconds(lambda: _labelled(table, 20.0)))
    added = statistics.median(operated) - statistics.median(bare)
    yield {
        "name": "operator_in_process",
        "value": added,
        "unit": "ms added per call",
        "baseline": "ms of the bare function",
        "baseline_value": statistics.median(bare),
        "ratio": statistics.median(operated) / statistics.median(bare),
        "higher_is_better": False,
        "goal": {"at_most": 1.0},
        "detail": {"rows": ROWS, "calls": CALLS, "repeats": REPEATS, "clock": "CPU"},
    }


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.process_time_ns()
    for _ in range(CALLS):
        work()
    return (time.process_time_ns() - start) / 1e6 / CALLS
