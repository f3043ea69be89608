"""This module scores rows in batches with a fitted model: one prediction a row."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import Field

from headrace import Examples, Model, Predictions, Schema, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import LeakageError, SchemaError
from headrace.models import ModelCard
from headrace.schemas import TableSchema
from operators._encoding import Vector
from operators._score_rules import SCORE, feature_findings, key_findings, predicted_schema
from operators.scoring import load

S = TypeVar("S", bound=Schema)
_CHUNK = 65_536


def _check(call: PlannedCall) -> list[Finding]:
    rows, fitted = call.schema("rows"), call.schema("model")
    if rows is None:
        return []
    features = {} if fitted is None else {c.name: c.dtype for c in fitted.with_role("feature")}
    return [*key_findings(rows), *feature_findings(rows, features)]


def _produces(call: PlannedCall) -> TableSchema | None:
    rows = call.schema("rows")
    return None if rows is None else predicted_schema(rows)


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
    for finding in (*key_findings(schema), *feature_findings(schema, features)):
        kind = LeakageError if finding.rule == "leak" else SchemaError
        raise kind(f"Operator 'score': {finding.problem}", remedy=finding.remedy)
    kept = [c.name for c in predicted_schema(schema).columns if c.name != SCORE]
    scores = _scores(model, card, rows, threads)
    return Predictions.of(rows.arrow().select(kept).append_column(SCORE, [scores]))


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
