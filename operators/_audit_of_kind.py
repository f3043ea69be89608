"""This module lays out the audit of several choices and of numbers as that of classes is."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace.artifacts import Model, Report, Table
from headrace.labels.schema import LabelSchema
from headrace.schemas import TableSchema
from operators._audit_kinds import Judging, KindAudit, audit_numbers, audit_tags
from operators._audit_rows import ADDED, Labelled, audited_schema, inputs_of
from operators._labeler_estimators import Settings

_GOLD_LISTED = 20


def judging_of(
    rows: Labelled,
    table: TableSchema,
    text: tuple[str, ...],
    *,
    folds: int,
    settings: Settings,
    by_name: bool,
) -> Judging:
    """Return how labelled rows are judged by others; see `Judging`."""
    grouping = table.with_role("group")
    groups = list(rows.frame[grouping[0].name]) if len(grouping) == 1 else None
    units = len(rows.given) if groups is None else len({str(group) for group in groups})
    return Judging(
        inputs=inputs_of(table, text),
        text=text,
        folds=min(folds, units),
        groups=groups,
        settings=settings,
        by_name=by_name,
    )


def audit_of_kind(
    table: Table[Any],
    rows: Labelled,
    schema: LabelSchema,
    judging: Judging,
    model: Model | None,
    *,
    size: int | None,
    only_suspects: bool,
) -> tuple[Table[Any], Report]:
    """Return the suspects, surest first, and what there is to say; see `audit_labels`."""
    judge = audit_numbers if schema.kind == "number" else audit_tags
    audit = judge(rows, schema, judging, model)
    by = "audit" if model is None else f"model:{model.digest[:12]}"
    suspects = audit.flagged & ~rows.settled
    eligible = suspects if only_suspects else ~rows.settled
    order = sorted(
        np.flatnonzero(eligible).tolist(),
        key=lambda at: (audit.sure[at], audit.own[at], rows.entities[at]),
    )[:size]
    made = _suspects(table, rows, audit, order, by)
    gold = np.flatnonzero(audit.flagged & rows.gold).tolist()
    document = {
        "passed": not suspects.any(),
        "judged_by": by,
        "labels": len(rows.given),
        "without_row": rows.without_row,
        "judged": int(audit.judged.sum()),
        "not_judged": int((~audit.judged).sum()),
        "settled": int(rows.settled.sum()),
        "suspects": int(suspects.sum()),
        "suspected_share": float(audit.flagged.mean()),
        "returned": len(order),
        **audit.findings,
        "gold_suspects": [rows.entities[at] for at in gold][:_GOLD_LISTED],
    }
    if table.schema is None:  # pragma: no cover - refused before
        raise TypeError("no schema")
    return Table.of(made, schema=audited_schema(table.schema)), Report.of(document)


def _suspects(
    table: Table[Any], rows: Labelled, audit: KindAudit, order: list[int], by: str
) -> dict[str, Any]:
    import pyarrow as pa

    source = table.arrow().take(pa.array(rows.at[order], pa.int64()))
    taken = {column.name for column in ADDED}
    return {
        **{n: source[n] for n in source.column_names if n not in taken},
        "slice": pa.array(["audit"] * len(order), pa.string()),
        "priority": 1 - audit.sure[order],
        "suggested": pa.array([audit.suggested[at] for at in order], pa.string()),
        "suggested_by": pa.array([by] * len(order), pa.string()),
        "confidence": pa.array([audit.confidence[at] for at in order], pa.float64()),
        "given_label": pa.array([rows.given[at] for at in order], pa.string()),
        "self_confidence": audit.own[order],
        "certainty": audit.sure[order],
        "flagged": audit.flagged[order],
    }
