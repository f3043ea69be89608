"""This module sorts decisions by what was observed, as it was known at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from features._join_keys import KeyNumbers
from headrace.errors import DataError, LeakageError
from headrace.schemas import TableSchema
from operators._label_schema import known_column
from operators._observation_findings import decision_key, observation_key
from operators._observation_join import NOBODY, Decisions, Joined, join
from operators._observation_versions import NEVER, Observed, Told, newest_versions
from operators._outcome_asked import Asked
from operators._outcome_fates import Fates, decision_times, instants, moment, numbers, span

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sorted:
    """These are decisions by fate, up to when that was known, and what observations went to.

    Args:
        fates: The decisions by fate.
        closes: When the window of each closes.
        as_of: The moment whose knowledge was used.
        counts: How many rows of observations had which use; each row has exactly one.
        corrected: How many decisions are labelled with an outcome that replaced another.
        rivals: How many decisions have no observations because another was made at the same
            moment about the same entity.
    """

    fates: Fates
    closes: npt.NDArray[np.datetime64]
    as_of: datetime
    counts: dict[str, int]
    corrected: int
    rivals: int


def fates_by_observation(
    rows: pa.Table,
    schema: TableSchema,
    observations: pa.Table,
    observed_schema: TableSchema,
    asked: Asked,
) -> Sorted:
    """Sort decisions by what was observed.

    Args:
        rows: The decisions, at least one.
        schema: What they hold.
        observations: What was observed.
        observed_schema: What that holds.
        asked: How they are joined.

    Raises:
        DataError: An observation lacks a time or an id, was known before it happened, or one id is
            about several entities or moments; or there are none and `as_of` is not given.
    """
    import numpy as np

    known = _known_times(observations, observed_schema, asked)
    as_of = asked.as_of or _last(known)
    visible = np.flatnonzero(known <= moment(as_of))
    key = decision_key(schema, asked.by)
    entities = KeyNumbers([rows[key.name]])
    names = _Names.of(observed_schema, asked, key=key.name)
    told = _told(observations.take(visible), names, entities, positions=visible)
    about = told.entity != NOBODY
    observed = newest_versions(told.only(about))
    decided = decision_times(rows, schema)
    closes = decided + span(asked.window)
    decisions = Decisions(
        entity=entities.numbers, decided=_microseconds(decided), closes=_microseconds(closes)
    )
    joined = join(decisions, observed, touch=asked.touch, attribution=asked.attribution)
    mature = closes <= moment(as_of)
    fates = _fates(decided, decisions.closes, observed, joined, mature=mature, fills=asked.fills)
    replaced = _at(observed.known != observed.first_valued, joined.outcome, np.bool_(False))
    counts = {
        "rows": observations.num_rows,
        "known_after_as_of": observations.num_rows - len(visible),
        "about_nothing_decided": int((~about).sum()),
        "superseded": observed.superseded,
        "repeated": observed.repeated,
    }
    used = _uses(observed, joined, decisions, mature)
    counts["about_nothing_decided"] += used.pop("about_nothing_decided")
    return Sorted(
        fates=fates,
        closes=closes,
        as_of=as_of,
        counts=counts | used,
        corrected=int((fates.labelled & replaced).sum()),
        rivals=joined.rivals,
    )


def _known_times(
    observations: pa.Table, schema: TableSchema, asked: Asked
) -> npt.NDArray[np.datetime64]:
    import numpy as np

    name = known_column(schema, asked.outcome) or ""
    known = instants(observations, name)
    _refuse(np.isnat(known), f"has no '{name}', so it is not known when it became known")
    return known


def _last(known: npt.NDArray[np.datetime64]) -> datetime:
    if not len(known):
        raise DataError(
            "There are no observations, so nothing says up to when they would be known.",
            remedy="Give `as_of`, the moment up to which observations were collected.",
        )
    return _EPOCH + timedelta(microseconds=int(_microseconds(known).max()))


@dataclass(frozen=True, kw_only=True)
class _Names:
    """These are the columns of observations that are read."""

    entity: str
    event: str
    known: str
    outcome: str
    identity: str | None

    @classmethod
    def of(cls, schema: TableSchema, asked: Asked, *, key: str) -> _Names:
        column = observation_key(schema, key)
        return cls(
            entity=column.name if column else key,
            event=schema.the("event_time").name,
            known=known_column(schema, asked.outcome) or "",
            outcome=asked.outcome,
            identity=asked.observation_id,
        )


def _told(rows: pa.Table, names: _Names, entities: KeyNumbers, *, positions: Ints) -> Told:
    import numpy as np

    event, known = instants(rows, names.event), instants(rows, names.known)
    _refuse(np.isnat(event), f"has no '{names.event}', so it lies in no window", positions)
    early = f"is known at '{names.known}', before it happened at '{names.event}'"
    _refuse(known < event, early, positions, kind=LeakageError)
    identity = None
    if names.identity is not None:
        identity = KeyNumbers([rows[names.identity]]).numbers
        _refuse(identity < 0, f"has no '{names.identity}', which is its id", positions)
    return Told(
        row=positions,
        entity=entities.of([rows[names.entity]], rows.num_rows),
        event=_microseconds(event),
        known=_microseconds(known),
        value=numbers(rows, names.outcome),
        identity=identity,
    )


def _fates(
    decided: npt.NDArray[np.datetime64],
    closes: Ints,
    observed: Observed,
    joined: Joined,
    *,
    mature: Flags,
    fills: bool,
) -> Fates:
    import numpy as np

    never = np.int64(NEVER)
    has = joined.outcome != NOBODY
    heard = _at(observed.first_known, joined.heard, never) <= closes
    earliest = joined.earliest_within if fills else joined.earliest
    told = _at(observed.first_valued, earliest, never)
    known = _at(observed.known, joined.outcome, never)
    values = _at(observed.value, joined.outcome, np.float64("nan"))
    labelled = mature & has
    void = mature & ~has & heard
    late = mature & ~has & ~heard & (told != NEVER)
    return Fates(
        labelled=labelled,
        immature=~mature,
        silent=mature & ~has & ~heard & ~late,
        void=void,
        too_late=late,
        values=np.where(labelled, values, np.nan),
        known=_instants_of(np.where(labelled, known, never)),
        decided=decided,
        told=_instants_of(told),
        told_values=np.where(has, values, _at(observed.value, earliest, np.float64("nan"))),
    )


def _uses(
    observed: Observed, joined: Joined, decisions: Decisions, mature: Flags
) -> dict[str, int]:
    """Return how many observations had which use, by the latest decision that each may be of."""
    import numpy as np

    latest = joined.latest_decision
    closes = _at(decisions.closes, latest, np.int64(-NEVER))
    chosen = np.zeros(len(latest), dtype=bool)
    labelled = mature & (joined.outcome != NOBODY)
    chosen[joined.outcome[labelled]] = True
    valued = ~np.isnan(observed.value)
    uses = {
        "outcomes": chosen,
        "about_nothing_decided": latest == NOBODY,
        "after_the_window": observed.event > closes,
        "in_an_open_window": ~_at(mature, latest, np.bool_(True)),
        "without_an_outcome": ~valued,
        "known_after_the_window": observed.first_valued > closes,
        "passed_over": np.ones(len(latest), dtype=bool),
    }
    left = np.ones(len(latest), dtype=bool)
    counts = {}
    for use, flags in uses.items():
        counts[use] = int((left & flags).sum())
        left &= ~flags
    return counts


def _at(values: npt.NDArray[Any], positions: Ints, absent: Any) -> npt.NDArray[Any]:
    """Return the values at positions, and another where there is none."""
    import numpy as np

    if not len(values):
        return np.full(len(positions), absent)
    return np.where(positions == NOBODY, absent, values[positions])


def _microseconds(times: npt.NDArray[np.datetime64]) -> Ints:
    return times.astype("datetime64[us]").astype("int64")


def _instants_of(microseconds: Ints) -> npt.NDArray[np.datetime64]:
    import numpy as np

    times = microseconds.astype("datetime64[us]")
    return np.where(microseconds == NEVER, np.datetime64("NaT"), times)


def _refuse(
    wrong: Flags,
    problem: str,
    positions: Ints | None = None,
    *,
    kind: type[DataError] = DataError,
) -> None:
    if wrong.any():
        first = int(wrong.argmax())
        row = first if positions is None else int(positions[first])
        raise kind(
            f"Row {row:,} of the observations and {int(wrong.sum()) - 1:,} more: it {problem}.",
            remedy="Correct the observations, or filter these rows out before.",
        )
