"""This module lays out an audit: which rows have which label, and which were looked at before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.artifacts import Labels, Table, Votes
from headrace.calls import Finding
from headrace.errors import DataError, did_you_mean
from headrace.schemas import Column, Role, TableSchema
from operators._encoding import NUMBER_DTYPES, TEXT_DTYPES
from operators._labels_joined import joined
from operators._labels_joined_schema import OF_THE_ASKING

if TYPE_CHECKING:
    import pandas as pd

_SETTLED_SOURCES = ("gold", "adjudicator")
_LABEL_DTYPES = ("category", "string", "bool", "int")
_MOST_CLASSES = 0.5  # of the labelled rows: a class of one or two rows is nothing to learn

ADDED = (
    Column(name="slice", dtype="string", description="audit"),
    Column(name="priority", dtype="float", description="the surer the error, the higher"),
    Column(name="suggested", dtype="string", nullable=True, description="what it seems to be"),
    Column(name="suggested_by", dtype="string", nullable=True, description="who thinks so"),
    Column(name="confidence", dtype="float", nullable=True, description="its probability"),
    Column(name="given_label", dtype="string", description="the label that is in doubt"),
    Column(name="self_confidence", dtype="float", description="the model's probability of it"),
    Column(name="certainty", dtype="float", description="how sure it is, by model and votes"),
    Column(name="flagged", dtype="bool", description="whether another class is believed"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """These are the rows that have a label.

    Args:
        at: Their positions in the table.
        entities: Their names, as text.
        frame: Their columns.
        given: Their labels, as text.
        supported: How sure the votes are of each, strictly between 0 and 1.
        settled: Whether a row is no suspect: gold, adjudicated, or audited before.
        gold: Whether the label is a known answer.
        without_row: Labels whose entity the table lacks.
    """

    at: npt.NDArray[np.int64]
    entities: Sequence[str]
    frame: pd.DataFrame
    given: Sequence[str]
    supported: npt.NDArray[np.float64]
    settled: npt.NDArray[np.bool_]
    gold: npt.NDArray[np.bool_]
    without_row: int


def findings(table: TableSchema, labels: TableSchema | None, text: Sequence[str]) -> list[Finding]:
    """Return what keeps labels of a table from being audited."""
    found = list(_role_findings(table, "entity", "table"))
    if labels is not None:
        found += _role_findings(labels, "entity", "labels")
        found += _role_findings(labels, "label", "labels")
        for column in labels.with_role("label")[:1]:
            if column.dtype not in _LABEL_DTYPES:
                found.append(
                    Finding(
                        problem=f"The label '{column.name}' is {column.dtype}, which has no "
                        "classes to be wrong about.",
                        remedy="Audit labels that are one of several choices.",
                        rule="label",
                        input="labels",
                    )
                )
    return [*found, *_input_findings(table, text)]


def _role_findings(schema: TableSchema, role: Role, which: str) -> Iterator[Finding]:
    count = len(schema.with_role(role))
    if count != 1:
        yield Finding(
            problem=f"Schema '{schema.name}' of the {which} has {count or 'no'} column"
            f"{'s' if count > 1 else ''} with role '{role}'; an audit needs exactly one.",
            remedy=f'Give one column `Col(role="{role}")`.',
            rule="missing role",
            input=which,
        )


def _input_findings(table: TableSchema, text: Sequence[str]) -> Iterator[Finding]:
    for name in text:
        if name not in table:
            problem = f"Schema '{table.name}' has no column '{name}'."
            problem += did_you_mean(name, table.names)
        elif table.column(name).dtype not in TEXT_DTYPES:
            problem = f"Text '{name}' is {table.column(name).dtype}, which has no words."
        else:
            continue
        yield Finding(
            problem=problem, remedy="Name columns of text.", rule="unknown column", input="table"
        )
    if not inputs_of(table, text):
        yield Finding(
            problem=f"Schema '{table.name}' has no column with role 'feature', and no text is "
            "named, so there is nothing to tell labels by.",
            remedy='Name text columns in `text`, or give inputs `Col(role="feature")`.',
            rule="features",
            input="table",
        )


def inputs_of(table: TableSchema, text: Sequence[str]) -> list[Column]:
    """Return the columns that labels are told by: the features, and what is named as text."""
    kinds = (*NUMBER_DTYPES, *TEXT_DTYPES)
    return [
        column
        for column in table.columns
        if column.name in text or (column.role == "feature" and column.dtype in kinds)
    ]


def audited_schema(table: TableSchema) -> TableSchema:
    """Return what suspects hold: the table's columns, and why each is asked for again."""
    taken = {column.name for column in ADDED}
    kept = [c for c in table.columns if c.name not in OF_THE_ASKING and c.name not in taken]
    plain = [replace(c, role=None) if c.role == "label" else c for c in kept]
    return TableSchema(name=f"{table.name} audited", columns=(*plain, *ADDED))


def labelled_rows(
    table: Table[Any], labels: Labels[Any], votes: Votes[Any] | None, *, classes: bool = True
) -> Labelled:
    """Return the rows that have a label.

    Args:
        table: The rows.
        labels: The labels.
        votes: The votes behind them.
        classes: Whether labels are classes, each of which needs examples.

    Raises:
        DataError: No row has a label, an entity is null or occurs twice, a label is null, or there
            are nearly as many labels as rows.
    """
    schema, of_labels = _known(table.schema), _known(labels.schema)
    frame, said = table.frame(), labels.frame()
    names = [None if e is None else str(e) for e in frame[schema.the("entity").name]]
    owners = [None if e is None else str(e) for e in said[of_labels.the("entity").name]]
    found = joined(names, owners)  # type: ignore[arg-type]  # it refuses None by its place
    if not len(found.rows):
        raise DataError(
            f"None of the {len(names):,} rows has one of the {len(owners):,} labels.",
            remedy="Give the table that the labels are of; entities are compared as text.",
        )
    rows = said.iloc[found.labels].reset_index(drop=True)
    label = rows[of_labels.the("label").name]
    if label.isna().any():
        raise DataError(
            f"The label of '{names[found.rows[int(label.isna().argmax())]]}' is null.",
            remedy="Audit rows that have a label.",
        )
    given = [str(value) for value in label]
    if classes and len(set(given)) > max(2, _MOST_CLASSES * len(given)):
        raise DataError(
            f"{len(given):,} rows have {len(set(given)):,} different labels, so no class has "
            "examples to tell others by.",
            remedy="Audit labels that are one of a few choices.",
        )
    entities = [str(names[at]) for at in found.rows]
    source = _column(rows, "source", "")
    gold = np.array([value == "gold" for value in source], dtype=bool)
    return Labelled(
        at=found.rows,
        entities=entities,
        frame=frame.iloc[found.rows].reset_index(drop=True),
        given=given,
        supported=_supported(rows),
        settled=_settled(rows, source, entities, votes),
        gold=gold,
        without_row=len(found.without_row),
    )


def _known(schema: TableSchema | None) -> TableSchema:
    if schema is None:
        raise DataError(
            "A table has a column whose type has no name here.",
            remedy="Give it a schema: `Table[News].of(...)`.",
        )
    return schema


def _column(rows: pd.DataFrame, name: str, otherwise: Any) -> list[Any]:
    return list(rows[name]) if name in rows else [otherwise] * len(rows)


def _supported(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return how sure votes are: what they came to, but never surer than n + 1 of n + 2.

    That is the chance that the next vote says the same after n that all did (Laplace).
    """
    votes = np.array(_column(rows, "votes", 1), dtype=np.float64)
    sure = np.array(_column(rows, "probability", 1.0), dtype=np.float64)
    most = (votes + 1) / (votes + 2)
    clipped: npt.NDArray[np.float64] = np.clip(sure, 1 - most, most)
    return clipped


def _settled(
    rows: pd.DataFrame, source: Sequence[str], entities: Sequence[str], votes: Votes[Any] | None
) -> npt.NDArray[np.bool_]:
    audited: set[str] = set()
    if votes is not None:
        given = votes.arrow().select(["entity", "slice", "label"]).to_pylist()
        audited = {
            row["entity"] for row in given if row["slice"] == "audit" and row["label"] is not None
        }
    slices = _column(rows, "slice", "")
    return np.array(
        [
            origin in _SETTLED_SOURCES or slice_ == "audit" or entity in audited
            for origin, slice_, entity in zip(source, slices, entities, strict=True)
        ],
        dtype=bool,
    )
