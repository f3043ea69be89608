"""This module sorts decisions by what can be said of their outcome; each has exactly one fate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from headrace.errors import DataError
from headrace.schemas import TableSchema
from operators._label_schema import known_column
from operators._outcome_asked import Asked

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Flags = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]
    Instants = npt.NDArray[np.datetime64]

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Fates:
    """These are decisions by fate, as boolean arrays, and what they are labelled with.

    Args:
        labelled: An outcome became known within the window.
        immature: The window is open.
        silent: There is no outcome.
        void: Something was observed within the window, but no outcome with it.
        too_late: There is an outcome, and it became known after the window.
        values: The outcome where one is labelled with; NaN elsewhere.
        known: Since when that was known; NaT elsewhere.
        decided: When each decision was made.
        told: When each first had an outcome, in its window or after it; NaT where none is known.
        told_values: That outcome, NaN where none is known.
    """

    labelled: Flags
    immature: Flags
    silent: Flags
    void: Flags
    too_late: Flags
    values: Floats
    known: Instants
    decided: Instants
    told: Instants
    told_values: Floats


def fates_of_rows(
    rows: pa.Table,
    schema: TableSchema,
    asked: Asked,
) -> Fates:
    """Sort decisions that carry their own outcome.

    Args:
        rows: The decisions.
        schema: What they hold.
        asked: Their outcome and its window; without `as_of` every window has passed.

    Raises:
        DataError: A decision has no time, or an outcome has no known time or one before its
            decision.
    """
    import numpy as np

    outcome, as_of = asked.outcome, asked.as_of
    known_name = known_column(schema, outcome) or ""
    decided = decision_times(rows, schema)
    known = instants(rows, known_name)
    values = numbers(rows, outcome)
    has_outcome = ~np.isnan(values)
    has_known = ~np.isnat(known)
    _refuse(
        has_outcome & ~has_known,
        f"has '{outcome}' but no '{known_name}', so it is not known when it became known",
        "Give the moment, or leave the outcome null.",
    )
    _refuse(
        has_outcome & has_known & (known < decided),
        f"has '{outcome}' known at '{known_name}', before its decision",
        "Correct the times; an outcome that is already known needs no prediction.",
    )
    closes = decided + span(asked.window)
    immature = np.zeros(len(decided), dtype=bool)
    if as_of is not None:
        immature = np.asarray(closes > moment(as_of))
    labelled = ~immature & has_outcome & (known <= closes)
    return Fates(
        labelled=labelled,
        immature=immature,
        silent=~immature & ~has_outcome,
        void=np.zeros(len(decided), dtype=bool),
        too_late=~immature & has_outcome & (known > closes),
        values=np.where(labelled, values, np.nan),
        known=np.where(labelled, known, np.datetime64("NaT")),
        decided=decided,
        told=np.where(has_outcome, known, np.datetime64("NaT")),
        told_values=values,
    )


def decision_times(rows: pa.Table, schema: TableSchema) -> Instants:
    """Return when each decision was made.

    Raises:
        DataError: Of one this is not known.
    """
    import numpy as np

    name = schema.the("decision_time").name
    decided = instants(rows, name)
    _refuse(
        np.isnat(decided),
        f"has no '{name}', so it is not known when its window closes",
        "Give the moment of the decision, or filter such rows out before.",
    )
    return decided


def instants(rows: pa.Table, name: str) -> Instants:
    """Return a time column in UTC, NaT for nulls."""
    import pyarrow as pa

    found: Instants = rows[name].cast(pa.timestamp("us")).to_numpy()
    return found


def numbers(rows: pa.Table, name: str) -> Floats:
    """Return a numeric column as floats, NaN for nulls."""
    import pyarrow as pa

    found: Floats = rows[name].cast(pa.float64()).to_numpy()
    return found


def span(window: timedelta) -> np.timedelta64:
    """Return a duration as numpy counts it."""
    import numpy as np

    return np.timedelta64(window // _MICROSECOND, "us")


def moment(at: datetime) -> np.datetime64:
    """Return an aware moment as numpy counts it, in UTC."""
    import numpy as np

    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")


def _refuse(wrong: Flags, problem: str, remedy: str) -> None:
    if wrong.any():
        raise DataError(
            f"Row {int(wrong.argmax()):,} and {int(wrong.sum()) - 1:,} more: it {problem}.",
            remedy=remedy,
        )
