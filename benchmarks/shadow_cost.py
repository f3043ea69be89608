"""This benchmark counts what it costs a service that every decision is also scored in shadow.

One endpoint in Ray Serve, one load; before each round the route is changed: nobody in shadow, one
challenger, two. CPU of all processes of the service, Ray's own too, until the last decision of the
round is scored, without what the service uses when nobody asks and nobody is in shadow.
"""

from __future__ import annotations

import json
import statistics
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks._lane import DECIDE, ENDPOINT, Home, deployed, home, lane_of, service_pid
from benchmarks._processes import tree_cpu_seconds
from benchmarks._rounds import CONNECTIONS, Measured, Subject, measured

_ROUNDS, _SECONDS = 7, 4.0
_IDLE_SECONDS = 1.5
_SETTLES_SECONDS = 1.5  # longer than a shadow's pause; without a shadow it is waited as long
_APPLIED_WITHIN_SECONDS = 60.0
_GOAL = 0.15
_RIVALS = {"none": 0, "one": 1, "two": 2}


@dataclass(frozen=True, kw_only=True)
class _Round:
    """This is what is seen of a round beside its load.

    Args:
        idle: CPU seconds a second of the service, just before, when nobody asked.
        lasted: Seconds that its CPU was counted.
        scored: Decisions that each challenger scored.
    """

    idle: float
    lasted: float
    scored: Sequence[int]


class _Watch:
    """This changes who is in shadow before each round of one subject, and looks at it after."""

    def __init__(self, of: Home, url: str, pid: int, rivals: Sequence[str]) -> None:
        self._of, self._url, self._pid, self._rivals = of, url, pid, rivals
        self._idle = self._begun = 0.0
        self.rounds: list[_Round] = []

    def prepare(self) -> None:
        """Have the challengers in shadow, all of them at work, and see what idling costs."""
        _shadowed_by(self._of, self._url, self._rivals)
        time.sleep(_SETTLES_SECONDS)
        before, begun = tree_cpu_seconds(self._pid), time.monotonic()
        time.sleep(_IDLE_SECONDS)
        self._begun = time.monotonic()
        self._idle = (tree_cpu_seconds(self._pid) - before) / (self._begun - begun)

    def settle(self) -> None:
        """Wait until all is scored, and note how much each challenger has scored."""
        from serving.endpoints import Endpoints
        from serving.hosted import notices_folder
        from serving.lane.notices import read_shadow
        from serving.shadowing import wait_for_shadow

        time.sleep(_SETTLES_SECONDS)
        wait_for_shadow(Endpoints().route(ENDPOINT), say=lambda _: None)
        notice = read_shadow(notices_folder(self._of.settings), ENDPOINT)
        scored = [] if notice is None else [figures.scored for figures in notice.figures]
        lasted = time.monotonic() - self._begun
        self.rounds.append(_Round(idle=self._idle, lasted=lasted, scored=scored))


def run() -> Iterator[dict[str, Any]]:
    """Yield the share of CPU that one shadow adds to a request; two are in the detail."""
    with home("serving") as of:
        deployed(of)
        (url, replica), pid = lane_of(), service_pid(of)
        rivals = (of.refs[1], _third(of))
        watches = {name: _Watch(of, url, pid, rivals[:n]) for name, n in _RIVALS.items()}
        subjects = [
            Subject(
                name=name,
                url=url,
                pid=pid,
                part=replica,
                path=DECIDE,
                bodies=of.bodies(),
                prepare=watch.prepare,
                settle=watch.settle,
            )
            for name, watch in watches.items()
        ]
        found = measured(subjects, rounds=_ROUNDS, seconds=_SECONDS)
        model = of.describe()
    # the first round of each was to warm up
    rounds = {name: watch.rounds[1:] for name, watch in watches.items()}
    _require_scored(found, rounds)
    yield _row(found, rounds, model)


def _row(
    found: Mapping[str, Measured], rounds: Mapping[str, Sequence[_Round]], model: dict[str, Any]
) -> dict[str, Any]:
    none = found["none"]
    idle = statistics.median(each.idle for each in rounds["none"])
    own = {name: _own(found[name], rounds[name], idle) for name in _RIVALS}
    added = {
        name: statistics.median(
            with_ / without - 1 for with_, without in zip(own[name], own["none"], strict=True)
        )
        for name in ("one", "two")
    }
    return {
        "name": "shadow_cost",
        "value": round(added["one"], 3),
        "unit": "of a request's CPU, added",
        "baseline": "the same endpoint with nobody in shadow, CPU us a request beside its idling",
        "baseline_value": round(statistics.median(own["none"]), 1),
        "ratio": round(1 + added["one"], 3),
        "higher_is_better": False,
        "goal": {"at_most": _GOAL},
        "detail": {
            "rounds": _ROUNDS,
            "seconds": _SECONDS,
            "settles_seconds": _SETTLES_SECONDS,
            "connections": CONNECTIONS,
            "two_shadows": round(added["two"], 3),
            "idle_cpu_a_second": round(idle, 4),
            "without_idle_us": {n: round(statistics.median(each), 1) for n, each in own.items()},
            "with_idle": {n: round(found[n].against(none) - 1, 3) for n in ("one", "two")},
            **{name: each.to_json() for name, each in found.items()},
            "model": model,
        },
    }


def _own(measured_: Measured, rounds: Sequence[_Round], idle: float) -> list[float]:
    """Return the CPU us of a request in each round, without what the idle service uses anyway.

    A busy machine answers fewer requests in the same time, and its idling, nearly all of it Ray's
    own, would then be counted as the shadow's.
    """
    return [
        cost - idle * each.lasted / (per_second * _SECONDS) * 1e6
        for cost, per_second, each in zip(measured_.cost, measured_.per_second, rounds, strict=True)
    ]


def _require_scored(found: Mapping[str, Measured], rounds: Mapping[str, Sequence[_Round]]) -> None:
    """Refuse figures of rounds in which a challenger did not score what was asked.

    Raises:
        RuntimeError: One did not.
    """
    for name, rivals in _RIVALS.items():
        for each, per_second in zip(rounds[name], found[name].per_second, strict=True):
            few = any(count < per_second * _SECONDS * 0.9 for count in each.scored)
            if few or len(each.scored) != rivals:
                raise RuntimeError(f"With {name} in shadow, {each.scored} decisions were scored.")


def _shadowed_by(of: Home, url: str, rivals: Sequence[str]) -> None:
    """Have these in shadow, all of them loaded and at work, and nobody else."""
    from serving.endpoints import Endpoints
    from serving.shadowing import wait_for_shadow

    endpoints = Endpoints()
    route = endpoints.route(ENDPOINT)
    if route.challenger is not None:
        route = endpoints.change(ENDPOINT, "withdraw", generation=None, reason="measured without")
    for rival in rivals:
        route = endpoints.change(
            ENDPOINT,
            "challenge",
            generation=None,
            challenger=rival,
            reason="measured with",
            beside=True,
        )
    endpoints.wait_applied(ENDPOINT, route.generation, timeout_seconds=_APPLIED_WITHIN_SECONDS)
    body = json.dumps(of.requests()[0]).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url + DECIDE, body, headers)  # noqa: S310  our own lane
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        answer.read()
    wait_for_shadow(route, say=lambda _: None)


def _third(of: Home) -> str:
    """Return a third registered version, of other trees than the second."""
    from operators.train_xgboost import train_xgboost
    from serving.register import register_challenger

    model = train_xgboost(of.data.train, of.data.validation, max_depth=5, learning_rate=0.15)
    said = register_challenger(model, name=ENDPOINT).document
    return f"{said['name']}/{said['version']}"
