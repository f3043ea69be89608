"""This benchmark runs the flights flow a second time, when everything is known.

`bodies` counts the pure operators that were executed, which must be none. `time` is the whole
second run with its planning, keys, records and effects, seen in Prefect and logged in MLflow,
against a Prefect flow of as many tasks that do nothing; in this process, in turn, after one of
each to have everything imported.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks._servers import servers

_REPEATS = 7


def run() -> Iterator[dict[str, Any]]:
    """Yield the count of executed bodies, and the ratio of times."""
    with servers("prefect", "mlflow"):
        yield from _rows()


def _rows() -> Iterator[dict[str, Any]]:
    from flows.flight_delay import flight_delay
    from flows.runtime import run_flow

    first = run_flow(flight_delay, {}).require_completed()
    nodes = len(first.plan.nodes)
    nothing = _flow_of_nothing(nodes)
    executed = []

    def again() -> None:
        executed.append(run_flow(flight_delay, {}).require_completed().pure_executed())

    for warm_up in (again, nothing):
        warm_up()
    ours, theirs = [], []
    for _ in range(_REPEATS):
        ours.append(_seconds(again))
        theirs.append(_seconds(nothing))
    value, baseline = statistics.median(ours), statistics.median(theirs)
    yield {
        "name": "cached_rerun.bodies",
        "value": max(executed),
        "unit": "pure bodies executed",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 0},
        "detail": f"the most of {len(executed)} runs; first run executed {first.pure_executed()}",
    }
    yield {
        "name": "cached_rerun.time",
        "value": round(value / baseline, 3),
        "unit": "ratio",
        "baseline": f"a Prefect flow of {nodes} tasks that do nothing, s",
        "baseline_value": round(baseline, 3),
        "ratio": round(value / baseline, 3),
        "higher_is_better": False,
        "goal": {"at_most": 1.5},
        "detail": f"{value:.3f} s, {nodes} nodes of which {len(_effects(first))} are effects, "
        f"logged in MLflow; medians of {_REPEATS} in turn",
    }


def _effects(finished: Any) -> list[str]:
    return [node.path for node in finished.plan.nodes if node.effect]


def _flow_of_nothing(tasks: int) -> Callable[[], None]:
    import prefect

    @prefect.task
    def do_nothing() -> None:
        return None

    @prefect.flow(name="nothing")
    def nothing() -> None:
        for _ in range(tasks):
            do_nothing()

    return nothing


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
