"""This benchmark runs operators under Prefect against bare Prefect tasks with persisted results.

Both flows run as many small steps in a chain, on the same server, in the same process, in turn.
Ours plans, checks, keys, stores and records each step and runs it as a Prefect task run; the
baseline hashes inputs and source for its own cache and persists each result. CPU seconds of this
process and of the Prefect server together.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks._servers import cpu_seconds, servers
from headrace import Report, flow, operator
from headrace.settings import Settings

_STEPS = 40
_REPEATS = 5
_IDLE_SECONDS = 0.03  # of CPU in half a second: the server's own housekeeping


@operator()
def begin(*, at: int) -> Report:
    """Begin a chain."""
    return Report.of({"n": at})


@operator()
def add_one(before: Report) -> Report:
    """Add one."""
    return Report.of({"n": before.document["n"] + 1})


@operator(timeout=60)
def add_one_apart(before: Report) -> Report:
    """Add one, in a process of its own."""
    return Report.of({"n": before.document["n"] + 1})


@flow
def chain(*, at: int = 0, steps: int = _STEPS) -> Report:
    """Count up, step by step."""
    count = begin(at=at)
    for _ in range(steps - 1):
        count = add_one(count)
    return count


@flow
def chain_apart(*, at: int = 0) -> Report:
    """Count up in processes."""
    return add_one_apart(add_one_apart(begin(at=at)))


def run() -> Iterator[dict[str, Any]]:
    """Yield the ratio of our CPU seconds per step to those of bare Prefect tasks."""
    with servers("prefect") as configured:
        from flows.runtime import quiet_console

        quiet_console()
        yield _row(configured)


def _row(configured: Settings) -> dict[str, Any]:
    from headrace.execution import Session, run_plan

    bare = _bare_flow()
    session = Session.of_settings()
    numbers = iter(range(1_000, 1_000_000, 1_000))  # each run counts from elsewhere: no cache hit

    def ours() -> None:
        _run_ours(session, next(numbers))

    def theirs() -> None:
        bare(next(numbers))

    for warm_up in (ours, theirs):
        warm_up()
    value, baseline = [], []
    for _ in range(_REPEATS):
        value.append(_spent(configured, ours))
        baseline.append(_spent(configured, theirs))
    started = time.perf_counter()
    run_plan(chain_apart.plan(at=7), session)
    apart = (time.perf_counter() - started) / 2
    ours_ms, bare_ms = (1_000 * statistics.median(s) / _STEPS for s in (value, baseline))
    return {
        "name": "operator_prefect",
        "value": round(ours_ms / bare_ms, 3),
        "unit": "ratio",
        "baseline": "bare Prefect task with persisted result, CPU ms",
        "baseline_value": round(bare_ms, 2),
        "ratio": round(ours_ms / bare_ms, 3),
        "higher_is_better": False,
        "goal": {"at_most": 1.3},
        "detail": f"{_STEPS} steps in a chain, {_REPEATS} repeats in turn, medians; ours "
        f"{ours_ms:.2f} CPU ms a step with the server's share; a body in a process of its own adds "
        f"{apart:.2f} s of wall clock",
    }


def _run_ours(session: Any, at: int) -> None:
    import prefect

    from flows.runtime import TaskRuns
    from headrace.execution import Session, run_plan

    @prefect.flow(name="ours", persist_result=False)
    def body() -> None:
        settled = Session(
            store=session.store,
            lineage=session.lineage,
            roots=session.roots,
            threads=session.threads,
            runner=TaskRuns(),
        )
        run_plan(chain.plan(at=at), settled).require_completed()

    body()


def _bare_flow() -> Callable[[int], None]:
    import prefect
    from prefect.cache_policies import INPUTS, TASK_SOURCE

    @prefect.task(persist_result=True, cache_policy=INPUTS + TASK_SOURCE)
    def bare_add_one(before: dict[str, int]) -> dict[str, int]:
        return {"n": before["n"] + 1}

    @prefect.flow(name="bare", persist_result=False)
    def bare(at: int) -> None:
        count = {"n": at}
        for _ in range(_STEPS):
            count = bare_add_one(count)

    return bare


def _spent(configured: Settings, work: Callable[[], None]) -> float:
    before = _settled(configured)
    work()
    return _settled(configured) - before


def _settled(configured: Settings) -> float:
    """Return the CPU seconds once the server has recorded what it was sent, and is idle."""
    last = cpu_seconds(configured)
    for _ in range(40):
        time.sleep(0.5)
        now = cpu_seconds(configured)
        if now - last < _IDLE_SECONDS:
            return now
        last = now
    return last
