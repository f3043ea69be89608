"""This module says which columns votes and labels have, whoever gave them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Protocol

from headrace.schemas import Col, Schema


class Vote(Schema, Protocol):
    """These are opinions on labels: one row a vote, of people, of rules and of models alike."""

    entity: Annotated[str, Col(role="entity", description="what the item is, as text")]
    rater: Annotated[str, Col(description="who gave it: ada, rule:short, model:3f2a…")]
    source: Annotated[str, Col(description="person, adjudicator, rule or model")]
    label: Annotated[str | None, Col(description="the answer; null for a skip or an abstention")]
    skipped: Annotated[str | None, Col(description="why a person gave none")]
    confidence: Annotated[float | None, Col(description="how sure a model is, 0 to 1")]
    slice: Annotated[str, Col(description="random, chosen, audit or gold")]
    gold: Annotated[str | None, Col(description="the known answer, for gold items")]
    as_of: Annotated[datetime, Col(role="decision_time", description="when what was seen held")]
    voted_at: Annotated[datetime, Col(role="known_time", description="when the vote was given")]
    seconds: Annotated[float | None, Col(unit="s", description="how long it took a person")]
    suggested: Annotated[str | None, Col(description="what was suggested")]
    suggested_by: Annotated[str | None, Col(description="by whom")]
    suggestion_shown: Annotated[bool, Col(description="whether the rater saw it")]
    schema_version: Annotated[str, Col(description="version of the label schema")]
    batch: Annotated[str, Col(description="id of the batch; empty for rules and models")]


class VotedLabel(Schema, Protocol):
    """These are labels that votes came to: one row an item."""

    entity: Annotated[str, Col(role="entity", description="what the item is, as text")]
    as_of: Annotated[datetime, Col(role="decision_time", description="when what was seen held")]
    label_known_at: Annotated[datetime, Col(role="known_time", description="of the last vote")]
    label: Annotated[str, Col(role="label", known_at="label_known_at")]
    probability: Annotated[float, Col(description="how sure the label is, 0 to 1")]
    votes: Annotated[int, Col(description="how many votes it rests on")]
    conflict: Annotated[bool, Col(description="whether votes differ")]
    slice: Annotated[str, Col(description="random, chosen, audit or gold")]
    source: Annotated[str, Col(description="gold, adjudicator, person, rule or model")]
    method: Annotated[str, Col(description="how votes became a label")]
    schema_version: Annotated[str, Col(description="version of the label schema")]
