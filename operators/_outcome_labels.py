"""This module makes labels of decisions whose fate is known, and counts all of them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, LeakageError
from headrace.schemas import Column, TableSchema
from operators._label_schema import NUMERIC, known_column, labels_schema
from operators._observed_fates import Sorted
from operators._outcome_asked import Asked
from operators._outcome_fates import Fates, instants, moment, numbers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Flags = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]


def labels_of_rows(rows: pa.Table, schema: TableSchema, asked: Asked, fates: Fates) -> pa.Table:
    """Return labels of decisions that carry their own outcome.

    Args:
        rows: The decisions.
        schema: What they hold.
        asked: Their outcome, and the limit if there is one.
        fates: What became of each.

    Raises:
        LeakageError: A feature holds the outcome.
    """
    kept = rows.filter(fates.labelled)
    outcome = kept[asked.outcome]
    for feature in schema.with_role("feature"):
        if kept.num_rows and kept[feature.name].equals(outcome):
            raise _holds_outcome(feature.name, asked.outcome)
    known = kept[known_column(schema, asked.outcome) or ""]
    label = _label(numbers(kept, asked.outcome), asked.above)
    return _with_labels(kept, labels_schema(schema, asked.outcome, asked.above), known, label)


def labels_by_observation(
    rows: pa.Table, schema: TableSchema, observed: Column, asked: Asked, found: Sorted
) -> pa.Table:
    """Return labels of decisions by what was observed.

    Args:
        rows: The decisions.
        schema: What they hold.
        observed: The outcome's column in the observations.
        asked: The limit, and whether what is missing counts as negative.
        found: What became of each decision. A label that fills what is missing is known once the
            window has closed.

    Raises:
        LeakageError: A feature holds the outcome.
    """
    import numpy as np
    import pyarrow as pa

    fates = found.fates
    made = fates.labelled | filled(fates) if asked.fills else fates.labelled
    _refuse_outcome_as_feature(rows, schema, asked.outcome, fates)
    known = np.where(fates.labelled, fates.known, found.closes)[made]
    label = _label(fates.values[made], asked.above)  # no number is above the limit
    instants = pa.array(known.astype("datetime64[us]")).cast(pa.timestamp("us", tz="UTC"))
    columns = labels_schema(schema, asked.outcome, asked.above, observed=observed)
    return _with_labels(rows.filter(made), columns, instants, label)


def filled(fates: Fates) -> Flags:
    """Return which mature decisions have no outcome in time, where nothing means that none was."""
    return fates.silent | fates.too_late


def with_reasons_known(
    rows: pa.Table, schema: TableSchema, reason_column: str | None, as_of: datetime
) -> pa.Table:
    """Return decisions without the reasons that became known after a moment.

    Args:
        rows: The decisions.
        schema: What they hold; it says when the reason is known.
        reason_column: The column that has reasons; None where none does.
        as_of: The moment.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    known_at = None if reason_column is None else schema.column(reason_column).known_at
    if reason_column is None or known_at is None:
        return rows
    later = pa.array(instants(rows, known_at) > moment(as_of))
    reasons = rows[reason_column].cast(pa.string())
    at = rows.schema.get_field_index(reason_column)
    return rows.set_column(at, reason_column, pc.if_else(later, None, reasons))


def counts_of(rows: pa.Table, fates: Fates, asked: Asked) -> dict[str, Any]:
    """Return how many decisions were labelled, are immature or censored, and why.

    Args:
        rows: The decisions.
        fates: What became of each.
        asked: Which column has reasons, and whether what is missing counts as negative.
    """
    reasons = {"observed without an outcome": int(fates.void.sum())}
    if not asked.fills:
        reasons["known after the window"] = int(fates.too_late.sum())
        for why, count in _reasons(rows, fates.silent, asked.reason_column).items():
            reasons[why] = reasons.get(why, 0) + count
    censored = {why: count for why, count in sorted(reasons.items()) if count}
    return {
        "rows": rows.num_rows,
        "labelled": int((fates.labelled | filled(fates) if asked.fills else fates.labelled).sum()),
        "immature": int(fates.immature.sum()),
        "censored": sum(censored.values()),
        "censored_by_reason": censored,
    }


def joined_counts(found: Sorted, asked: Asked) -> dict[str, Any]:
    """Return what the report says of observations.

    Args:
        found: What became of decisions and observations.
        asked: How they were joined.
    """
    fates = found.fates
    counts: dict[str, Any] = {
        "attribution": asked.attribution,
        "touch": asked.touch,
        "on_missing": asked.on_missing,
        "corrected": found.corrected,
        "at_one_moment": found.rivals,
        "observations": found.counts,
    }
    if asked.fills and asked.above is not None:
        missing = filled(fates)
        counts["filled"] = int(missing.sum())
        counts["filled_though_above"] = int((missing & (fates.told_values > asked.above)).sum())
    return counts


def require_some(labels: pa.Table, counts: dict[str, Any], asked: Asked) -> None:
    """Refuse labels from which nothing can be learned.

    Raises:
        DataError: There are none, or all are the same.
    """
    import pyarrow.compute as pc

    if not labels.num_rows:
        raise DataError(
            f"No row can be labelled: of {counts['rows']:,} rows {counts['immature']:,} are "
            f"immature and {counts['censored']:,} censored.",
            remedy="Wait until windows have passed, shorten `window_hours`, or take `as_of` later.",
        )
    positive = pc.sum(labels["label"]).as_py() if asked.above is not None else None
    if positive in (0, labels.num_rows):
        side = "none" if positive == 0 else "all"
        raise DataError(
            f"Of {labels.num_rows:,} labelled rows {side} have '{asked.outcome}' above "
            f"{asked.above:g}, so there is one class only and nothing to learn.",
            remedy="Choose another limit, or take more rows.",
        )


def _with_labels(
    kept: pa.Table, columns: TableSchema, known: pa.Array | pa.ChunkedArray, label: npt.NDArray[Any]
) -> pa.Table:
    import pyarrow as pa

    names = columns.names[:-2]
    made = {name: kept[name] for name in names}
    return pa.table({**made, "label_known_at": known, "label": pa.array(label)})


def _label(values: Floats, above: float | None) -> npt.NDArray[Any]:
    return values if above is None else (values > above).astype("int64")


def _reasons(rows: pa.Table, silent: Flags, column: str | None) -> dict[str, int]:
    if column is None:
        return {"no outcome": int(silent.sum())}
    counted = rows[column].filter(silent).value_counts().to_pylist()
    return {
        "no reason" if each["values"] is None else str(each["values"]): each["counts"]
        for each in counted
    }


def _refuse_outcome_as_feature(
    rows: pa.Table, schema: TableSchema, outcome: str, fates: Fates
) -> None:
    import numpy as np

    values = fates.values[fates.labelled]
    for feature in schema.with_role("feature"):
        if feature.dtype in NUMERIC and len(values):
            held = numbers(rows, feature.name)[fates.labelled]
            if np.array_equal(held, values):
                raise _holds_outcome(feature.name, outcome)


def _holds_outcome(feature: str, outcome: str) -> LeakageError:
    return LeakageError(
        f"Feature '{feature}' holds the outcome '{outcome}' in every row.",
        remedy=f"Take the role 'feature' from '{feature}'.",
    )
