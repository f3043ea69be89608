"""This module says before the run what a selection needs of a table, and what it will hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.calls import Finding, PlannedCall
from headrace.errors import did_you_mean
from headrace.labels.schema import LabelSchema
from headrace.schemas import Column, TableSchema
from operators._score_rules import feature_findings
from operators._selection_kinds import TASKS
from operators._selection_vectors import MEASURED

ADDED = (
    Column(name="slice", dtype="string", description="random, to evaluate by; or chosen"),
    Column(name="priority", dtype="float", description="those with more are asked first"),
    Column(name="suggested", dtype="string", nullable=True, description="what is suggested"),
    Column(name="suggested_by", dtype="string", nullable=True, description="by which model"),
    Column(name="confidence", dtype="float", nullable=True, description="its probability"),
)


def check(call: PlannedCall) -> list[Finding]:
    """Return what is wrong with a planned call."""
    answers: LabelSchema | None = call.parameters.get("schema")
    kind = None if answers is None or answers.kind == "single" else answers.kind
    found = list(setting_findings(call.parameters, len(call.inputs.get("committee", ())), kind))
    if not call.inputs.get("model") and not call.inputs.get("committee"):
        found = [f for f in found if f.rule != "committee"]  # a cold start is said in the report
    for name in ("model", "committee"):
        tasks = {symbol.task for symbol in call.inputs.get(name, ())}
        if kind is None and "estimation" in tasks:
            found.append(_no_classes())
        if kind in TASKS:
            wrong = sorted(task for task in tasks if task not in (None, TASKS[kind]) and task)
            found += [_wrong_task(task, kind) for task in wrong]
    table = call.schema("table")
    if table is None:
        return found
    found += table_findings(table, call.parameters["columns"])
    seen = set()
    for name in ("model", "committee"):
        for symbol in call.inputs.get(name, ()):
            features = symbol.schema.with_role("feature") if symbol.schema else ()
            for finding in feature_findings(table, {c.name: c.dtype for c in features}):
                if finding.problem not in seen:
                    seen.add(finding.problem)
                    found.append(about_table(finding))
    return found


def about_table(finding: Finding) -> Finding:
    """Return what `feature_findings` says of the rows as being about the table."""
    return Finding(problem=finding.problem, remedy=finding.remedy, rule=finding.rule, input="table")


def _no_classes() -> Finding:
    return Finding(
        problem="The model estimates a number, so it has no classes to be unsure between.",
        remedy='Give a model that classifies, or strategy="random" or "diversity" without one.',
        rule="wrong task",
        input="model",
    )


def _wrong_task(task: str, kind: str) -> Finding:
    return Finding(
        problem=f"The model is of the task '{task}', but answers are of the kind '{kind}'.",
        remedy="Give a model of labels of this schema.",
        rule="wrong task",
        input="model",
    )


def setting_findings(
    parameters: Mapping[str, Any], committee: int, kind: str | None = None
) -> Iterator[Finding]:
    """Yield which settings contradict each other.

    Args:
        parameters: What was given.
        committee: How many models are in the committee.
        kind: Of the answers, where they are no single choice.
    """
    if kind in ("ranking", "span"):
        yield Finding(
            problem=f"Answers of the kind '{kind}' have no model that could be unsure of them.",
            remedy='Choose by strategy="random" or "diversity", without `schema` and `model`.',
            rule="label kind",
        )
    if kind == "number" and parameters["strategy"] in ("margin", "entropy"):
        yield Finding(
            problem=f"A number has no classes, so there is no {parameters['strategy']}.",
            remedy='Take strategy="disagreement", "diversity" or "random".',
            rule="strategy",
        )
    if parameters["strategy"] == "disagreement" and committee < 2 and kind != "number":
        yield Finding(
            problem=f"A committee of {committee} cannot disagree.",
            remedy="Give `committee` at least two models, or another strategy.",
            rule="committee",
            input="committee",
        )
    if parameters["random_share"] > 0 and parameters["reserve_share"] == 0:
        yield Finding(
            problem=f"A share of {parameters['random_share']:g} is to be random, but nothing is "
            "kept for evaluation to draw it from.",
            remedy="Give `reserve_share`, or random_share=0 where no model is judged by these.",
            rule="reserve",
        )


def table_findings(table: TableSchema, columns: Sequence[str]) -> Iterator[Finding]:
    """Yield what a table lacks, or has that is to be added."""
    keys = table.with_role("entity")
    if len(keys) != 1:
        yield Finding(
            problem=f"Schema '{table.name}' has {len(keys)} columns with role 'entity'; exactly "
            "one says what an item is.",
            remedy='Give one column `Col(role="entity")`.',
            rule="entity",
            input="table",
        )
    taken = [c.name for c in ADDED if c.name in table]
    if taken:
        yield Finding(
            problem=f"Schema '{table.name}' has a column '{taken[0]}' already.",
            remedy=f"Rename it; selecting adds {', '.join(c.name for c in ADDED)}.",
            rule="column exists",
            input="table",
        )
    for name in columns:
        if name not in table:
            yield Finding(
                problem=f"Schema '{table.name}' has no column '{name}' to compare rows by."
                f"{did_you_mean(name, table.names)}",
                remedy="Name columns of the table.",
                rule="unknown column",
                input="table",
            )
        elif table.column(name).dtype not in MEASURED or table.column(name).role == "label":
            what = "the label" if table.column(name).role == "label" else table.column(name).dtype
            yield Finding(
                problem=f"Rows cannot be compared by '{name}', which is {what}.",
                remedy="Name numbers, categories and texts that are known before the label.",
                rule="wrong type",
                input="table",
            )


def selected_schema(table: TableSchema) -> TableSchema:
    """Return what a selection holds: the table's columns, and why and how each item is asked."""
    return TableSchema(name=f"{table.name} selected", columns=(*table.columns, *ADDED))
