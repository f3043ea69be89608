"""This benchmark replays the last 60,000 flights of the year that have an outcome, through a lane.

Features reach the online store when they became known, every flight is a request with an id at its
decision time, every outcome is told when it was known, and a challenger scores all of it in shadow.
The time is that of the `replay` effect alone, which ends when the challenger has scored it all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from typing import Any

from benchmarks._flights import VIEWS, WINDOW_HOURS, FlightData
from benchmarks._lane import ENDPOINT, deployed, home, lane_of, shadow_of
from benchmarks._processes import tree_cpu_seconds
from headrace import Table

_FLIGHTS = 60_000
_GOAL_SECONDS = 90
_ZONE = "America/New_York"
_SPACE = "replay"


def run() -> Iterator[dict[str, Any]]:
    """Yield the seconds of the replay."""
    from serving.replay import replay

    with home("serving") as of:
        report = deployed(of, with_challenger=True, clock="replayed", space=_SPACE)
        _, lane = lane_of()
        shadow = shadow_of(of).pid
        decisions = last_with_outcome(of.data, _FLIGHTS)
        before = tree_cpu_seconds(lane), tree_cpu_seconds(shadow), time.process_time()
        begun = time.perf_counter()
        done = replay(
            decisions,
            of.data.labels,
            of.data.rows,
            report,
            endpoint=ENDPOINT,
            views=list(VIEWS),
            since=date(2013, 1, 1),
            timezone=_ZONE,
        ).document
        seconds = time.perf_counter() - begun
        after = tree_cpu_seconds(lane), tree_cpu_seconds(shadow), time.process_time()
        told = shadow_of(of)
        used = [round(b - a, 1) for a, b in zip(before, after, strict=True)]
        if (done["decisions"], done["outcomes"], done["repeated"]) != (_FLIGHTS, _FLIGHTS, 0):
            raise RuntimeError(f"Not all was replayed: {done}.")
        yield {
            "name": "replay_flights",
            "value": round(seconds, 1),
            "unit": "s",
            "baseline": None,
            "baseline_value": None,
            "ratio": None,
            "higher_is_better": False,
            "goal": {"at_most": _GOAL_SECONDS},
            "detail": {
                "decisions": done["decisions"],
                "outcomes": done["outcomes"],
                "facts": done["facts"],
                "missing": done["missing"],
                "shadow_scores": told.scored,
                "shadow_dropped": told.dropped,
                "decisions_a_second": round(_FLIGHTS / seconds),
                "cpu_s": dict(zip(("lane", "shadow", "client"), used, strict=True)),
                "label_window_hours": WINDOW_HOURS,
                "model": of.describe(),
                "repeats": 1,
            },
        }


def last_with_outcome(data: FlightData, count: int) -> Table[Any]:
    """Return the flights that were decided on last, of those that have a label."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from features.nycflights13 import Flight

    table = data.flights.arrow()
    known = pc.is_in(table["flight_id"], pa.array(data.labels.arrow()["flight_id"]))
    table = table.filter(known)
    newest = pc.sort_indices(table, [("decided_at", "descending"), ("flight_id", "descending")])
    return Table[Flight].of(table.take(newest.slice(0, count)))
