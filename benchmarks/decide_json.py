"""This benchmark asks for decisions one row at a time and counts the CPU of the server's processes.

The baseline is uvicorn with a Starlette route that scores with the same runtime and the same
batcher, and neither checks nor logs anything. Ours validates, routes, and, where it is durable, has
every decision in its log before it is answered. Rounds alternate; a figure is a median of rounds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from benchmarks._lane import DECIDE, Home, deployed, home, lane_of, lane_process, service_pid
from benchmarks._processes import started
from benchmarks._rounds import CONNECTIONS, Measured, Subject, measured

_ROUNDS, _SECONDS = 7, 3.0
_NO_LOG, _DURABLE = 1.1, 1.4
_BASELINE = (
    "uvicorn (uvloop, httptools) + Starlette, same scoring runtime and batcher, CPU us a request"
)


def run() -> Iterator[dict[str, Any]]:
    """Yield what a decision costs without its log and with it, as a ratio to the bare server."""
    with home("serving") as of:
        deployed(of)
        with ExitStack() as stack:
            found = measured(_subjects(of, stack), rounds=_ROUNDS, seconds=_SECONDS)
        compaction = _compaction_us(of)
        model = of.describe()
    bare = found["bare"]
    yield _row(
        "no_log",
        found["no_log"],
        bare,
        _NO_LOG,
        {
            **_shown(found, "no_log", "no_log_with_ids", "bare", "bare_unbatched"),
            "ratio_with_ids": round(found["no_log_with_ids"].against(bare), 3),
            "ratio_to_unbatched": round(found["no_log"].against(found["bare_unbatched"]), 3),
            "measured": "the lane's own app and server in a plain process; its log keeps nothing",
            "model": model,
        },
    )
    yield _row(
        "durable",
        found["served"],
        bare,
        _DURABLE,
        {
            **_shown(found, "served", "served_with_ids", "durable", "durable_with_ids", "bare"),
            "ratio_with_ids": round(found["served_with_ids"].against(bare), 3),
            "ratio_in_plain_process": round(found["durable"].against(bare), 3),
            "ratio_in_plain_process_with_ids": round(found["durable_with_ids"].against(bare), 3),
            "ratio_to_unbatched": round(found["served"].against(found["bare_unbatched"]), 3),
            "compaction_cpu_us": round(compaction, 1),
            "ratio_with_compaction": round((found["served"].median + compaction) / bare.median, 3),
            "measured": "the endpoint in Ray Serve; every process of the service is counted, Ray's "
            "own too. Full segments are compacted now and then, in few of the rounds",
            "model": model,
        },
    )


def _subjects(of: Home, stack: ExitStack) -> list[Subject]:
    """Return the servers that take part, all of them up."""
    bodies = of.bodies()
    bare = stack.enter_context(started("_bare_server", str(of.bundle)))
    no_log = stack.enter_context(lane_process(of, "none"))
    durable = stack.enter_context(lane_process(of, "real"))
    (url, replica), host = lane_of(), service_pid(of)

    def subject(name: str, url: str, pid: int, path: str = DECIDE, **more: Any) -> Subject:
        return Subject(name=name, url=url, pid=pid, path=path, bodies=bodies, **more)

    return [
        subject("bare", bare.said["url"], bare.pid, "/batched"),
        subject("no_log", no_log.said["url"], no_log.pid),
        subject("no_log_with_ids", no_log.said["url"], no_log.pid, ids=True),
        subject("durable", durable.said["url"], durable.pid),
        subject("durable_with_ids", durable.said["url"], durable.pid, ids=True),
        subject("served", url, host, part=replica),
        subject("served_with_ids", url, host, part=replica, ids=True),
        subject("bare_unbatched", bare.said["url"], bare.pid, "/single"),
    ]


def _compaction_us(of: Home) -> float:
    """Return the CPU microseconds a decision takes to become a row of Parquet, later."""
    import pyarrow.parquet  # noqa: F401  its import is not part of it

    from headrace.decisions import compact

    used, decisions = 0.0, 0
    for folder in (of.settings.home / "bench").glob("real-*/log"):
        begun = time.process_time()
        decisions += compact(folder).decisions
        used += time.process_time() - begun
    return used / decisions * 1e6


def _shown(found: dict[str, Measured], *names: str) -> dict[str, Any]:
    return {
        "rounds": _ROUNDS,
        "seconds": _SECONDS,
        "connections": CONNECTIONS,
        **{name: found[name].to_json() for name in names},
    }


def _row(
    part: str, ours: Measured, bare: Measured, goal: float, detail: dict[str, Any]
) -> dict[str, Any]:
    ratio = round(ours.against(bare), 3)
    return {
        "name": f"decide_json.{part}",
        "value": ratio,
        "unit": "times the bare server",
        "baseline": _BASELINE,
        "baseline_value": round(bare.median, 1),
        "ratio": ratio,
        "higher_is_better": False,
        "goal": {"at_most": goal},
        "detail": detail,
    }
