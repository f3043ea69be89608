"""This benchmark changes the champion of an endpoint under load, to and fro, and times each change.

Eight clients ask at a steady pace for decisions with ids. A change begins when `act` is called, as
the command line and a flow's `promote` do, and it is over when the first answer of the new champion
came after the last one of the old.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks._lane import DECIDE, ENDPOINT, Home, deployed, home, lane_of
from benchmarks._processes import REPOSITORY

_CYCLES, _CYCLES_OF_TWO = 12, 4  # of a promotion and a rollback each
_CLIENTS, _PER_SECOND = 8, 200
_PAUSE_SECONDS = 1.0
_APPLIED_WITHIN_SECONDS = 60.0
_GOAL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Change:
    """This is a change of champion.

    Args:
        action: What was asked for.
        called: When, on the monotonic clock.
        returned: When the call came back, the registry's aliases being set.
        after: Who is to answer.
    """

    action: str
    called: float
    returned: float
    after: str


def run() -> Iterator[dict[str, Any]]:
    """Yield the seconds of a change, 99 of 100, and the requests that failed meanwhile."""
    with home("serving") as of:
        deployed(of)
        url, _ = lane_of()
        with _clients(of, url) as load:
            time.sleep(_PAUSE_SECONDS)
            changes = _changes(of, _CYCLES)
            seen = _seen(load)
        two = _with_two_replicas(of)
    taken = _all_seconds(changes, seen)
    yield from _rows(changes, taken, seen, two)


def _with_two_replicas(of: Home) -> dict[str, Any]:
    """Return how long changes take until both of two replicas answer with the new champion."""
    from serving.placement import Placement

    deployed(of, placement=Placement(replicas=2))
    first, second = _two_urls()
    with _clients(of, first) as load, _clients(of, second) as other:
        time.sleep(_PAUSE_SECONDS)
        changes = _changes(of, _CYCLES_OF_TWO)
        both = [_seen(load), _seen(other)]
    taken = map(max, *(_all_seconds(changes, seen) for seen in both))
    return {
        "changes": len(changes),
        "longest_s": round(max(taken), 3),
        "failed": sum(seen["failed"] for seen in both),
    }


def _two_urls() -> tuple[str, str]:
    from serving.endpoints import Endpoints

    endpoints, ends = Endpoints(), time.monotonic() + _APPLIED_WITHIN_SECONDS
    while time.monotonic() < ends:
        lane = endpoints.lane(ENDPOINT)
        if lane is not None and len(lane.replicas) == 2:
            return lane.replicas[0].url, lane.replicas[1].url
        time.sleep(0.05)
    raise RuntimeError(f"Two replicas did not answer within {_APPLIED_WITHIN_SECONDS:g} s.")


def _all_seconds(changes: Sequence[Change], seen: dict[str, Any]) -> list[float]:
    answers = [(asked, came, model) for asked, came, model in seen["answers"]]
    return [_seconds(changes, at, answers) for at in range(len(changes))]


def _rows(
    changes: Sequence[Change],
    taken: Sequence[float],
    seen: dict[str, Any],
    two: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    waits = sorted(came - asked for asked, came, _ in seen["answers"])
    detail = {
        "changes": len(changes),
        "clients": _CLIENTS,
        "requests_a_second": _CLIENTS * _PER_SECOND,
        "answered": len(waits),
        "answer_p50_ms": round(waits[len(waits) // 2] * 1e3, 2),
        "answer_p99_ms": round(waits[len(waits) * 99 // 100] * 1e3, 2),
        "answer_longest_ms": round(waits[-1] * 1e3, 1),
        "two_replicas": two,
    }
    common = {"baseline": None, "baseline_value": None, "ratio": None, "higher_is_better": False}
    by_action = {
        f"{action}_median_s": round(
            statistics.median(t for t, c in zip(taken, changes, strict=True) if c.action == action),
            3,
        )
        for action in ("promote", "rollback")
    }
    calls = [change.returned - change.called for change in changes]
    yield {
        "name": "switch.p99",
        "value": round(sorted(taken)[-1 - len(taken) // 100], 3),
        "unit": "s",
        **common,
        "goal": {"at_most": _GOAL_SECONDS},
        "detail": detail | by_action | {"call_median_s": round(statistics.median(calls), 3)},
    }
    yield {
        "name": "switch.failed",
        "value": seen["failed"],
        "unit": "requests",
        **common,
        "goal": {"at_most": 0},
        "detail": detail | {"why": seen["why"]},
    }


def _changes(of: Home, cycles: int) -> list[Change]:
    """Promote and roll back in turn; the challenger is named before each promotion."""
    changes = []
    for _ in range(cycles):
        _act("challenge", challenger=of.refs[1])
        changes.append(_act("promote"))
        changes.append(_act("rollback"))
    return changes


def _act(
    action: Literal["challenge", "promote", "rollback"], challenger: str | None = None
) -> Change:
    from serving.acting import act
    from serving.endpoints import Endpoints
    from serving.hosted import is_up

    called = time.monotonic()
    route = act(ENDPOINT, action, generation=None, reason="the benchmark", challenger=challenger)
    returned = time.monotonic()
    Endpoints().wait_applied(
        ENDPOINT, route.generation, timeout_seconds=_APPLIED_WITHIN_SECONDS, alive=is_up
    )
    time.sleep(_PAUSE_SECONDS)
    return Change(action=action, called=called, returned=returned, after=route.champion)


def _seconds(
    changes: Sequence[Change], at: int, answers: Sequence[tuple[float, float, str]]
) -> float:
    """Return how long a change took until only its new champion answered."""
    change = changes[at]
    ends = changes[at + 1].called if at + 1 < len(changes) else float("inf")
    came = [(when, model) for _, when, model in answers if change.called <= when < ends]
    last_old = max((when for when, model in came if model != change.after), default=change.called)
    first_new = [when for when, model in came if model == change.after and when >= last_old]
    if not first_new:
        raise RuntimeError(f"No answer of {change.after} came after it was made the champion.")
    return min(first_new) - change.called


@contextlib.contextmanager
def _clients(of: Home, url: str) -> Iterator[subprocess.Popen[str]]:
    arguments = [url, DECIDE, str(of.bodies()), str(_CLIENTS), str(_PER_SECOND)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks._paced", *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def _seen(load: subprocess.Popen[str]) -> dict[str, Any]:
    """Let the clients end, and return what they saw."""
    said, _ = load.communicate(timeout=120)
    seen: dict[str, Any] = json.loads(said)
    return seen
