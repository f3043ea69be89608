"""This module scores a labelled set with a model and with one that knows no features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.artifacts import Model, Tabular
from headrace.calls import Finding
from headrace.errors import SchemaError
from headrace.models import ModelCard
from headrace.schemas import Column, TableSchema
from operators._encoding import Vector
from operators._examples import decision_days, prior_of, require_rows, target_of
from operators._intervals import Blocks, block_codes
from operators._score_rules import sort_of
from operators.scoring import load


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """These are a set's outcomes and a model's scores, with the days that they belong to.

    Args:
        card: The model's card.
        target: 0 or 1, or the measured value.
        score: The model's probability of 1, or its estimate.
        blocks: Number of each row's day; None when the rows have no decision time.
    """

    card: ModelCard
    target: Vector
    score: Vector
    blocks: Blocks | None

    @property
    def baseline(self) -> Vector:
        """What the model without features answers: always the prior of the training labels.

        Where nobody knows it, the best constant on these rows stands in, which is harder to beat.
        """
        prior = self.card.extra.get("prior")
        return np.full(len(self.target), float(prior_of(self.target) if prior is None else prior))


def scored(
    model: Model, rows: Tabular[Any], schema: TableSchema, *, timezone: str, what: str
) -> Scored:
    """Return a model's scores on a labelled set.

    Args:
        model: The model.
        rows: The set; columns are found by the names in the card.
        schema: The set's schema.
        timezone: Where days begin, such as "America/New_York".
        what: Which set it is, for messages.

    Raises:
        SchemaError: The set has no label of the model's name.
        DataError: The set is empty, lacks a feature, or has null labels.
    """
    card = model.card
    if card.label not in schema or schema.column(card.label).role != "label":
        raise SchemaError(
            f"The {what} has no label '{card.label}', which the model predicts.",
            remedy="Take the set that was split from the model's own examples.",
        )
    frame = rows.frame()
    require_rows(len(frame), what)
    days = decision_days(frame, schema, timezone, what=what)
    return Scored(
        card=card,
        target=target_of(frame[card.label], card, what=what),
        score=load(model).score(frame),
        blocks=None if days is None else block_codes(days),
    )


def schema_known(rows: Tabular[Any], what: str) -> TableSchema:
    """Return a set's schema, or refuse a set without one."""
    if rows.schema is None:
        raise SchemaError(
            f"The {what} has a column whose type has no name here.",
            remedy="Give the set a schema: `TestSet[MySchema].of(frame)`.",
        )
    return rows.schema


def timezone_findings(timezone: object) -> list[Finding]:
    """Return what is wrong with the name of a time zone."""
    from zoneinfo import available_timezones

    from headrace.errors import did_you_mean

    zones = available_timezones()
    if timezone in zones:
        return []
    return [
        Finding(
            problem=f"There is no time zone '{timezone}'.{did_you_mean(str(timezone), zones)}",
            remedy="Use a name of the IANA database, such as 'America/New_York'.",
            rule="time zone",
        )
    ]


def feature_findings(
    fitted: TableSchema, rows: TableSchema, *, input_name: str, what: str
) -> list[Finding]:
    """Return which features and label of a model another set lacks, or has as other types.

    Args:
        fitted: The columns of the training set, or of the signature of an imported model.
        rows: The other set's columns.
        input_name: The input it arrives at.
        what: What it is called in messages.
    """
    findings = []
    for column in (*fitted.with_role("feature"), *fitted.with_role("label")):
        given = rows.column(column.name) if column.name in rows else None
        if given is None:
            said = f"The {what} lacks {column.role} '{column.name}', which the model was fitted on."
        elif _differs(column, given):
            said = (
                f"The {column.role} '{column.name}' is {given.dtype} in the {what}, but the model "
                f"was fitted on {column.dtype}."
            )
        else:
            continue
        findings.append(
            Finding(
                problem=said,
                remedy="Take the set that was split from the model's own examples."
                if given is None
                else "Take a set whose columns are what the model was fitted on, or say rightly "
                "what an imported one was fitted on.",
                rule="same features",
                input=input_name,
            )
        )
    return findings


def _differs(fitted: Column, given: Column) -> bool:
    """Return whether a model cannot meet a column; numbers are one sort, except for labels."""
    if sort_of(fitted.dtype) == sort_of(given.dtype) == "number" and fitted.role == "label":
        return fitted.dtype != given.dtype
    return sort_of(fitted.dtype) != sort_of(given.dtype)
