"""This operator makes one table of labels: those by people, and those that machines may give."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, TypeVar

from headrace import Labels, Report, Schema, Table, Votes, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, SchemaError, did_you_mean
from headrace.labels.columns import Vote, VotedLabel
from headrace.schemas import TableSchema

S = TypeVar("S", bound=Schema)
_ROUTED = ("route", "routed_to", "proposed", "expected_error")
_MACHINES = ("rule", "model")


def _findings(schema: TableSchema) -> list[Finding]:
    missing = [name for name in _ROUTED if name not in schema]
    if not missing:
        return []
    near = did_you_mean(missing[0], schema.names)
    return [
        Finding(
            problem=f"Schema '{schema.name}' has no column '{missing[0]}', so nothing says who "
            f"labels an item.{near if '?' in near else ''}",
            remedy="Give the table that `route_items` returns.",
            rule="unknown column",
            input="routed",
        )
    ]


def _check(call: PlannedCall) -> list[Finding]:
    schema = call.schema("routed")
    return [] if schema is None else _findings(schema)


@operator(check=_check)
def labels_of_routes(
    known: Labels[VotedLabel],
    routed: Table[S],
    votes: list[Votes[Vote]],
) -> tuple[Labels[VotedLabel], Report]:
    """Add the labels that were routed to rules and models to those that are known.

    Args:
        known: Labels by people; they stay as they are.
        routed: What `route_items` made of the items; those that go to people or have to wait get
            no label here.
        votes: The votes of rules and models that were routed: they say as of when a row held.

    Returns:
        The labels, one row an item, by entity: those of machines have `source` "rule" or "model",
        `method` "routed", and as their `probability` one less the expected error. They are known
        since the last label that they were judged by. And a report: how many labels are of whom,
        and how many items have none.

    Raises:
        SchemaError: The table is not one of routes.
        DataError: Nothing is known, or a label was routed to a machine that did not vote on it.
    """
    schema = routed.schema
    for finding in [] if schema is None else _findings(schema):
        raise SchemaError(finding.problem, remedy=finding.remedy)
    if schema is None or not known.rows:
        raise DataError(
            "There is no label by which the machines that labels were routed to were judged.",
            remedy="Give the labels that `route_items` was given as `known`.",
        )
    given = known.arrow().to_pylist()
    rows = _routed_rows(routed, schema.the("entity").name)
    since = max(each["label_known_at"] for each in given)
    said = {
        (vote["rater"], vote["entity"]): vote["as_of"]
        for each in votes
        for vote in each.arrow().select(["rater", "entity", "label", "as_of"]).to_pylist()
    }
    made = [
        _label(row, said, since, given[0]["schema_version"])
        for row in rows
        if row["route"] in _MACHINES
    ]
    labels = sorted([*given, *made], key=lambda each: str(each["entity"]))
    by = Counter(each["source"] for each in labels)
    waiting = Counter(row["route"] for row in rows if row["route"] not in _MACHINES)
    document = {
        "passed": not waiting,
        "labels": len(labels),
        "by_source": dict(sorted(by.items())),
        "without_label": sum(waiting.values()),
        "sent_to_people": waiting["person"],
    }
    columns = {name: [each[name] for each in labels] for name in known.arrow().column_names}
    return Labels[VotedLabel].of(columns), Report.of(document)


def _routed_rows(routed: Table[Any], entity: str) -> list[dict[str, Any]]:
    rows = routed.arrow().select([entity, *_ROUTED]).to_pylist()
    return [{**row, "entity": str(row[entity])} for row in rows]


def _label(
    row: dict[str, Any], said: dict[tuple[str, str], datetime], since: datetime, version: str
) -> dict[str, Any]:
    as_of = said.get((row["routed_to"], row["entity"]))
    if as_of is None or row["expected_error"] is None:
        raise DataError(
            f"Item '{row['entity']}' was routed to '{row['routed_to']}', whose vote on it is not "
            "among the votes.",
            remedy="Give the same votes that `route_items` was given.",
        )
    return {
        "entity": row["entity"],
        "as_of": as_of,
        "label_known_at": max(since, as_of),
        "label": row["proposed"],
        "probability": 1.0 - row["expected_error"],
        "votes": 1,
        "conflict": False,
        "slice": "chosen",
        "source": row["route"],
        "method": "routed",
        "schema_version": version,
    }
