"""This module says what is wrong with the fit of a labeler before any data is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.calls import Finding, PlannedCall
from headrace.errors import SchemaError, did_you_mean
from headrace.labels.schema import LabelSchema
from headrace.schemas import TableSchema
from operators._encoding import NUMBER_DTYPES, TEXT_DTYPES
from operators._labels_joined_schema import holds_sets

_LABEL_DTYPES = ("category", "string", "bool", "int")
_OF_KIND = {"multi": ("string",), "number": ("float", "int")}
_ESTIMATORS = {
    "single": ("logistic_regression", "extra_trees"),
    "multi": ("logistic_regression", "extra_trees"),
    "number": ("ridge", "extra_trees"),
}


def check_labeler(call: PlannedCall) -> list[Finding]:
    """Return what is wrong with a planned fit; schemas that are not known are not judged."""
    train, validation = call.schema("train"), call.schema("validation")
    findings: list[Finding] = []
    if train is not None:
        findings += _training_findings(train, call.parameters)
    if train is not None and validation is not None:
        findings += _validation_findings(train, validation)
    return findings


def require_labeler(
    train: TableSchema | None, validation: TableSchema | None, parameters: Mapping[str, Any]
) -> tuple[TableSchema, TableSchema]:
    """Return both schemas, or refuse the fit with every problem that the plan would have named.

    Raises:
        SchemaError: The sets do not fit a labeler or each other.
    """
    if train is None or validation is None:
        which = "train" if train is None else "validation"
        raise SchemaError(
            f"Input '{which}' of operator 'train_labeler' has a column whose type has no name "
            "here.",
            remedy="Give the set a schema: `TrainSet[MySchema].of(frame)`.",
        )
    findings = [*_training_findings(train, parameters), *_validation_findings(train, validation)]
    if findings:
        problems = " ".join(f.problem for f in findings)
        raise SchemaError(f"Operator 'train_labeler': {problems}", remedy=findings[0].remedy)
    return train, validation


def _training_findings(schema: TableSchema, parameters: Mapping[str, Any]) -> Iterator[Finding]:
    answers: LabelSchema | None = parameters.get("schema")
    yield from _kind_findings(answers, parameters)
    yield from _label_findings(schema, answers)
    features = {column.name: column for column in schema.with_role("feature")}
    text: Sequence[str] = parameters.get("text") or ()
    if not features:
        yield _finding(
            f"Schema '{schema.name}' of the training set has no column with role 'feature'.",
            'Give the inputs of the model `Col(role="feature")`.',
            "features",
        )
        return
    for name in text:
        if name not in features:
            said = "has no role 'feature'" if name in schema else "is no column"
            hint = "" if name in schema else did_you_mean(name, features)
            yield _finding(
                f"Text '{name}' {said} of schema '{schema.name}' of the training set.{hint}",
                "Name features that hold text.",
                "text",
            )
        elif features[name].dtype not in TEXT_DTYPES:
            yield _finding(
                f"Text '{name}' of the training set is {features[name].dtype}, which has no words.",
                "Leave it out of `text`; numbers are read as numbers.",
                "text",
            )
    for column in features.values():
        if column.dtype not in (*NUMBER_DTYPES, *TEXT_DTYPES):
            yield _finding(
                f"Feature '{column.name}' of the training set is {column.dtype}, which no model "
                "takes.",
                "Derive numbers from it, such as the hour or the days since, in a view.",
                "feature type",
            )
    yield from _weight_findings(schema, parameters)


def _kind_findings(answers: LabelSchema | None, parameters: Mapping[str, Any]) -> Iterator[Finding]:
    kind = "single" if answers is None else answers.kind
    if kind not in _ESTIMATORS:
        yield _finding(
            f"Answers are of the kind '{kind}', which no labeler gives.",
            "Train on a single choice, several choices, or a number.",
            "label kind",
        )
        return
    estimator, fitting = parameters.get("estimator"), _ESTIMATORS[kind]
    if estimator is not None and estimator not in fitting:
        yield _finding(
            f"Answers of the kind '{kind}' are not learnt by '{estimator}'.",
            f"Take one of: {', '.join(fitting)}; or none, for what is usual.",
            "estimator",
        )
    balanced = parameters.get("class_weight", "none") == "balanced"
    if balanced and (kind == "number" or (kind == "multi" and estimator == "extra_trees")):
        why = "a number has no classes" if kind == "number" else "trees learn all choices at once"
        yield _finding(
            f'`class_weight` is "balanced", but {why}.',
            'Leave it at "none".',
            "class weight",
        )


def _label_findings(schema: TableSchema, answers: LabelSchema | None) -> Iterator[Finding]:
    labels = schema.with_role("label")
    if len(labels) != 1:
        named = ", ".join(f"'{c.name}'" for c in labels)
        has = f"columns {named}" if labels else "no column"
        yield _finding(
            f"Schema '{schema.name}' of the training set has {has} with role 'label'; exactly one "
            "is needed.",
            'Give one column `Col(role="label")`.',
            "label",
        )
    elif answers is not None and answers.kind in _OF_KIND:
        if labels[0].dtype not in _OF_KIND[answers.kind]:
            yield _finding(
                f"Label '{labels[0].name}' is {labels[0].dtype}, but answers of the kind "
                f"'{answers.kind}' are {' or '.join(_OF_KIND[answers.kind])}.",
                "Train on what `examples_from_labels` makes of labels of this schema.",
                "label type",
            )
    elif answers is None and holds_sets(schema):
        yield _finding(
            f"Label '{labels[0].name}' holds several choices at once, and each set of them would "
            "be a class of its own.",
            "Give `schema`, which says what could be answered.",
            "label kind",
        )
    elif labels[0].dtype not in _LABEL_DTYPES:
        yield _finding(
            f"Label '{labels[0].name}' is {labels[0].dtype}, but a labeler tells classes apart.",
            "Label with one of several choices, or train an estimation.",
            "label type",
        )


def _weight_findings(schema: TableSchema, parameters: Mapping[str, Any]) -> Iterator[Finding]:
    named = parameters.get("weighted_by")
    weights = [column.name for column in schema.with_role("weight")]
    if len(weights) + (named is not None) > 1:
        listed = ", ".join(f"'{name}'" for name in dict.fromkeys([*weights, named]) if name)
        yield _finding(
            f"The training set has several weights: {listed}.",
            "Keep one: the column with role 'weight', or `weighted_by`.",
            "weight",
        )
    elif named is not None and named not in schema:
        yield _finding(
            f"The training set has no column '{named}' to weight rows by."
            f"{did_you_mean(named, schema.names)}",
            'Name a column of numbers, such as "probability".',
            "weight",
        )
    elif named is not None and schema.column(named).dtype not in NUMBER_DTYPES:
        yield _finding(
            f"Column '{named}' is {schema.column(named).dtype}, and cannot weight rows.",
            'Name a column of numbers, such as "probability".',
            "weight",
        )


def _validation_findings(train: TableSchema, validation: TableSchema) -> Iterator[Finding]:
    for column in (*train.with_role("feature"), *train.with_role("label")):
        role = column.role or "label"
        same = [c for c in validation.with_role(role) if c.name == column.name]
        problem = ""
        if not same:
            near = did_you_mean(column.name, [c.name for c in validation.with_role(role)])
            problem = (
                f"The validation set has no {role} '{column.name}', which the training set has."
                f"{near}"
            )
        elif same[0].dtype != column.dtype:
            problem = (
                f"The {role} '{column.name}' is {column.dtype} in the training set but "
                f"{same[0].dtype} in the validation set."
            )
        elif same[0].categories != column.categories:
            problem = (
                f"The {role} '{column.name}' has other categories in the validation set than in "
                "the training set."
            )
        if problem:
            remedy = "Split both from the same examples."
            yield _finding(problem, remedy, "same features", "validation")


def _finding(problem: str, remedy: str, rule: str, of: str = "train") -> Finding:
    return Finding(problem=problem, remedy=remedy, rule=rule, input=of)
