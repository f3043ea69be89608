"""This module settles votes whose answers are choices: one of them, or any number of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.labels.schema import LabelSchema
from operators._choice_auto import Method, settled_by
from operators._choice_methods import Ballot, Settled
from operators._dawid_skene import Crowd, Floats, Integers
from operators._votes_read import VotesRead

if TYPE_CHECKING:
    import pandas as pd

_NO, _YES = "no", "yes"


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """This is what the crowd's votes came to.

    Args:
        item: The items with votes of the crowd, by their numbers in `VotesRead.items`.
        label: The written answer of each.
        probability: How sure each is.
        method: How it was done, one name for all.
        findings: What there is to say about it, JSON-like.
    """

    item: Integers
    label: list[str]
    probability: Floats
    method: str
    findings: dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seats:
    """These are the crowd's votes, with items numbered from 0 without a gap."""

    rows: pd.DataFrame
    item: Integers  # numbers in VotesRead.items
    at: Integers  # the place in `item` of each row
    entities: list[str]
    gold: list[str | None]


def ballot_of(read: VotesRead, schema: LabelSchema) -> Ballot:
    """Return votes for one choice each as what the methods work on."""
    seats = _seats(read)
    numbers = {choice: at for at, choice in enumerate(schema.choices)}
    answer = _integers(seats.rows["label"].map(numbers))
    gold: Integers = np.array([-1 if g is None else numbers[g] for g in seats.gold])
    return _ballot(read, seats, answer, gold, schema.choices)


def settle_single(read: VotesRead, schema: LabelSchema, method: Method) -> Outcome:
    """Return one choice for each item."""
    seats = _seats(read)
    settled = settled_by(ballot_of(read, schema), method)
    return Outcome(
        item=seats.item,
        label=[schema.choices[at] for at in settled.chosen],
        probability=settled.probability,
        method=settled.method,
        findings={"ties": settled.ties, **settled.findings},
    )


def settle_multi(read: VotesRead, schema: LabelSchema, method: Method) -> Outcome:
    """Return a set of choices for each item: every choice is a question of its own, yes or no.

    How sure a set is, is the product over its questions. The method is "mixed" where choices were
    settled in different ways; the findings of each say how.
    """
    seats = _seats(read)
    said = {label: set(schema.value(label)) for label in seats.rows["label"].unique()}
    known = [None if gold is None else set(schema.value(gold)) for gold in seats.gold]
    yes = np.zeros((len(seats.item), len(schema.choices)), dtype=bool)
    probability = np.ones(len(seats.item))
    findings: dict[str, Any] = {}
    methods = Counter[str]()
    for at, choice in enumerate(schema.choices):
        answer = seats.rows["label"].map({k: int(choice in v) for k, v in said.items()})
        gold: Integers = np.array([-1 if k is None else int(choice in k) for k in known])
        names = (f"{choice}: {_NO}", f"{choice}: {_YES}")
        ballot = _ballot(read, seats, _integers(answer), gold, names)
        settled = settled_by(ballot, method)
        yes[:, at] = settled.chosen == 1
        probability *= settled.probability
        methods[settled.method] += 1
        findings[choice] = _of_choice(settled)
    return Outcome(
        item=seats.item,
        label=[
            schema.read([c for c, chosen in zip(schema.choices, row, strict=True) if chosen])
            for row in yes
        ],
        probability=probability,
        method=next(iter(methods)) if len(methods) == 1 else "mixed",
        findings={
            "ties": sum(each["ties"] for each in findings.values()),
            "choices": findings,
        },
    )


def _of_choice(settled: Settled) -> dict[str, Any]:
    return {"method": settled.method, "ties": settled.ties, **settled.findings}


def _seats(read: VotesRead) -> _Seats:
    rows = read.answers
    item, at = np.unique(_integers(rows["item"]), return_inverse=True)
    facts = read.items.iloc[item]
    return _Seats(
        rows=rows,
        item=item,
        at=at,
        entities=list(facts["entity"]),
        gold=list(facts["gold"]),
    )


def _ballot(
    read: VotesRead,
    seats: _Seats,
    answer: Integers,
    gold: Integers,
    classes: tuple[str, ...],
) -> Ballot:
    return Ballot(
        crowd=Crowd(
            item=seats.at,
            rater=_integers(seats.rows["voter"]),
            answer=answer,
            raters=len(read.voters),
            classes=len(classes),
        ),
        entities=seats.entities,
        classes=classes,
        voters=read.voters,
        sources=read.sources,
        gold=gold,
        confidence=seats.rows["confidence"].to_numpy(dtype=np.float64),
    )


def _integers(column: pd.Series[Any]) -> Integers:
    integers: Integers = column.to_numpy(dtype=np.int64)
    return integers
