"""This module labels decisions by what came of them, once that had time to become known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AwareDatetime, Field

from headrace import Labels, Report, Schema, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError, LeakageError
from headrace.schemas import TableSchema
from operators._label_schema import findings, known_column, labels_schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

S = TypeVar("S", bound=Schema)


@dataclass(frozen=True, kw_only=True)
class _Sorted:
    """These are the rows by fate, as boolean arrays; each row has exactly one fate."""

    labelled: np.ndarray
    immature: np.ndarray
    censored: np.ndarray
    too_late: np.ndarray


def _check(call: PlannedCall) -> list[Finding]:
    schema = call.schema("table")
    if schema is None:
        return []
    reason = call.parameters.get("reason_column")
    return list(findings(schema, call.parameters["outcome"], reason))


def _produces(call: PlannedCall) -> dict[str, TableSchema | None]:
    schema = call.schema("table")
    outcome = call.parameters["outcome"]
    if schema is None or list(findings(schema, outcome, None)):
        return {"labels": None}
    return {"labels": labels_schema(schema, outcome, call.parameters.get("above"))}


@operator(check=_check, produces=_produces)
def label_by_outcome(
    table: Table[S],
    *,
    outcome: str,
    window_hours: Annotated[float, Field(gt=0)],
    above: float | None = None,
    as_of: AwareDatetime | None = None,
    reason_column: str | None = None,
) -> tuple[Labels[Any], Report]:
    """Label each mature decision 1 when its outcome is above a limit, else 0.

    A row is mature when its window has passed; labelling whatever is already known would favour
    outcomes that are known early. A row without an outcome is never labelled 0: it is immature
    while its window is open, and censored afterwards. Nothing is left out without being counted.

    Args:
        table: Decisions with their outcomes, one row each, with a column of role decision_time.
            The outcome is known from its `known_at` column, or else the one of role known_time.
        outcome: Column of the outcome, numeric; null where there is none (yet).
        window_hours: Hours from the decision within which the outcome must become known.
        above: Limit in the unit of `outcome`; the limit itself is labelled 0. None labels with
            the outcome's value, for an estimation.
        as_of: The moment up to which the table knows what happened. None takes it as complete:
            every window has passed.
        reason_column: Column that says why an outcome never came, for the counts.

    Returns:
        The labels: entity, decision time and what is known at the decision, `label_known_at` and
        `label`; and the report: how many were labelled, immature and censored, and why.

    Raises:
        DefinitionError: The outcome's column or a time is missing or unfit.
        LeakageError: A feature holds the outcome or is known only after the decision.
        DataError: The table is empty, no row is mature, an outcome has no known time or one
            before its decision, or all labels are the same.
    """
    schema = _required_schema(table)
    for finding in findings(schema, outcome, reason_column):
        kind = LeakageError if finding.rule == "leak" else DefinitionError
        raise kind(finding.problem, remedy=finding.remedy)
    rows = table.arrow()
    if not rows.num_rows:
        raise DataError(
            "The table to label has no rows.", remedy="Check what was read or filtered before."
        )
    fates = _by_fate(rows, schema, outcome, timedelta(hours=window_hours), as_of)
    counts = _counts(rows, fates, reason_column)
    labels = _labels(rows, schema, outcome, above, fates.labelled)
    _require_some(labels, counts, above, outcome)
    document = {
        "passed": True,
        "outcome": outcome,
        "above": above,
        "window_hours": window_hours,
        "as_of": None if as_of is None else as_of.astimezone(UTC).isoformat(),
        **counts,
    }
    if above is not None:
        document["positive_share"] = float(labels["label"].to_numpy().mean())
    return Labels.of(labels, schema=labels_schema(schema, outcome, above)), Report.of(document)


def _required_schema(table: Table[S]) -> TableSchema:
    if table.schema is None:
        raise DefinitionError(
            "The table to label has no schema, so its decision time is not known.",
            remedy="Give it one: `Table[Flights].of(...)`.",
        )
    return table.schema


def _by_fate(
    rows: pa.Table,
    schema: TableSchema,
    outcome: str,
    window: timedelta,
    as_of: datetime | None,
) -> _Sorted:
    import numpy as np

    known_name = known_column(schema, outcome) or ""
    decided = _instants(rows, schema.the("decision_time").name)
    known = _instants(rows, known_name)
    has_outcome = ~np.isnan(_values(rows, outcome))
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
    closes = decided + np.timedelta64(window // timedelta(microseconds=1), "us")
    moment = None if as_of is None else np.datetime64(as_of.astimezone(UTC).replace(tzinfo=None))
    immature = np.zeros(len(decided), dtype=bool)
    if moment is not None:
        immature = np.asarray(closes > moment)
    in_time = has_outcome & (known <= closes)
    return _Sorted(
        labelled=~immature & in_time,
        immature=immature,
        censored=~immature & ~has_outcome,
        too_late=~immature & has_outcome & (known > closes),
    )


def _counts(rows: pa.Table, fates: _Sorted, reason_column: str | None) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    if reason_column is None:
        reasons["no outcome"] = int(fates.censored.sum())
    else:
        counted = rows[reason_column].filter(fates.censored).value_counts()
        reasons = {
            "no reason" if c["values"] is None else str(c["values"]): c["counts"]
            for c in counted.to_pylist()
        }
    reasons["known after the window"] = int(fates.too_late.sum())
    censored = {k: v for k, v in sorted(reasons.items()) if v}
    return {
        "rows": rows.num_rows,
        "labelled": int(fates.labelled.sum()),
        "immature": int(fates.immature.sum()),
        "censored": sum(censored.values()),
        "censored_by_reason": censored,
    }


def _labels(
    rows: pa.Table, schema: TableSchema, outcome: str, above: float | None, labelled: np.ndarray
) -> pa.Table:
    import pyarrow as pa

    kept = rows.filter(labelled)
    values = _values(kept, outcome)
    label = values if above is None else (values > above).astype("int64")
    names = [c.name for c in labels_schema(schema, outcome, above).columns]
    known = kept[known_column(schema, outcome) or ""]
    made = {**{n: kept[n] for n in names[:-2]}, "label_known_at": known, "label": pa.array(label)}
    for feature in schema.with_role("feature"):
        if kept.num_rows and kept[feature.name].equals(kept[outcome]):
            raise LeakageError(
                f"Feature '{feature.name}' holds the outcome '{outcome}' in every row.",
                remedy=f"Take the role 'feature' from '{feature.name}'.",
            )
    return pa.table(made)


def _require_some(
    labels: pa.Table, counts: dict[str, Any], above: float | None, outcome: str
) -> None:
    import pyarrow.compute as pc

    if not labels.num_rows:
        raise DataError(
            f"No row can be labelled: of {counts['rows']:,} rows {counts['immature']:,} are "
            f"immature and {counts['censored']:,} censored.",
            remedy="Wait until windows have passed, shorten `window_hours`, or take `as_of` later.",
        )
    positive = pc.sum(labels["label"]).as_py() if above is not None else None
    if positive in (0, labels.num_rows):
        side = "none" if positive == 0 else "all"
        raise DataError(
            f"Of {labels.num_rows:,} labelled rows {side} have '{outcome}' above {above:g}, so "
            "there is one class only and nothing to learn.",
            remedy="Choose another limit, or take more rows.",
        )


def _instants(rows: pa.Table, name: str) -> np.ndarray:
    import pyarrow as pa

    instants: np.ndarray = rows[name].cast(pa.timestamp("us")).to_numpy()
    return instants


def _values(rows: pa.Table, name: str) -> np.ndarray:
    import pyarrow as pa

    values: np.ndarray = rows[name].cast(pa.float64()).to_numpy()
    return values


def _refuse(wrong: np.ndarray, problem: str, remedy: str) -> None:
    if wrong.any():
        raise DataError(
            f"Row {int(wrong.argmax()):,} and {int(wrong.sum()) - 1:,} more: it {problem}.",
            remedy=remedy,
        )
