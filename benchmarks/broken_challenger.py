"""This benchmark gives broken challengers live requests, and counts those until they are out.

A lane answers clients that ask at a steady pace. Again and again it is given a table on which half
of its requests are a challenger's that fails on all of them, or on a fifth; how many requests each
was asked, the decision log says. No client may see anything of it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks._broken_models import failing, hanging
from benchmarks._flights import MAY_LACK, VIEWS, flight_data, requests, two_models
from benchmarks._lane import DECIDE, ENDPOINT
from benchmarks._lane_thread import LaneThread, lane_thread
from benchmarks._processes import REPOSITORY

_REPEATS, _HANGS = 200, 5
_SHARE, _PATIENCE_MS = 0.5, 20.0
_CLIENTS, _PER_SECOND = 16, 50.0
_CALM_SECONDS = 3.0
_OUT_WITHIN_SECONDS = 20.0
_BODIES, _FAR = 2_000, 0.2
_TURNS = 60_000  # about a second in which it does not answer
_SEED = 1954
_CHAMPION, _CHALLENGER = f"{ENDPOINT}/1", f"{ENDPOINT}/2"


@dataclass(frozen=True, kw_only=True)
class Place:
    """This is where the lane and its models lie.

    Args:
        folder: Everything of the benchmark.
        miles: A fifth of the requests is about longer flights.
    """

    folder: Path
    miles: float

    def bundle(self, name: str) -> Path:
        """Return a bundle: "champion", "healthy", "fails", "fails_20" or "hangs"."""
        return self.folder / name

    def table(self, generation: int, model: str | None, experiment: str = "") -> Any:
        """Return a table; with a model half of the requests are its."""
        from features.online_lookup import lookup_of
        from serving.lane.table import LaneTable, Served
        from serving.traffic import Traffic, redealt

        alone = LaneTable(
            endpoint=ENDPOINT,
            generation=generation,
            champion=Served(ref=_CHAMPION, folder=self.bundle("champion")),
            challenger=None,
            experiment=None,
            lookups=tuple(lookup_of(view, number=0) for view in VIEWS),
            clock="live",
            may_lack=frozenset(MAY_LACK),
            online=self.folder / "online.db",
            space="headrace",
            log=self.folder / "log",
            notices=self.folder / "lanes",
        )
        if model is None:
            return alone
        traffic = Traffic(design="canary", salt=experiment, patience_ms=_PATIENCE_MS)
        return replace(
            alone,
            challenger=Served(ref=_CHALLENGER, folder=self.bundle(model)),
            experiment=experiment,
            traffic=redealt(traffic, {_CHALLENGER: _SHARE}),
        )


@dataclass(frozen=True, kw_only=True)
class Phase:
    """This is what happened while a load ran.

    Args:
        had: The requests that each challenger was asked until it was out.
        seconds: How long each answered, until it was out.
        p50_ms, p99_ms: Of the times within which clients had their answers.
        answers: How many answers they had.
        failed: How many requests were answered with another status than 200.
    """

    had: Sequence[int]
    seconds: Sequence[float]
    p50_ms: float
    p99_ms: float
    answers: int
    failed: int

    def to_json(self) -> dict[str, Any]:
        """Return it for the detail of a result."""
        shown: dict[str, Any] = {
            "answers": self.answers,
            "failed": self.failed,
            "p50_ms": round(self.p50_ms, 2),
            "p99_ms": round(self.p99_ms, 2),
        }
        if self.had:
            shown |= {
                "repeats": len(self.had),
                "requests_p50": statistics.median(self.had),
                "requests_most": max(self.had),
                "out_after_ms_p50": round(statistics.median(self.seconds) * 1e3, 1),
            }
        return shown


def run() -> Iterator[dict[str, Any]]:
    """Yield how many requests challengers had that fail always, and on a fifth."""
    _without_their_complaints()
    with tempfile.TemporaryDirectory() as folder, _using_home(Path(folder)):
        place = _prepared(Path(folder))
        with lane_thread(place.table(1, None)) as lane:
            ask = _Asking(lane, place)
            alone = ask.calmly(None)
            healthy = ask.calmly("healthy")
            always = ask.until_out("fails", _REPEATS)
            fifth = ask.until_out("fails_20", _REPEATS)
            hangs = ask.until_out("hangs", _HANGS, rest=lane.wait_for_challengers)
    detail = {
        "share": _SHARE,
        "patience_ms": _PATIENCE_MS,
        "clients": _CLIENTS,
        "per_second": _CLIENTS * _PER_SECOND,
        "champion_alone": alone.to_json(),
        "healthy_challenger": healthy.to_json(),
        "hanging": hangs.to_json(),
    }
    for name, phase, most in (("errors_100", always, 5), ("errors_20", fifth, 50)):
        added = round(phase.p99_ms - alone.p99_ms, 2)
        yield {
            "name": f"broken_challenger.{name}",
            "value": sorted(phase.had)[len(phase.had) * 95 // 100],
            "unit": "requests until it is out, 95 of 100",
            "baseline": None,
            "baseline_value": None,
            "ratio": None,
            "higher_is_better": False,
            "goal": {"at_most": most},
            "detail": {name: phase.to_json(), "added_p99_ms": added, **detail},
        }


class _Asking:
    """This asks a lane, phase by phase.

    Args:
        lane: The lane.
        place: Its tables.
    """

    def __init__(self, lane: LaneThread, place: Place) -> None:
        self._lane, self._place = lane, place
        self._generation = 1

    def calmly(self, model: str | None) -> Phase:
        """Return what clients see with a challenger that is well, or without one."""
        with self._load() as load:
            self._begin(model, f"calm-{model}")
            time.sleep(_CALM_SECONDS)
            seen = _seen(load)
        return _phase(seen, [], [])

    def until_out(
        self, model: str, repeats: int, *, rest: Callable[[], None] | None = None
    ) -> Phase:
        """Return what happens when a challenger is tried so often, each time until it is out."""
        names, seconds = [f"{model}-{number}" for number in range(repeats)], []
        with self._load() as load:
            for name in names:
                begun = self._begin(model, name)
                while name not in self._lane.out:
                    if time.monotonic() - begun > _OUT_WITHIN_SECONDS:
                        raise RuntimeError(f"'{model}' was not out in {_OUT_WITHIN_SECONDS} s.")
                    time.sleep(0.002)
                seconds.append(self._lane.out[name][0] - begun)
                if rest is not None:
                    rest()
            self._begin(None, "")
            time.sleep(0.1)  # what was asked last is logged
            seen = _seen(load)
        asked = _asked(self._place.folder / "log")
        return _phase(seen, [asked[name] for name in names], seconds)

    def _begin(self, model: str | None, experiment: str) -> float:
        self._generation += 1
        return self._lane.take(self._place.table(self._generation, model, experiment))

    @contextlib.contextmanager
    def _load(self) -> Iterator[subprocess.Popen[str]]:
        bodies = str(self._place.folder / "bodies.jsonl")
        arguments = [self._lane.url, DECIDE, bodies, str(_CLIENTS), str(_PER_SECOND)]
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks._paced", *arguments],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                time.sleep(0.5)
                yield child
            finally:
                child.kill()


def _seen(load: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = load.communicate(timeout=60)
    found: dict[str, Any] = json.loads(said)
    return found


def _phase(seen: dict[str, Any], had: Sequence[int], seconds: Sequence[float]) -> Phase:
    took = sorted(came - asked for asked, came, _ in seen["answers"])
    return Phase(
        had=had,
        seconds=seconds,
        p50_ms=took[len(took) // 2] * 1e3,
        p99_ms=took[len(took) * 99 // 100] * 1e3,
        answers=len(took),
        failed=seen["failed"],
    )


def _asked(log: Path) -> Counter[str]:
    """Return how many requests the challenger of each experiment was asked."""
    from headrace.decisions import Tail

    found: Counter[str] = Counter()
    tail = Tail.open(log)
    while read := tail.poll(10_000):
        for _, decision in read:
            is_its = decision.get("assigned") == _CHALLENGER
            if is_its and decision.get("fallback") not in ("busy", "out"):
                found[decision["experiment"]] += 1
    tail.close()
    return found


def _prepared(folder: Path) -> Place:
    """Return the models, and requests of which a fifth, at random, is about far flights."""
    from operators.bundle import write_bundle

    data = flight_data()
    champion, healthy = two_models(data)
    write_bundle(folder / "champion", champion)
    write_bundle(folder / "healthy", healthy)
    bodies = requests(data, champion, _BODIES)
    miles = sorted(body["features"]["distance"] for body in bodies)[int(_BODIES * (1 - _FAR))]
    far = [body for body in bodies if body["features"]["distance"] > miles]
    near = [body for body in bodies if body["features"]["distance"] <= miles]
    chance = random.Random(_SEED)  # noqa: S311  it is to be the same each time
    mixed = [chance.choice(far if chance.random() < _FAR else near) for _ in range(10 * _BODIES)]
    lines = "".join(json.dumps(body) + "\n" for body in mixed)
    (folder / "bodies.jsonl").write_text(lines, encoding="utf-8")
    failing(folder / "champion", folder / "fails", miles=-1.0)
    failing(folder / "champion", folder / "fails_20", miles=float(miles))
    hanging(folder / "champion", folder / "hangs", turns=_TURNS)
    return Place(folder=folder, miles=float(miles))


def _without_their_complaints() -> None:
    """Leave out what is said of each failure, which are what is wanted here."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    logging.getLogger("headrace.lane").setLevel(logging.ERROR)


@contextlib.contextmanager
def _using_home(folder: Path) -> Iterator[None]:
    from headrace.settings import using_settings

    with using_settings(home=folder / "home"):
        yield
