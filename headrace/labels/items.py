"""This module holds what goes into the queue and what comes out of it, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Slice = Literal["random", "chosen", "audit", "gold"]
"""Why an item is in a batch: drawn at random, to evaluate by; chosen by a model, to learn from; in
doubt, to be looked at again; or known, to measure raters by."""

Source = Literal["person", "adjudicator", "rule", "model"]
"""Who gave a vote."""

BatchStatus = Literal["open", "complete", "closed"]
"""Whether people are asked; whether every item has its votes; or whether somebody ended it."""


@dataclass(frozen=True, kw_only=True)
class NewItem:
    """This is an item that people are to label.

    Attributes:
        entity: What it is, as text; once in a batch.
        as_of: The moment, aware, as of which what is shown was known.
        shown: What raters see: column to JSON-like value.
        slice: Why it is asked for.
        priority: Those with more are asked first.
        suggested: What a model or rules suggest, as a written answer.
        suggested_by: Who suggests it, such as "model:3f2a…".
        confidence: How sure that is, 0 to 1.
        gold: The known answer, written; for the slice "gold" only.
    """

    entity: str
    as_of: datetime
    shown: Mapping[str, Any]
    slice: Slice = "chosen"
    priority: float = 0.0
    suggested: str | None = None
    suggested_by: str | None = None
    confidence: float | None = None
    gold: str | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """This is a batch as it stands.

    Attributes:
        id: Its id, also in addresses.
        task: Name of the task.
        number: Which batch of the task, from 1.
        schema_version: Version of the schema by which it is answered.
        status: Whether people are asked.
        backend: Where people answer: "local" for our page, or "labelstudio".
        items: Number of items, gold ones included.
        gold: Number of gold items.
        done: Items that have all their votes, or can get no more.
        votes: Votes that stand; skips are not among them.
        skips: Skips that stand.
        wanted: Votes that make it complete.
        created_at: When it was asked for.
        deadline: When it is closed whatever is missing; None for never.
        ended_at: When it was complete or closed.
        why: Why it was closed; empty otherwise.
        run_id: The flow run that asked; None outside of one.
        external: What another back-end calls it; None for our page.
    """

    id: str
    task: str
    number: int
    schema_version: str
    status: BatchStatus
    backend: str
    items: int
    gold: int
    done: int
    votes: int
    skips: int
    wanted: int
    created_at: datetime
    deadline: datetime | None
    ended_at: datetime | None
    why: str
    run_id: str | None
    external: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """This is an item that a rater was given, until the lease ends.

    Attributes:
        item: Its number.
        batch: Id of its batch.
        task: Name of the task.
        shown: What the rater sees.
        suggested: What is suggested; None where nothing is, or it is hidden.
        lease: Proves that it was given to this rater.
        expires_at: When it is given to somebody else.
        vote: The rater's vote that is being corrected; None for an item that is new to them.
    """

    item: int
    batch: str
    task: str
    shown: Mapping[str, Any]
    suggested: str | None
    lease: str
    expires_at: datetime
    vote: str | None = None


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """This acknowledges a vote: it is on disk.

    Attributes:
        number: The vote's number; a repeated request has the same.
        item: The item.
        label: The answer as it is kept; None for a skip.
        at: When it was taken.
        batch_status: How the batch stands since.
    """

    number: int
    item: int
    label: str | None
    at: datetime
    batch_status: BatchStatus


@dataclass(frozen=True, kw_only=True)
class VoteRecord:
    """This is a vote that stands, with what the rater saw; one row of a `Votes` table.

    Attributes:
        number: Its number in the queue.
        entity: What the item is.
        batch: Id of the batch.
        rater: Who voted.
        source: What they are.
        label: The answer; None for a skip.
        skipped: Why it was skipped; None for an answer.
        seconds: How long it took, in seconds; None where nobody measured it.
        at: When it was taken.
        as_of: As of when what was shown was known.
        schema_version: Version of the schema.
        slice: Why the item was asked for.
        gold: The known answer, for gold items.
        suggested: What was suggested.
        suggested_by: By whom.
        suggestion_shown: Whether the rater saw it.
    """

    number: int
    entity: str
    batch: str
    rater: str
    source: Source
    label: str | None
    skipped: str | None
    seconds: float | None
    at: datetime
    as_of: datetime
    schema_version: str
    slice: Slice
    gold: str | None
    suggested: str | None
    suggested_by: str | None
    suggestion_shown: bool
