"""This operator sends each item to a rule, a model or a person, by what is known of each.

A machine's label is taken where its accuracy, in its bin of confidence, is *proven* to be enough:
the exact lower limit reaches it. People are spent where they mend most per second of theirs, until
the budget ends. A source of which nothing is known is never trusted.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field

from headrace import Labels, Report, Schema, Table, Votes, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DefinitionError
from headrace.labels.columns import Vote, VotedLabel
from headrace.schemas import TableSchema
from operators._human_costs import of_people
from operators._route_checks import findings, routed_schema
from operators._route_costs import costs_of
from operators._route_evidence import evidence_of, sources_of, truths_of
from operators._route_expected import expected_accuracy
from operators._route_offers import offers
from operators._route_people import people_of
from operators._route_plan import routes
from operators._route_report import routing_document, with_routes
from operators._selection_entities import entities_of

S = TypeVar("S", bound=Schema)


def _check(call: PlannedCall) -> list[Finding]:
    table = call.schema("table")
    return [] if table is None else findings(table, call.parameters["effort"])


def _produces(call: PlannedCall) -> dict[str, TableSchema | None]:
    table = call.schema("table")
    return {"table": None if table is None else routed_schema(table)}


@operator(check=_check, produces=_produces)
def route_items(
    table: Table[S],
    votes: list[Votes[Vote]],
    known: Labels[VotedLabel] | None = None,
    people: Votes[Vote] | None = None,
    *,
    budget_seconds: Annotated[float, Field(ge=0)],
    required_accuracy: Annotated[float, Field(gt=0, le=1)] = 0.95,
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95,
    rest: Literal["later", "machine"] = "later",
    votes_per_item: Annotated[int, Field(ge=1, le=100)] = 1,
    effort: str | None = None,
    seconds_per_vote: Annotated[float, Field(gt=0)] | None = None,
    person_accuracy: Annotated[float, Field(gt=0, le=1)] | None = None,
    idle_seconds: Annotated[float, Field(gt=0)] = 180.0,
) -> tuple[Table[Any], Report]:
    """Send each item to a rule, a model or a person, by expected gain per cost under a budget.

    Args:
        table: Items, with one column of role "entity". Those in `known` need no route.
        votes: What rules and models say, of these items and of those in `known`.
        known: Labels by people, or gold. Models are judged on those of the random slice alone,
            which they were not fitted on; rules on gold too. The labels' own errors count as the
            machine's, so it is trusted rather too little.
        people: People's votes so far: their seconds, and how often they are right on gold items.
        budget_seconds: Seconds of people that may be spent.
        required_accuracy: A machine's label is taken where its accuracy is at least this, proven;
            1 takes none. People are not spent on such items.
        confidence: That all limits of all sources hold together, and of the expected accuracy.
        rest: Once the budget ends, "later" leaves the other items without a label, "machine" takes
            the best machine label of known accuracy though it is too low.
        votes_per_item: How many people answer an item; the majority counts.
        effort: Column that a vote's time grows with in proportion, such as the length of a text.
        seconds_per_vote: Seconds of a vote, instead of the measured mean.
        person_accuracy: Accuracy of a person's vote, instead of what gold items show.
        idle_seconds: A vote that took longer counts as this.

    Returns:
        The rows whose label is not known, with `route`, `routed_to`, `proposed`, `expected_error`
        (null where it is not known), `expected_gain` and `cost`; and a report: the budget and what
        is spent, items and share by route and source, the evidence on each source,
        `expected_accuracy` of what gets a label, with its interval. It passes where every item has
        a route and the lower end of that interval is at least `required_accuracy`.

    Raises:
        DefinitionError: No one column is the entity, a column exists already, or the effort is no
            number of the table.
        DataError: No vote was timed and `seconds_per_vote` is not given, or an effort is missing.
    """
    if table.schema is None:
        raise DefinitionError(
            "The table to route has no schema, so nothing says what an item is.",
            remedy="Give it one: `Table[News].of(...)`.",
        )
    for finding in findings(table.schema, effort):
        raise DefinitionError(finding.problem, remedy=finding.remedy)
    answered = [] if people is None else of_people(people.arrow().to_pylist())
    of_person = people_of(
        answered,
        idle_seconds=idle_seconds,
        seconds_per_vote=seconds_per_vote,
        accuracy=person_accuracy,
        votes=votes_per_item,
    )
    labels = [] if known is None else known.arrow().to_pylist()
    sources = sources_of([row for each in votes for row in each.arrow().to_pylist()])
    evidence = evidence_of(sources, truths_of(labels), confidence=confidence)
    have = {str(row["entity"]) for row in labels}
    items = entities_of(table, "table")
    costs = costs_of(table, items, {str(v["entity"]) for v in answered}, of_person, effort)
    open_ = np.array([item not in have for item in items], dtype=bool)
    waiting = [item for item in items if item not in have]
    routed = routes(
        waiting,
        offers(waiting, sources, evidence),
        costs[open_],
        people=of_person,
        required=required_accuracy,
        budget=budget_seconds,
        rest=rest,
    )
    accuracy = expected_accuracy(routed, evidence, of_person, confidence=confidence)
    document = routing_document(
        routed,
        evidence,
        of_person,
        accuracy=accuracy,
        known=len(items) - len(routed),
        budget=budget_seconds,
        required=required_accuracy,
    )
    return Table.of(with_routes(table, open_, routed)), Report.of(document)
