"""This benchmark measures how long it takes to trace and check a flow of 200 nodes.

The value is CPU time with declared output schemas; the baseline is calling a bare function as
often, which is what reading a flow's body without any check would cost.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import pandas as pd

from headrace import Report, Schema, Table, flow, operator
from headrace.plan import Plan, inference

NODES, REPEATS = 200, 15
S = TypeVar("S", bound=Schema)


class Rows(Schema, Protocol):
    """Ten columns."""

    a: int
    b: int
    c: float
    d: float
    e: str
    f: str
    g: bool
    h: bool
    i: float | None
    j: float | None


@operator()
def source() -> Table[Rows]:
    """Make no rows."""
    return Table.of({name: [] for name in "abcdefghij"})


@operator()
def declared(rows: Table[Rows], *, step: int) -> Table[Rows]:
    """Add a number to a column; its output is declared."""
    frame = rows.frame()
    return Table.of(frame.assign(a=frame["a"] + step))


@operator(infer=True)
def inferred(rows: Table[Rows], *, step: int = 1) -> Table[Any]:
    """Add a number to a column; its output is found by trying."""
    frame: pd.DataFrame = rows.frame()
    return Table.of(frame.assign(a=frame["a"] + step))


@operator()
def counted(rows: Table[S]) -> Report:
    """Count rows."""
    return Report.of({"passed": True, "rows": rows.rows})


@flow
def chain_declared() -> Report:
    """Chain 200 nodes whose outputs are declared."""
    rows = source()
    for step in range(NODES - 2):
        rows = declared(rows, step=step)
    return counted(rows)


@flow
def chain_inferred() -> Report:
    """Chain 200 nodes of which 198 outputs are found by trying one operator."""
    rows: Table[Any] = source()
    for _ in range(NODES - 2):
        rows = inferred(rows)
    return counted(rows)


@flow
def chain_inferred_anew() -> Report:
    """Chain 200 nodes of which each output has to be tried by itself."""
    rows: Table[Any] = source()
    for step in range(NODES - 2):
        rows = inferred(rows, step=step)
    return counted(rows)


def run() -> Iterator[dict[str, Any]]:
    """Plan the chains."""
    plan = chain_declared.plan().require_sound()
    value = _milliseconds(chain_declared.plan)
    bare = _milliseconds(_bare)
    memoised = _milliseconds(chain_inferred.plan)
    anew = _milliseconds(_plan_anew, repeats=3)
    yield {
        "name": "plan_200_nodes",
        "value": value,
        "unit": "ms CPU",
        "baseline": "200 calls of a bare function",
        "baseline_value": bare,
        "ratio": value / bare,
        "higher_is_better": False,
        "goal": {"at_most": 50.0},
        "detail": {
            "nodes": len(plan.nodes),
            "edges_checked": sum(edge.checked for edge in plan.edges),
            "columns": 10,
            "repeats": REPEATS,
            "inferred_memoised_ms": memoised,
            "inferred_anew_ms": anew,
        },
    }


def _plan_anew() -> Plan:
    inference.forget()
    return chain_inferred_anew.plan().require_sound()


def _bare() -> int:
    value = 0
    for step in range(NODES):
        value = _step(value, step=step)
    return value


def _step(value: int, *, step: int) -> int:
    return value + step


def _milliseconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    work()
    taken = []
    for _ in range(repeats):
        start = time.process_time_ns()
        work()
        taken.append((time.process_time_ns() - start) / 1e6)
    return statistics.median(taken)
