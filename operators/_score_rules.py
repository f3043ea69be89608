"""This module says what rows can be scored, and what the predictions will hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from headrace.calls import Finding
from headrace.errors import did_you_mean
from headrace.schemas import Column, TableSchema
from operators._encoding import NUMBER_DTYPES, TEXT_DTYPES

SCORE = "score"


def predicted_schema(rows: TableSchema) -> TableSchema:
    """Return what predictions for rows hold: their entity, their decision time, and the score."""
    decided = rows.with_role("decision_time")
    answer = Column(
        name=SCORE,
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


def key_findings(rows: TableSchema) -> Iterator[Finding]:
    """Return what keeps predictions from being told apart."""
    keys = rows.with_role("entity")
    if not keys:
        yield Finding(
            problem=f"Schema '{rows.name}' of the rows has no column with role 'entity', so nobody "
            "could tell whose score is whose.",
            remedy='Give the column that names a row `Col(role="entity")`.',
            rule="entity",
            input="rows",
        )
    if any(c.name == SCORE and c.role in ("entity", "decision_time") for c in rows.columns):
        yield Finding(
            problem=f"Schema '{rows.name}' of the rows has a column '{SCORE}' of its own.",
            remedy="Rename it; predictions add the column 'score'.",
            rule="column exists",
            input="rows",
        )


def feature_findings(rows: TableSchema, features: Mapping[str, str]) -> Iterator[Finding]:
    """Return which features the rows lack, hold as another type, or knew too late.

    Args:
        rows: The rows' schema.
        features: The model's features, name to type.
    """
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
        if sort_of(column.dtype) != sort_of(dtype):
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


def sort_of(dtype: str) -> str:
    """Return "text", "number", or the type itself: types of one sort are read as one another."""
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
