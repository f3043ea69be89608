"""This module scores rows in batches with a fitted model: one prediction a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import Field

from headrace import Examples, Model, Predictions, Schema, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import LeakageError, SchemaError, did_you_mean
from headrace.models import ModelCard
from headrace.schemas import Column, TableSchema
from operators._encoding import NUMBER_DTYPES, TEXT_DTYPES, Vector
from operators.scoring import load

S = TypeVar("S", bound=Schema)
_SCORE = "score"
_CHUNK = 65_536


def _check(call: PlannedCall) -> list[Finding]:
    rows, fitted = call.schema("rows"), call.schema("model")
    if rows is None:
        return []
    features = {} if fitted is None else {c.name: c.dtype for c in fitted.with_role("feature")}
    return [*_key_findings(rows), *_feature_findings(rows, features)]


def _produces(call: PlannedCall) -> TableSchema | None:
    rows = call.schema("rows")
    return None if rows is None else _predicted(rows)


@operator(check=_check, produces=_produces)
def score(
    model: Model,
    rows: Table[S] | Examples[S],
    *,
    threads: Annotated[int, Field(ge=1, le=256)] = 1,
) -> Predictions[Any]:
    """This scores every row with a fitted model.

        tomorrow = score(selected, flights)

    The model's own library answers, in pieces of 65,536 rows, not the runtime that a lane was
    measured to be fastest with: what is in the cache must follow from the inputs alone, and not
    from how busy a machine was. A lane's answers differ by less than 1e-5 (`choose_runtime`).

    Args:
        model: The model.
        rows: Rows with a column of role "entity" and the model's features as they were known at the
            decision; labels are not needed. Null features and unknown categories are allowed. A
            test set is for `evaluate`.
        threads: Threads for trees, whose answers do not depend on it; other models take one.

    Returns:
        One row for each, in their order: the entity, the decision time where there is one, and
        `score`, the probability of the positive class or the estimate, never null.

    Raises:
        SchemaError: The rows lack a feature, hold it as another type, or have no entity.
        LeakageError: A feature is known only after the decision, or is the label.
        DataError: A feature holds a value that the model cannot take, such as infinity.
    """
    schema, card = rows.schema, model.card
    if schema is None:
        raise SchemaError(
            "The rows have a column whose type has no name here.",
            remedy="Give them a schema: `Table[MySchema].of(frame)`.",
        )
    features = {f.name: f.dtype for f in card.features}
    for finding in (*_key_findings(schema), *_feature_findings(schema, features)):
        kind = LeakageError if finding.rule == "leak" else SchemaError
        raise kind(f"Operator 'score': {finding.problem}", remedy=finding.remedy)
    kept = [c.name for c in _predicted(schema).columns if c.name != _SCORE]
    scores = _scores(model, card, rows, threads)
    return Predictions.of(rows.arrow().select(kept).append_column(_SCORE, [scores]))


def _scores(model: Model, card: ModelCard, rows: Table[S] | Examples[S], threads: int) -> Vector:
    # trees are walked row by row; a sum of products may depend on how threads share it
    trees = card.flavor != "torch" and "dense" not in card.extra
    scorer = load(model, threads=threads if trees else 1)
    table = rows.arrow().select(list(card.feature_names))
    parts = [
        scorer.score(table.slice(start, _CHUNK).to_pandas())
        for start in range(0, table.num_rows, _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _predicted(rows: TableSchema) -> TableSchema:
    decided = rows.with_role("decision_time")
    answer = Column(
        name=_SCORE,
        dtype="float",
        known_at=decided[0].name if len(decided) == 1 else None,
        description="Probability of the positive class, or the estimate.",
    )
    kept = tuple(c for c in rows.columns if c.role in ("entity", "decision_time"))
    known = {c.name for c in kept}
    return TableSchema(
        name="Predictions",
        columns=(*(c if c.known_at in known else replace(c, known_at=None) for c in kept), answer),
    )


def _key_findings(rows: TableSchema) -> Iterator[Finding]:
    keys = rows.with_role("entity")
    if not keys:
        yield Finding(
            problem=f"Schema '{rows.name}' of the rows has no column with role 'entity', so nobody "
            "could tell whose score is whose.",
            remedy='Give the column that names a row `Col(role="entity")`.',
            rule="entity",
            input="rows",
        )
    if any(c.name == _SCORE and c.role in ("entity", "decision_time") for c in rows.columns):
        yield Finding(
            problem=f"Schema '{rows.name}' of the rows has a column '{_SCORE}' of its own.",
            remedy="Rename it; predictions add the column 'score'.",
            rule="column exists",
            input="rows",
        )


def _feature_findings(rows: TableSchema, features: Mapping[str, str]) -> Iterator[Finding]:
    decided = [c.name for c in rows.with_role("decision_time")]
    for name, dtype in features.items():
        if name not in rows:
            yield _finding(
                "same features",
                f"The rows lack feature '{name}', which the model was fitted on."
                f"{did_you_mean(name, rows.names)}",
            )
            continue
        column = rows.column(name)
        if _sort_of(column.dtype) != _sort_of(dtype):
            yield _finding(
                "same features",
                f"Feature '{name}' is {column.dtype} in the rows, but the model was fitted on "
                f"{dtype}.",
            )
        if column.role == "label":
            yield _finding("leak", f"Feature '{name}' is the label of the rows.")
        elif column.known_at and len(decided) == 1 and column.known_at != decided[0]:
            yield _finding(
                "leak",
                f"Feature '{name}' is known at '{column.known_at}', not at the decision "
                f"('{decided[0]}').",
            )


def _sort_of(dtype: str) -> str:
    if dtype in TEXT_DTYPES:
        return "text"
    return "number" if dtype in NUMBER_DTYPES else dtype


def _finding(rule: str, problem: str) -> Finding:
    return Finding(
        problem=problem,
        remedy="Bring it in as for training, by `build` with the same feature view.",
        rule=rule,
        input="rows",
    )
