"""This operator finds labels that are probably wrong, so that people look at them again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from headrace import Labels, Model, Report, Schema, Table, Votes, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError
from headrace.labels.columns import Vote
from headrace.labels.schema import LabelSchema
from headrace.schemas import TableSchema
from operators._audit_of_kind import audit_of_kind, judging_of
from operators._audit_rows import (
    ADDED,
    Labelled,
    audited_schema,
    findings,
    inputs_of,
    labelled_rows,
)
from operators._dawid_skene import Floats, Integers
from operators._label_errors import (
    certainty,
    confident_joint,
    likelier,
    self_confidence,
)
from operators._labeler_estimators import Settings
from operators._labeler_folds import folds_of, out_of_fold_probabilities
from operators.class_probabilities import class_probabilities

S = TypeVar("S", bound=Schema)

_GOLD_LISTED = 20
_TREES = 100  # of several choices and numbers


def _check(call: PlannedCall) -> list[Finding]:
    table = call.schema("table")
    if table is None:
        return []
    return _findings(
        table, call.schema("labels"), call.parameters["text"], call.parameters["schema"]
    )


def _findings(
    table: TableSchema,
    labels: TableSchema | None,
    text: tuple[str, ...],
    schema: LabelSchema | None,
) -> list[Finding]:
    found = findings(table, labels, text)
    if schema is not None and schema.kind in ("ranking", "span"):
        found.append(
            Finding(
                problem=f"Labels of the kind '{schema.kind}' are no classes and no number, so "
                "nothing can be learnt that would contradict them.",
                remedy="Look at how far raters agree instead: `aggregate_votes` reports it.",
                rule="label kind",
                input="labels",
            )
        )
    return found


def _produces(call: PlannedCall) -> dict[str, TableSchema | None]:
    table = call.schema("table")
    return {"table": None if table is None else audited_schema(table)}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Audit:
    """This is what was found of each labelled row."""

    classes: tuple[str, ...]
    probabilities: Floats
    given: Integers
    judged: npt.NDArray[np.bool_]
    believed: Integers
    own: Floats
    sure: Floats
    flagged: npt.NDArray[np.bool_]


@operator(check=_check, produces=_produces)
def audit_labels(
    table: Table[S],
    labels: Labels[Any],
    votes: Votes[Vote] | None = None,
    model: Model | None = None,
    *,
    schema: LabelSchema | None = None,
    text: tuple[str, ...] = (),
    size: Annotated[int, Field(ge=1)] | None = 100,
    only_suspects: bool = True,
    folds: Annotated[int, Field(ge=2, le=20)] = 5,
    estimator: Literal["logistic_regression", "extra_trees"] | None = None,
    l2: Annotated[float, Field(gt=0)] = 1.0,
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None,
) -> tuple[Table[Any], Report]:
    """Rank labels by how surely they are wrong, ready to be asked for again.

    Each label is judged by a model that was fitted on other rows. It is a suspect when the row is
    confidently believed to be of another class (Northcutt and others, 2021), or when another class
    is likelier, by the model and by how sure the votes were together; by which they are ranked.
    Labels that are gold, adjudicated, or were audited before are learnt from, but are no suspects
    again.

    Args:
        table: The rows, with one column of role "entity". Features, and what `text` names, tell
            labels; rows that share a value of the role "group" are never on both sides of a fit.
        labels: At most one for each entity, compared as text; of `aggregate_votes` or another.
        votes: The votes behind them; what was audited is seen in them.
        model: One that did not see these labels; its probabilities are taken as they are. None
            fits a labeler for each fold.
        schema: What could be answered, for several choices and for numbers; None for classes. A
            set of choices is as doubtful as the most doubtful of them. A number is a suspect that
            is over 3.5 usual distances from what was estimated without it, whatever the votes.
        text: Columns whose words are read.
        size: How many suspects at most; None for all.
        only_suspects: Whether labels that are in no doubt are left out.
        folds: In how many parts rows are judged, each by a fit on the others.
        estimator: What is fitted: linear by default, or trees; for numbers what errs less.
        l2: Penalty on the linear one's squared weights; higher than for a model that is to answer,
            since a fit that trusts each label learns its errors.
        seed: Of the folds; in a flow None takes one from the flow's seed.

    Returns:
        The suspects, surest first: the table's columns with `slice` "audit", `priority`,
        `suggested`, `suggested_by`, `confidence`, `given_label`, `self_confidence`, `certainty` and
        `flagged`; and a report: how many of how many, which label for which, and known answers that
        look wrong. It is passed when there is no suspect.

    Raises:
        DefinitionError: A role is missing, or there is nothing to tell labels by.
        DataError: No row has a label, all have the same, an entity occurs twice, or the model knows
            none of the labels.
    """
    columns = table.schema
    for finding in _findings(columns, labels.schema, text, schema) if columns else ():
        raise DefinitionError(finding.problem, remedy=finding.remedy)
    of_kind = schema is not None and schema.kind != "single"
    rows = labelled_rows(table, labels, votes, classes=not of_kind)
    if columns is None:
        raise DataError("The table has no schema.", remedy="Give it one: `Table[News].of(...)`.")
    settings = Settings(
        estimator=estimator or "logistic_regression", l2=l2, n_estimators=_TREES, seed=seed or 0
    )
    if schema is not None and of_kind:
        judging = judging_of(
            rows, columns, text, folds=folds, settings=settings, by_name=estimator is not None
        )
        return audit_of_kind(
            table, rows, schema, judging, model, size=size, only_suspects=only_suspects
        )
    if model is None:
        classes, probabilities, judged = _out_of_fold(
            rows,
            columns,
            text,
            folds=folds,
            estimator=estimator or "logistic_regression",
            l2=l2,
            seed=seed or 0,
        )
        by = "audit"
    else:
        classes, probabilities, judged = _by_model(rows, model)
        by = f"model:{model.digest[:12]}"
    audit = _audited(rows, classes, probabilities, judged)
    suspects = audit.flagged & ~rows.settled
    eligible = suspects if only_suspects else audit.judged & ~rows.settled
    order = sorted(
        np.flatnonzero(eligible).tolist(),
        key=lambda at: (audit.sure[at], audit.own[at], rows.entities[at]),
    )[:size]
    made = _suspects(table, rows, audit, np.array(order, dtype=np.int64), by)
    document = _document(rows, audit, suspects, returned=len(order), by=by)
    return Table.of(made, schema=audited_schema(columns)), Report.of(document)


def _out_of_fold(
    rows: Labelled,
    schema: TableSchema,
    text: tuple[str, ...],
    *,
    folds: int,
    estimator: Literal["logistic_regression", "extra_trees"],
    l2: float,
    seed: int,
) -> tuple[tuple[str, ...], Floats, npt.NDArray[np.bool_]]:
    """Return probabilities by fits on other rows, and which labels those fits had examples of."""
    classes = tuple(sorted(set(rows.given)))
    grouping = schema.with_role("group")
    groups = list(rows.frame[grouping[0].name]) if len(grouping) == 1 else None
    units = len(rows.given) if groups is None else len({str(group) for group in groups})
    parts = min(folds, units)
    named = np.asarray(rows.given, dtype=str)
    probabilities = out_of_fold_probabilities(
        rows.frame,
        rows.given,
        classes=classes,
        inputs=inputs_of(schema, text),
        text=text,
        folds=parts,
        groups=groups,
        estimator=estimator,
        l2=l2,
        seed=seed,
    )
    part = folds_of(named, folds=parts, groups=groups, seed=seed)
    known = np.zeros(len(named), dtype=bool)
    for fold in range(parts):
        learnt = np.unique(named[part != fold])
        known |= (part == fold) & np.isin(named, learnt)
    return classes, probabilities, known


def _by_model(
    rows: Labelled, model: Model
) -> tuple[tuple[str, ...], Floats, npt.NDArray[np.bool_]]:
    known, probabilities = class_probabilities(model, rows.frame)
    others = sorted(set(rows.given) - set(known))
    judged = np.isin(np.asarray(rows.given, dtype=str), np.asarray(known, dtype=str))
    if not judged.any():
        raise DataError(
            f"The model knows none of the labels: it knows {', '.join(known)}; the labels are "
            f"{', '.join(others)}.",
            remedy="Give a model of the same question, or none.",
        )
    wide = np.hstack([probabilities, np.zeros((len(rows.given), len(others)))])
    return (*known, *others), wide, judged


def _audited(
    rows: Labelled,
    classes: tuple[str, ...],
    probabilities: Floats,
    judged: npt.NDArray[np.bool_],
) -> _Audit:
    numbers = {name: at for at, name in enumerate(classes)}
    given: Integers = np.array([numbers[name] for name in rows.given], dtype=np.int64)
    joint = confident_joint(probabilities[judged], given[judged])
    believed = np.full(len(given), -1, dtype=np.int64)
    believed[judged] = joint.believed
    other = (believed >= 0) & (believed != given)
    instead = np.where(judged, likelier(probabilities, given, rows.supported), -1)
    believed = np.where(other, believed, instead)
    own = self_confidence(probabilities, given)
    return _Audit(
        classes=classes,
        probabilities=probabilities,
        given=given,
        judged=judged,
        believed=believed,
        own=own,
        sure=certainty(own, rows.supported, classes=len(classes)),
        flagged=believed >= 0,
    )


def _suspects(
    table: Table[Any], rows: Labelled, audit: _Audit, order: Integers, by: str
) -> dict[str, Any]:
    source = table.arrow().take(rows.at[order])
    taken = {column.name for column in ADDED}
    likeliest = np.where(
        audit.flagged[order], audit.believed[order], audit.probabilities[order].argmax(axis=1)
    )
    return {
        **{n: source[n] for n in source.column_names if n not in taken},
        "slice": ["audit"] * len(order),
        "priority": 1 - audit.sure[order],
        "suggested": [audit.classes[at] for at in likeliest],
        "suggested_by": [by] * len(order),
        "confidence": audit.probabilities[order, likeliest],
        "given_label": [rows.given[at] for at in order],
        "self_confidence": audit.own[order],
        "certainty": audit.sure[order],
        "flagged": audit.flagged[order],
    }


def _document(
    rows: Labelled, audit: _Audit, suspects: npt.NDArray[np.bool_], *, returned: int, by: str
) -> dict[str, Any]:
    found = Counter(
        zip(
            audit.given[audit.flagged].tolist(), audit.believed[audit.flagged].tolist(), strict=True
        )
    )
    pairs = [
        {"given": audit.classes[a], "seems": audit.classes[b], "rows": rows_of_pair}
        for (a, b), rows_of_pair in sorted(found.items())
    ]
    gold = audit.flagged & rows.gold
    judged = int(audit.judged.sum())
    return {
        "passed": not suspects.any(),
        "judged_by": by,
        "labels": len(rows.given),
        "without_row": rows.without_row,
        "judged": judged,
        "not_judged": len(rows.given) - judged,
        "settled": int(rows.settled.sum()),
        "suspects": int(suspects.sum()),
        "suspected_share": float(audit.flagged.sum() / judged) if judged else None,
        "returned": returned,
        "accuracy": float((audit.probabilities.argmax(axis=1) == audit.given)[audit.judged].mean()),
        "pairs": sorted(pairs, key=lambda pair: (-pair["rows"], pair["given"], pair["seems"])),
        "gold_suspects": [rows.entities[at] for at in np.flatnonzero(gold).tolist()][:_GOLD_LISTED],
    }
