"""This benchmark validates the real flights with 18 checks, and so does great-expectations.

Both get the data in memory in the form they like best (Arrow, pandas), the same checks, and turns
in the same process; imports and the first turn of each are not counted. CPU seconds of the process,
because a wall clock would measure the neighbours.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from operators.nycflights13 import read_airports, read_flights, time_flights
from operators.validate import (
    Suite,
    between,
    distinct_between,
    in_set,
    length_between,
    matches,
    mean_between,
    null_share,
    ordered,
    row_count,
    unique,
    validate,
)

_REPEATS = 9
_BASELINE_REPEATS = 3

FLIGHTS = Suite(
    name="flights",
    checks=(
        row_count(300_000, 400_000),
        unique("flight_id"),
        matches("flight_id", r"2013-\d{2}-\d{2}/(EWR|JFK|LGA)/[A-Z0-9]{2}\d+/\d{4}"),
        in_set("origin", ["EWR", "JFK", "LGA"]),
        in_set("outcome", ["landed", "cancelled", "diverted"]),
        length_between("dest", 3, 3),
        distinct_between("carrier", 10, 20),
        null_share("tail", at_most=0.01),
        null_share("arrival_delay", at_most=0.05),
        between("distance", 10, 6000),
        between("flight", 1, 9999),
        between("hour_of_day", 0, 23),
        between("weekday", 0, 6),
        between("scheduled_minutes", 20, 13 * 60),
        between("departure_delay", -60, 24 * 60),
        mean_between("arrival_delay", -30, 60),
        ordered("scheduled_departure", "scheduled_arrival", strictly=True),
        ordered("departed_at", "landed_at", strictly=True),
    ),
)


def run() -> Iterator[dict[str, Any]]:
    """Yield one row: the CPU seconds of a validation that passes."""
    flights = time_flights(read_flights(), read_airports())
    frame = flights.frame()
    theirs = _great_expectations(frame)
    first = _cpu_seconds(lambda: validate(flights, suite=FLIGHTS))
    _cpu_seconds(theirs)
    ours_seconds, their_seconds = [], []
    for turn in range(_REPEATS):
        ours_seconds.append(_cpu_seconds(lambda: validate(flights, suite=FLIGHTS)))
        if turn < _BASELINE_REPEATS:
            their_seconds.append(_cpu_seconds(theirs))
    ours, baseline = statistics.median(ours_seconds), statistics.median(their_seconds)
    yield {
        "name": "validate_flights",
        "value": round(ours, 4),
        "unit": "CPU s",
        "baseline": "great-expectations, the same suite on the same rows in pandas, BOOLEAN_ONLY",
        "baseline_value": round(baseline, 4),
        "ratio": round(baseline / ours, 2),
        "higher_is_better": False,
        "goal": {"at_most": 0.2},
        "detail": {
            "rows": flights.rows,
            "checks": len(FLIGHTS.checks),
            "repeats": _REPEATS,
            "baseline_repeats": _BASELINE_REPEATS,
            "least": round(min(ours_seconds), 4),
            "most": round(max(ours_seconds), 4),
            "first_in_the_process": round(first, 4),
        },
    }


def _great_expectations(frame: Any) -> Callable[[], None]:
    """Return great-expectations' validation of the same suite; it fails when a check does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        from operators._validate_gx import as_suite

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("memory").add_dataframe_asset("flights")
        rows = asset.add_batch_definition_whole_dataframe("rows")
        suite = as_suite(FLIGHTS.checks)

    def judged() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            batch = rows.get_batch({"dataframe": frame})
            if not batch.validate(suite, result_format="BOOLEAN_ONLY").success:
                raise AssertionError("great-expectations refuses what we accept")

    return judged


def _cpu_seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
