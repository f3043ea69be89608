"""This benchmark promotes models that do not work, under load, and times how soon they are gone.

Eight clients ask an endpoint in Ray Serve, 400 times a second together. Again and again a model is
promoted that fails on every flight, on one of twenty, or answers them all too slowly; nobody but
the serving host does anything about it. A rollback takes from the first answer that failed, or was
the slow model's, to the first one of the old champion after which there is no other.
"""

from __future__ import annotations

import contextlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._broken_models import failing, hanging
from benchmarks._lane import DECIDE, ENDPOINT, Home, deployed, home, lane_of
from benchmarks._processes import REPOSITORY

_REPEATS, _REPEATS_RARE, _REPEATS_SHARE = 10, 6, 6
_CLIENTS, _PER_SECOND = 8, 50.0
_RARE = 0.05
_TURNS = 9_000  # of a matrix; together some tens of milliseconds, on a quick machine too
_MAX_MS, _MAX_ERRORS = 15.0, 0.01
_PATIENCE_MS, _SHARE = 5_000.0, 0.5
_CALM_SECONDS = 1.0
_WITHIN_SECONDS = 60.0
_GOAL_SECONDS = 3.0
_SEED = 29


@dataclass(frozen=True, kw_only=True)
class Fault:
    """This is one promotion of a model that does not work.

    Args:
        kind: What is wrong with it.
        model: The model.
        begun: When it was promoted or given a share, on the monotonic clock.
        changed: When the host's change of the route was seen in the database.
        ends: When the next one began.
    """

    kind: str
    model: str
    begun: float
    changed: float
    ends: float


def run() -> Iterator[dict[str, Any]]:
    """Yield the longest time that a model which does not work could stay, in seconds."""
    with home("serving") as of:
        kinds = _broken(of)
        deployed(of, rule=_rule())
        url, _ = lane_of()
        with _clients(of, url) as load:
            time.sleep(_CALM_SECONDS)
            faults = [_promoted("errors", kinds["errors"]) for _ in range(_REPEATS)]
            faults += [_promoted("latency", kinds["latency"]) for _ in range(_REPEATS)]
            faults += [_promoted("errors_5", kinds["errors_5"]) for _ in range(_REPEATS_RARE)]
            faults += [_shared("share_slow", kinds["latency"]) for _ in range(_REPEATS_SHARE)]
            said, _ = load.communicate(timeout=120)
        seen: dict[str, Any] = json.loads(said)
    times = {
        kind: [_times(fault, seen, of.refs[0]) for fault in faults if fault.kind == kind]
        for kind in ("errors", "latency", "errors_5", "share_slow")
    }
    judged = [each["seconds"] for kind in ("errors", "latency") for each in times[kind]]
    yield {
        "name": "rollback_time",
        "value": round(max(judged), 3),
        "unit": "s, longest",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": _GOAL_SECONDS},
        "detail": {
            "clients": _CLIENTS,
            "requests_a_second": _CLIENTS * _PER_SECOND,
            "answered": len(seen["answers"]),
            "failed": seen["failed"],
            "median_s": round(statistics.median(judged), 3),
            "max_error_rate": _MAX_ERRORS,
            "max_ms": _MAX_MS,
            **{kind: _shown(found) for kind, found in times.items()},
        },
    }


def _rule() -> Any:
    from serving.rule import Rule
    from serving.rule_guardrails import ErrorRate, Latency

    guardrails = (ErrorRate(max=_MAX_ERRORS), Latency(max_ms=_MAX_MS))
    return Rule(name="bench", metric="log_loss", label_window_hours=8, guardrails=guardrails)


def _broken(of: Home) -> dict[str, str]:
    """Put models that do not work beside the registered ones; return the version of each."""
    from serving.bundles import bundle_folder

    miles = sorted(body["features"]["distance"] for body in of.requests())
    far = float(miles[int(len(miles) * (1 - _RARE))])
    folders = {name: bundle_folder(f"bench-{name}") for name in ("errors", "errors_5", "latency")}
    failing(of.bundle, folders["errors"], miles=-1.0)
    failing(of.bundle, folders["errors_5"], miles=far)
    hanging(of.bundle, folders["latency"], turns=_TURNS)
    versions = of.settings.home / "serving" / "versions" / ENDPOINT
    kinds = {}
    for number, (name, folder) in enumerate(folders.items(), 101):
        (versions / f"{number}.json").write_text(json.dumps({"digest": folder.name}))
        kinds[name] = f"{ENDPOINT}/{number}"
    return kinds


def _promoted(kind: str, model: str) -> Fault:
    """Promote a model that does not work, and wait until the host has rolled it back."""
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    _change("challenge", challenger=model)
    begun = time.monotonic()
    _change("promote")
    return _gone(kind, model, begun, lambda: endpoints.route(ENDPOINT).champion != model)


def _shared(kind: str, model: str) -> Fault:
    """Give a model that is slow half of the requests, and wait until the host has withdrawn it."""
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    _change("challenge", challenger=model)
    begun = time.monotonic()
    _change("split", shares={model: _SHARE}, design="canary", patience_ms=_PATIENCE_MS)
    return _gone(kind, model, begun, lambda: endpoints.route(ENDPOINT).challenger is None)


def _change(action: Any, **options: Any) -> None:
    """Change the endpoint and wait until it answers so; no version here is in the registry."""
    from serving.endpoints import Endpoints

    Endpoints().change(ENDPOINT, action, generation=None, reason="the benchmark", **options)
    if action == "challenge":
        _applied()


def _applied() -> None:
    """Wait until the lane answers with the newest route."""
    from serving.endpoints import Endpoints
    from serving.hosted import is_up

    endpoints = Endpoints()
    endpoints.wait_applied(
        ENDPOINT,
        endpoints.route(ENDPOINT).generation,
        timeout_seconds=_WITHIN_SECONDS,
        alive=is_up,
    )


def _gone(kind: str, model: str, begun: float, is_gone: Any) -> Fault:
    while not is_gone():
        if time.monotonic() - begun > _WITHIN_SECONDS:
            raise RuntimeError(f"'{kind}' was not rolled back within {_WITHIN_SECONDS:g} s.")
        time.sleep(0.01)
    changed = time.monotonic()
    _applied()
    time.sleep(_CALM_SECONDS)
    return Fault(kind=kind, model=model, begun=begun, changed=changed, ends=time.monotonic())


def _times(fault: Fault, seen: dict[str, Any], champion: str) -> dict[str, float]:
    """Return when a fault was first and last seen by clients, and what came in between."""
    answers = [(came, model) for _, came, model in seen["answers"] if _is_in(fault, came)]
    failed = [came for came in seen["failed_at"] if _is_in(fault, came)]
    of_model = [came for came, model in answers if model == fault.model]
    begins = failed if fault.kind.startswith("errors") else of_model
    if not begins:
        raise RuntimeError(f"No client saw the fault '{fault.kind}' of {fault.model}.")
    last = max([*failed, *of_model])
    after = [came for came, model in answers if model == champion and came > last]
    if not after:
        raise RuntimeError(f"{champion} did not answer again after '{fault.kind}'.")
    return {
        "seconds": min(after) - min(begins),
        "until_changed": fault.changed - min(begins),
        "failed": len(failed),
        "slow_or_other": len(of_model),
    }


def _is_in(fault: Fault, moment: float) -> bool:
    return fault.begun <= moment < fault.ends


def _shown(found: Sequence[dict[str, float]]) -> dict[str, Any]:
    seconds = [each["seconds"] for each in found]
    return {
        "repeats": len(found),
        "median_s": round(statistics.median(seconds), 3),
        "longest_s": round(max(seconds), 3),
        "until_changed_median_s": round(statistics.median(e["until_changed"] for e in found), 3),
        "failed_median": statistics.median(each["failed"] for each in found),
        "answers_of_it_median": statistics.median(each["slow_or_other"] for each in found),
    }


@contextlib.contextmanager
def _clients(of: Home, url: str) -> Iterator[subprocess.Popen[str]]:
    bodies = _mixed(of)
    arguments = [url, DECIDE, str(bodies), str(_CLIENTS), str(_PER_SECOND)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks._timed_clients", *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def _mixed(of: Home) -> Path:
    """Return a file of requests in random order, the same each time."""
    bodies = of.requests()
    random.Random(_SEED).shuffle(bodies)  # noqa: S311  it is to be the same each time
    return of.written("rollback", bodies)
