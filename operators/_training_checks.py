"""This module says what is wrong with a fit before any data is read: label, features, task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.calls import Finding, PlannedCall
from headrace.errors import SchemaError, did_you_mean
from headrace.schemas import TableSchema
from operators._encoding import NUMBER_DTYPES, TEXT_DTYPES

_LABEL_DTYPES = {"classification": ("int", "bool", "category"), "estimation": ("float",)}
_ESTIMATORS_FOR = {"logistic_regression": "classification", "ridge": "estimation"}


def check_fit(call: PlannedCall) -> list[Finding]:
    """Return what is wrong with a planned fit; schemas that are not known are not judged."""
    findings = list(_parameter_findings(call.parameters))
    train, validation = call.schema("train"), call.schema("validation")
    if train is not None:
        findings += _schema_findings(train, str(call.parameters.get("task", "classification")))
    if train is not None and validation is not None:
        findings += _validation_findings(train, validation)
    return findings


def require_fit(
    operator: str,
    train: TableSchema | None,
    validation: TableSchema | None,
    parameters: Mapping[str, Any],
) -> tuple[TableSchema, TableSchema]:
    """Return both schemas, or refuse the fit with every problem that the plan would have named.

    Raises:
        SchemaError: The sets do not fit the task or each other.
    """
    if train is None or validation is None:
        which = "train" if train is None else "validation"
        raise SchemaError(
            f"Input '{which}' of operator '{operator}' has a column whose type has no name here.",
            remedy="Give the set a schema: `TrainSet[MySchema].of(frame)`.",
        )
    findings = [
        *_parameter_findings(parameters),
        *_schema_findings(train, str(parameters["task"])),
        *_validation_findings(train, validation),
    ]
    if findings:
        problems = " ".join(f.problem for f in findings)
        raise SchemaError(f"Operator '{operator}': {problems}", remedy=findings[0].remedy)
    return train, validation


def _parameter_findings(parameters: Mapping[str, Any]) -> Iterator[Finding]:
    task = parameters.get("task", "classification")
    estimator = parameters.get("estimator")
    wanted = _ESTIMATORS_FOR.get(str(estimator))
    if wanted is not None and wanted != task:
        yield Finding(
            problem=f"Estimator '{estimator}' does {wanted}, but the task is '{task}'.",
            remedy=f"Set task='{wanted}', or take another estimator.",
            rule="estimator",
        )
    if parameters.get("class_weight", "none") != "none" and task == "estimation":
        yield Finding(
            problem=f"Class weights are '{parameters['class_weight']}', but an estimation has no "
            "classes.",
            remedy="Leave class_weight at 'none'.",
            rule="class weights",
        )


def _schema_findings(schema: TableSchema, task: str) -> Iterator[Finding]:
    yield from _label_findings(schema, task)
    features = schema.with_role("feature")
    if not features:
        yield Finding(
            problem=f"Schema '{schema.name}' of the training set has no column with role "
            "'feature'.",
            remedy='Give the inputs of the model `Col(role="feature")`.',
            rule="features",
            input="train",
        )
    for column in features:
        if column.dtype not in (*NUMBER_DTYPES, *TEXT_DTYPES):
            yield Finding(
                problem=f"Feature '{column.name}' of the training set is {column.dtype}, which no "
                "model takes.",
                remedy="Derive numbers from it, such as the hour or the days since, in a view.",
                rule="feature type",
                input="train",
            )
    for column in schema.columns:
        if column.source is not None and column.role is None:
            yield Finding(
                problem=f"Column '{column.name}' of the training set comes from view "
                f"'{column.source}' but has no role, so the model would pass over it.",
                remedy='Give it `Col(role="feature")`, or leave it out of the view.',
                rule="role",
                input="train",
            )
    if len(schema.with_role("weight")) > 1:
        yield Finding(
            problem=f"Schema '{schema.name}' of the training set has several columns with role "
            "'weight'.",
            remedy="Keep one.",
            rule="weight",
            input="train",
        )


def _label_findings(schema: TableSchema, task: str) -> Iterator[Finding]:
    labels = schema.with_role("label")
    if len(labels) != 1:
        has = "no column" if not labels else _quoted([c.name for c in labels])
        yield Finding(
            problem=f"Schema '{schema.name}' of the training set has {has} with role 'label'; "
            "exactly one is needed.",
            remedy='Give one column `Col(role="label")`.',
            rule="label",
            input="train",
        )
        return
    label, fitting = labels[0], _LABEL_DTYPES[task]
    if label.dtype not in fitting:
        yield Finding(
            problem=f"Label '{label.name}' is {label.dtype}, but {task} needs "
            f"{' or '.join(fitting)}.",
            remedy="Label with the type that the task needs, or change the task.",
            rule="label type",
            input="train",
        )
    elif label.categories is not None and len(label.categories) != 2:
        yield Finding(
            problem=f"Label '{label.name}' has {len(label.categories)} classes; two are supported.",
            remedy="Label one outcome against the others.",
            rule="label type",
            input="train",
        )


def _validation_findings(train: TableSchema, validation: TableSchema) -> Iterator[Finding]:
    for column in (*train.with_role("feature"), *train.with_role("label")):
        same = [c for c in validation.with_role(column.role or "label") if c.name == column.name]
        if not same:
            names = [c.name for c in validation.with_role(column.role or "label")]
            yield Finding(
                problem=f"The validation set has no {column.role} '{column.name}', which the "
                f"training set has.{did_you_mean(column.name, names)}",
                remedy="Split both from the same examples.",
                rule="same features",
                input="validation",
            )
        elif same[0].dtype != column.dtype:
            yield Finding(
                problem=f"The {column.role} '{column.name}' is {column.dtype} in the training set "
                f"but {same[0].dtype} in the validation set.",
                remedy="Split both from the same examples.",
                rule="same features",
                input="validation",
            )
    known = {c.name for c in train.with_role("feature")}
    extra = [c.name for c in validation.with_role("feature") if c.name not in known]
    if extra:
        yield Finding(
            problem=f"The validation set has {_quoted(extra, 'feature')}, which the training set "
            "lacks.",
            remedy="Split both from the same examples.",
            rule="same features",
            input="validation",
        )


def _quoted(names: Sequence[str], noun: str = "column") -> str:
    listed = ", ".join(f"'{n}'" for n in names)
    return f"{noun} {listed}" if len(names) == 1 else f"{noun}s {listed}"
