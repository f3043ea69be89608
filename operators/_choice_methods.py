"""This module settles votes between classes: by majority, weighted by gold, or Dawid and Skene's.

Which method is used is a decision of its own (`_choice_auto`); this module carries each out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from operators._crowd_checks import winners
from operators._dawid_skene import Crowd, Estimate, Floats, Integers
from operators._gold_weights import GoldRecord, gold_record, gold_weighted
from operators._ties import first_places


@dataclass(frozen=True, kw_only=True, eq=False)
class Ballot:
    """This is one question that a crowd voted on.

    Args:
        crowd: The votes.
        entities: Names of the items.
        classes: Names of the classes.
        voters: Names of the raters.
        sources: What each of them is.
        gold: The known class of each item, -1 where there is none.
        confidence: Of each vote, as a model gave it; NaN without.
    """

    crowd: Crowd
    entities: Sequence[str]
    classes: Sequence[str]
    voters: Sequence[str]
    sources: Sequence[str]
    gold: Integers
    confidence: Floats

    def record(self) -> GoldRecord:
        """Return what gold items say of the raters."""
        return gold_record(self.crowd, self.gold)


@dataclass(frozen=True, kw_only=True, eq=False)
class Settled:
    """This is what votes came to.

    Args:
        chosen: The class of each item.
        probability: How sure each is.
        method: How it was done.
        ties: How many items had several classes in the first place.
        findings: What there is to say about it, JSON-like.
    """

    chosen: Integers
    probability: Floats
    method: str
    ties: int = 0
    findings: dict[str, Any] = field(default_factory=dict)


def by_majority(ballot: Ballot) -> Settled:
    """Return the class with the most votes of each item; every vote counts once.

    A tie goes to the raters who are more often right on gold, where that is known; then to the side
    with more people; then it is drawn by the item's name. Without gold, each of the k classes that
    share the first place has the probability 1/k.
    """
    crowd = ballot.crowd
    counts = crowd.counts()
    record = ballot.record()
    people = np.array([source == "person" for source in ballot.sources], dtype=bool)
    cells = crowd.item * crowd.classes + crowd.answer
    of_people = np.bincount(cells, weights=people[crowd.rater], minlength=counts.size)
    then: list[Floats] = [of_people.reshape(counts.shape).astype(np.float64)]
    weighted = gold_weighted(crowd, record) if record.items else None
    if weighted is not None:
        then.insert(0, weighted)
    chosen, shared = first_places(
        counts, entities=ballot.entities, options=ballot.classes, then=then
    )
    rows = np.arange(len(chosen))
    tied = shared > 1
    probability = counts[rows, chosen] / counts.sum(axis=1)
    probability[tied] = 1 / shared[tied]
    if weighted is not None:
        first = np.where(winners(counts) > 0, weighted, 0.0)
        probability[tied] = (first[rows, chosen] / first.sum(axis=1))[tied]
    alone = _confidence_alone(ballot)
    probability = np.where(np.isnan(alone), probability, alone)
    return Settled(chosen=chosen, probability=probability, method="majority", ties=int(tied.sum()))


def by_gold(ballot: Ballot) -> Settled:
    """Return the class with the most weight of each item; raters weigh as gold says."""
    record = ballot.record()
    return _by_likelihood(ballot, gold_weighted(ballot.crowd, record), "gold_weighted")


def by_estimate(ballot: Ballot, estimate: Estimate) -> Settled:
    """Return the class that Dawid and Skene's method finds likeliest for each item."""
    settled = _by_likelihood(ballot, estimate.posterior, "dawid_skene")
    settled.findings.update(
        iterations=estimate.iterations,
        converged=estimate.converged,
        class_shares=dict(zip(ballot.classes, estimate.prior.tolist(), strict=True)),
    )
    return settled


def _by_likelihood(ballot: Ballot, likely: Floats, method: str) -> Settled:
    counts = ballot.crowd.counts()
    chosen, shared = first_places(
        likely, entities=ballot.entities, options=ballot.classes, then=[counts]
    )
    return Settled(
        chosen=chosen,
        probability=likely[np.arange(len(chosen)), chosen],
        method=method,
        ties=int((shared > 1).sum()),
    )


def _confidence_alone(ballot: Ballot) -> Floats:
    """Return a model's confidence where its vote is an item's only one, else NaN."""
    item = ballot.crowd.item
    alone = np.bincount(item)[item] == 1
    found = np.full(ballot.crowd.items, np.nan)
    found[item[alone]] = ballot.confidence[alone]
    return found
