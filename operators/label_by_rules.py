"""This operator lets labeling rules vote on rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from headrace import Labels, Report, Schema, Table, Votes, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DefinitionError
from headrace.labels.columns import Vote, VotedLabel
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from headrace.schemas import TableSchema
from operators._label_rules_asked import said_of
from operators._label_rules_checks import rule_findings
from operators._label_rules_report import rules_report
from operators._labeling_rule import LabelingRule, labeling_rule
from operators._labels_joined import require_version
from operators._machine_votes import entities_of, entity_findings, machine_votes, moments_of

__all__ = ["LabelingRule", "label_by_rules", "labeling_rule"]

S = TypeVar("S", bound=Schema)


def _check(call: PlannedCall) -> list[Finding]:
    table = call.schema("table")
    return [] if table is None else _findings(table, call.parameters)


def _findings(table: TableSchema, parameters: Mapping[str, Any]) -> list[Finding]:
    task: LabelTask | None = parameters["task"]
    schema: LabelSchema | None = parameters["schema"]
    known = schema if task is None else task.labels
    if known is None or schema not in (None, known):
        given = "neither a task nor a schema" if known is None else "a task and another schema"
        problem = f"The rules are given {given}, so it is not known what may be answered."
        return [Finding(problem=problem, remedy="Give one of them.", rule="schema")]
    return [*entity_findings(table), *rule_findings(table, parameters["rules"], known)]


@operator(check=_check)
def label_by_rules(
    table: Table[S],
    gold: Labels[VotedLabel] | None = None,
    *,
    rules: Sequence[LabelingRule],
    task: LabelTask | None = None,
    schema: LabelSchema | None = None,
    on_error: Literal["refuse", "abstain"] = "refuse",
) -> tuple[Votes[Vote], Report]:
    """Let rules vote on every row; one that has nothing to say of a row gives no vote.

        @labeling_rule(choices=("sport",), columns=("title",))
        def mentions_goal(row):
            return "sport" if "goal" in (row["title"] or "") else None

        votes, report = label_by_rules(news, rules=[mentions_goal], schema=TOPIC)

    What becomes of the votes, `aggregate_votes` says. A rule's code is part of the cache key: votes
    are given again when it changes, and only then.

    Args:
        table: Rows with one column of role "entity", each entity once. A rule sees the columns that
            it names, or all, but never one of role "label".
        gold: Answers that are known, to measure rules by; rules do not see them.
        rules: The rules, each with a name of its own.
        task: The task whose labels are given, or else
        schema: what may be answered.
        on_error: What happens where a rule raises: "refuse" ends with the rule, the row and what
            it saw; "abstain" goes on, and the report counts how often each rule raised.

    Returns:
        The votes, by row and then by rule, of raters "rule:<name>", as of the row's decision time
        or when it was known (1970 for rows without time); and the report: coverage, overlap and
        conflicts of all and of each, the rules that give one answer only (`unipolar`), errors, and
        accuracy on gold with its interval.

    Raises:
        DefinitionError: Rules share a name, or name a column or a choice that does not exist.
        DataError: A rule raised, or gave what is no answer; an entity is null or occurs twice; or
            gold is of another version of the schema.
    """
    parameters = {"task": task, "schema": schema, "rules": rules}
    if table.schema is None:
        raise DefinitionError(
            "The table to label has no schema, so it is not known what its entity is.",
            remedy="Give it one: `Table[News].of(...)`.",
        )
    for finding in _findings(table.schema, parameters):
        raise DefinitionError(finding.problem, remedy=finding.remedy)
    answers = schema if task is None else task.labels
    if answers is None:  # pragma: no cover - the findings have refused that
        raise TypeError("no schema")
    rows = table.arrow()
    entities, moments = entities_of(rows, table.schema), moments_of(rows, table.schema)
    known = _known(gold, entities, answers)
    said = [
        said_of(rows, table.schema, rule, answers, entities=entities, on_error=on_error)
        for rule in rules
    ]
    given = [
        (number, rule.name, each.answers[number])
        for number in range(rows.num_rows)
        for rule, each in zip(rules, said, strict=True)
        if each.answers[number] is not None
    ]
    votes = machine_votes(
        [entities[number] for number, _, _ in given],
        [moments[number] for number, _, _ in given],
        raters=[f"rule:{name}" for _, name, _ in given],
        source="rule",
        labels=[answer for _, _, answer in given],
        schema=answers,
    )
    return Votes[Vote].of(votes), Report.of(rules_report(rules, said, known, answers))


def _known(
    gold: Labels[VotedLabel] | None, entities: Sequence[str], schema: LabelSchema
) -> list[str | None]:
    """Return the known answer of each row; None where there is none."""
    if gold is None:
        return [None] * len(entities)
    labels = gold.arrow()
    require_version(labels["schema_version"].to_pylist(), schema)
    answers = zip(labels["entity"].to_pylist(), labels["label"].to_pylist(), strict=True)
    known = {entity: schema.read(answer) for entity, answer in answers}
    return [known.get(entity) for entity in entities]
