"""This benchmark compares the features of live decisions with the offline join of the same moment.

The last flights of the year are replayed through a real lane, each thing when it became known; then
every feature that was looked up, as the decision log has it, is compared bit by bit with what
`build` would have trained on. The baseline is the share under a join that goes by event time and
does not ask when a row became known, which is the usual cause of skew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from typing import Any

from benchmarks._flights import VIEWS
from benchmarks._lane import ENDPOINT, deployed, home
from benchmarks.replay_flights import last_with_outcome
from headrace import Table
from headrace.schemas import Role

_FLIGHTS = 20_000
_GOAL_PERCENT = 99.9
_TIMES: tuple[Role, Role] = ("event_time", "known_time")


def run() -> Iterator[dict[str, Any]]:
    """Yield the share of served values that the offline join gives."""
    from operators.measure_skew import measure_skew
    from serving.replay import replay
    from serving.served_features import served_features

    with home("serving") as of:
        report = deployed(of, clock="replayed", space="replay")
        done = replay(
            last_with_outcome(of.data, _FLIGHTS),
            of.data.labels,
            of.data.rows,
            report,
            endpoint=ENDPOINT,
            views=list(VIEWS),
            since=date(2013, 1, 1),
            timezone="America/New_York",
        )
        served = served_features(done, endpoint=ENDPOINT, sample=None)
        begun = time.process_time()
        found = measure_skew(served, of.data.rows).document
        cpu = time.process_time() - begun
        naive = measure_skew(served, [_by_event_time(rows) for rows in of.data.rows]).document
    if (found["decisions"], done.document["decisions"]) != (_FLIGHTS, _FLIGHTS):
        raise RuntimeError(f"Not all was replayed: {done.document}.")
    least = min(found["features"], key=lambda f: f["share"])
    yield {
        "name": "skew",
        "value": round(100 * found["share"], 4),
        "unit": "%",
        "baseline": "join by event time",
        "baseline_value": round(100 * naive["share"], 4),
        "ratio": None,
        "higher_is_better": True,
        "goal": {"at_least": _GOAL_PERCENT},
        "detail": {
            "decisions": found["decisions"],
            "features": len(found["features"]),
            "compared": found["compared"],
            "equal": found["equal"],
            "passed": found["passed"],
            "baseline_passed": naive["passed"],
            "least": f"{least['view']}:{least['feature']} {100 * least['share']:.4f} %",
            "differing": [f for each in found["features"] for f in each["differing"]][:3],
            "cpu_s_of_comparison": round(cpu, 2),
            "repeats": 1,
        },
    }


def _by_event_time(rows: Table[Any]) -> Table[Any]:
    """Return view rows as if each had been known when it happened."""
    table, schema = rows.arrow(), rows.schema
    if schema is None:
        raise RuntimeError("View rows have a schema.")
    event, known = (schema.the(role).name for role in _TIMES)
    place = table.schema.get_field_index(known)
    return Table.of(table.set_column(place, known, table.column(event)), schema=schema)
