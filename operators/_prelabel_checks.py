"""This module says why a model cannot vote on rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.calls import Finding
from headrace.errors import did_you_mean
from headrace.labels.schema import LabelSchema
from headrace.models import ModelCard
from headrace.schemas import TableSchema
from operators._machine_votes import entity_findings
from operators._score_rules import feature_findings


def parameter_findings(parameters: Mapping[str, Any], *, calibrates: bool) -> Iterator[Finding]:
    """Yield what is wrong with what may be answered, or from which limit on."""
    schema: LabelSchema = parameters["schema"]
    if schema.kind not in ("single", "multi", "number"):
        yield Finding(
            problem=f"The schema is of the kind '{schema.kind}', but a model votes for one choice, "
            "several, or a number.",
            remedy="Give a schema of the kind 'single', 'multi' or 'number'.",
            rule="label kind",
        )
    if schema.kind == "number" and (calibrates or parameters["min_confidence"] is not None):
        yield Finding(
            problem="A number is not right or wrong, so there is no limit from which on a model "
            "is right often enough.",
            remedy="Leave out `min_confidence` and `calibrate_on`; its numbers are suggestions.",
            rule="limit",
        )
    if calibrates and parameters["min_confidence"] is not None:
        yield Finding(
            problem=f"The limit is given ({parameters['min_confidence']:g}) and is to be found as "
            "well.",
            remedy="Leave out `min_confidence` or `calibrate_on`.",
            rule="limit",
        )


def class_findings(card: ModelCard, schema: LabelSchema) -> Iterator[Finding]:
    """Yield why a model cannot choose among the choices."""
    if card.task != "classification":
        yield no_classes(f"The model estimates '{card.label}', a value; it knows no choices.")
        return
    for name in card.classes:
        if name not in schema.choices:
            near = did_you_mean(name, schema.choices)
            yield no_classes(f"The model knows the class '{name}', which is no choice.{near}")
            return
    missing = [choice for choice in schema.choices if choice not in card.classes]
    if missing:
        yield no_classes(f"The model does not know the choice '{missing[0]}'.")


def no_classes(problem: str) -> Finding:
    """Return the finding for a model of other classes than the choices."""
    return Finding(
        problem=problem,
        remedy="Train it on labels of this schema: `examples_from_labels`, then `train_labeler`.",
        rule="classes",
        input="model",
    )


def table_findings(schema: TableSchema, features: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what keeps a table's rows from being told apart, or from being looked at."""
    yield from entity_findings(schema)
    for found in feature_findings(schema, features):
        yield Finding(problem=found.problem, remedy=found.remedy, rule=found.rule, input="table")
