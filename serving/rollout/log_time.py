"""This module tells the time of an endpoint whose requests say when they are decided.

Its log may be of 2013 while its history is of today, and time passes in the log alone.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.clock import current_clock
from serving.endpoints import Endpoints
from serving.rollout import _course
from serving.rollout.state import RolloutState
from serving.rule import Rule

if TYPE_CHECKING:
    import duckdb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST = (
    "SELECT greatest((SELECT max(epoch_us(decided_at)) FROM decisions), "
    "(SELECT max(epoch_us(known_at)) FROM outcomes))"
)
_FIRST = """
SELECT min(epoch_us(decided_at)) FROM decisions
WHERE (experiment = $experiment OR list_contains(experiments, $experiment))
    AND coalesce(generation, 0) >= $generation AND epoch_us(decided_at) <= $as_of
"""


def moment_of(folder: Path, clock: str) -> datetime:
    """Return the moment whose knowledge a look uses by default.

    Args:
        folder: The endpoint's decision log.
        clock: "live" for now; "replayed" for the last moment of which the log knows anything,
            which is now at the latest.
    """
    now = current_clock().now()
    if clock != "replayed":
        return now
    from headrace.decisions import open_view

    with open_view(folder) as connection:
        row = connection.execute(_NEWEST).fetchone()
    return now if row is None or row[0] is None else min(now, _moment(int(row[0])))


def in_log_time(
    state: RolloutState, endpoints: Endpoints, folder: Path, *, rule: Rule, as_of: datetime
) -> RolloutState:
    """Return a state whose times are those of the log, up to a moment.

    An experiment began with its first decision, and a share with the first one that was dealt by
    it; before there is any, nothing has passed.

    Args:
        state: The state, with the times of the history.
        endpoints: Where the history is.
        folder: The endpoint's decision log.
        rule: What it is judged by; approval that has to be newer than the share is compared by the
            time of people.
        as_of: The moment, aware.
    """
    from headrace.decisions import open_view

    history = [c for c in endpoints.history(state.endpoint) if c.generation <= state.generation]
    stay = _course.stay_of(history, state.challenger)
    began = _course.began_with(stay, state.experiment) or history[-1]
    since = _course.share_since(stay, state.challenger, began)
    said = state.said
    asks_twice = rule.approval is not None and rule.approval.before == "ramp"
    if said is not None and said.approved and asks_twice and state.stage == "traffic":
        said = said if said.at >= since.at else None
    with open_view(folder) as connection:
        moments = [
            _first(connection, state.experiment, generation, as_of)
            for generation in (began.generation, since.generation)
        ]
    return replace(state, began=moments[0], since=max(moments), said=said)


def _first(
    connection: duckdb.DuckDBPyConnection, experiment: str, generation: int, as_of: datetime
) -> datetime:
    """Return when the first decision of an experiment was made from a generation on."""
    asked = {
        "experiment": experiment,
        "generation": generation,
        "as_of": (as_of - _EPOCH) // timedelta(microseconds=1),
    }
    row = connection.execute(_FIRST, asked).fetchone()
    return as_of if row is None or row[0] is None else _moment(int(row[0]))


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
