"""This operator lets a model vote on rows, where it is sure enough."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from headrace import Model, Report, Schema, Table, ValidationSet, Votes, operator
from headrace.artifacts import Tabular
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError, LeakageError
from headrace.labels.columns import Vote
from headrace.labels.schema import LabelSchema
from operators._labeler_answers import answers_of
from operators._machine_votes import entities_of, machine_votes, moments_of
from operators._model_answers import (
    choice_probabilities,
    estimates,
    sureness_of_sets,
    written_numbers,
    written_sets,
)
from operators._prelabel_checks import (
    class_findings,
    no_classes,
    parameter_findings,
    table_findings,
)
from operators._prelabel_limit import Limit, limit_for
from operators._selection_kinds import require_kind
from operators.class_probabilities import class_probabilities

S = TypeVar("S", bound=Schema)
_Share = Annotated[float, Field(gt=0, lt=1)]


def _check(call: PlannedCall) -> list[Finding]:
    calibrates = bool(call.inputs.get("calibrate_on"))
    found = list(parameter_findings(call.parameters, calibrates=calibrates))
    table, fitted = call.schema("table"), call.schema("model")
    number = call.parameters["schema"].kind == "number"
    if any(symbol.task == "estimation" for symbol in call.inputs.get("model", ())) and not number:
        found.append(no_classes("The model estimates a value; it knows no choices."))
    if table is not None:
        features = {} if fitted is None else {c.name: c.dtype for c in fitted.with_role("feature")}
        found += table_findings(table, features)
    return found


@operator(check=_check)
def label_by_model(
    table: Table[S],
    model: Model,
    calibrate_on: ValidationSet[Any] | None = None,
    *,
    schema: LabelSchema,
    min_confidence: Annotated[float, Field(ge=0, le=1)] | None = None,
    precision: _Share = 0.95,
    confidence: _Share = 0.95,
) -> tuple[Votes[Vote], Report]:
    """Let a model vote on rows: the most probable choice, or none where it is not sure.

        votes, report = label_by_model(news, labeler, validation, schema=TOPIC, precision=0.98)

    Its votes are suggestions to people, or stand beside theirs in `aggregate_votes`; how sure a
    model says it is, is no proof. `calibrate_on` finds the limit by which it is right often enough.

    Args:
        table: Rows with one column of role "entity", each entity once, and the model's features.
        model: A labeler of the schema's answers; for a single choice also a classification of two
            classes, for a number also another estimation.
        calibrate_on: Labelled rows that the model was not fitted on, drawn at random from such rows
            as `table` has (`split_by_slice`). The least limit is taken at which at least
            `precision` of the votes are right.
        schema: What may be answered: a single choice, several, or a number. It is as sure of
            several as of the least sure of them; of a number nobody says how sure it is.
        min_confidence: The model abstains where its most probable choice is less probable, 0 to 1.
            None takes the limit from `calibrate_on`; without that, it votes on every row.
        precision: The share of votes that have to be right, for `calibrate_on`.
        confidence: How sure that has to be, for `calibrate_on`.

    Returns:
        One vote a row, in their order, of the rater "model:<digest>" with how sure it is; null
        where it abstains. And the report: the limit and its grounds, how many it votes on, and what
        it says. Where labelled rows prove no limit, it abstains everywhere, and `passed` is false.

    Raises:
        DefinitionError: The schema is a ranking or of spans, the model answers otherwise or knows
            other classes than the choices, or a limit is given and is to be found as well, or for a
            number.
        LeakageError: A feature is known only after the decision, or is the label.
        DataError: A feature is missing or of the wrong type, or an entity is null or occurs twice.
    """
    card = model.card
    if table.schema is None:
        raise DefinitionError(
            "The table to label has no schema, so it is not known what its entity is.",
            remedy="Give it one: `Table[News].of(...)`.",
        )
    parameters = {"schema": schema, "min_confidence": min_confidence}
    features = {f.name: f.dtype for f in card.features}
    for finding in (
        *parameter_findings(parameters, calibrates=calibrate_on is not None),
        *(class_findings(card, schema) if schema.kind == "single" else ()),
        *table_findings(table.schema, features),
    ):
        kind = LeakageError if finding.rule == "leak" else DefinitionError
        raise kind(finding.problem, remedy=finding.remedy)
    rows = table.arrow()
    entities = entities_of(rows, table.schema)
    best, sure = _said(model, table, schema)
    limit = None
    if calibrate_on is not None:
        limit = _limit(model, calibrate_on, schema, precision=precision, confidence=confidence)
        min_confidence = limit.min_confidence
    votes_from = np.inf if limit is not None and min_confidence is None else (min_confidence or 0.0)
    answers = [None if p < votes_from else a for a, p in zip(best, sure, strict=True)]
    columns = machine_votes(
        entities,
        moments_of(rows, table.schema),
        raters=[f"model:{model.digest[:12]}"] * len(entities),
        source="model",
        labels=answers,
        confidence=[None if np.isnan(each) else float(each) for each in sure],
        schema=schema,
    )
    document = {
        "passed": limit is None or limit.min_confidence is not None,
        "model": model.digest,
        "schema_version": schema.version,
        "min_confidence": min_confidence,
        "calibrated": None if limit is None else limit.document(),
        "rows": len(answers),
        "votes": sum(answer is not None for answer in answers),
        "abstained": sum(answer is None for answer in answers),
        "answers": _counted(answers, schema),
    }
    return Votes[Vote].of(columns), Report.of(document)


def _said(
    model: Model, rows: Tabular[Any], schema: LabelSchema
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Return a model's answers, and how sure it is of each; NaN where nobody knows."""
    if schema.kind == "single":
        classes, found = class_probabilities(model, rows)
        return [classes[position] for position in found.argmax(axis=1)], found.max(axis=1)
    require_kind(model, schema)
    if schema.kind == "number":
        values = estimates(model, rows).value
        written = written_numbers(values, schema, model.card.metrics.get("mae"))
        return written, np.full(len(values), np.nan)
    found = choice_probabilities(model, rows)
    return written_sets(found, schema), sureness_of_sets(found)


def _counted(answers: list[str | None], schema: LabelSchema) -> dict[str, int]:
    """Return how often each choice was answered; nothing for numbers."""
    if schema.kind == "single":
        return {choice: answers.count(choice) for choice in schema.choices}
    said = [schema.value(each) for each in answers if each is not None and schema.choices]
    return {choice: sum(choice in each for each in said) for choice in schema.choices}


def _limit(
    model: Model,
    labelled: ValidationSet[Any],
    schema: LabelSchema,
    *,
    precision: float,
    confidence: float,
) -> Limit:
    if labelled.schema is None or labelled.rows == 0:
        raise DataError(
            "There are no labelled rows to find a limit by.",
            remedy="Give the validation set of `split_by_slice`, or a fixed min_confidence.",
        )
    best, sure = _said(model, labelled, schema)
    label = labelled.schema.the("label")
    answers = answers_of(labelled.frame(), label, what="set to calibrate on")
    right = np.array(best, dtype=str) == answers
    return limit_for(sure, right, precision=precision, confidence=confidence)
