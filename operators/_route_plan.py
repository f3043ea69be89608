"""This module sends each item to a rule, a model or a person.

A machine's label is taken where it is proven good enough; people go where they mend most for their
time, which is the greedy answer to a knapsack and at most one item short of the best one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from operators._route_offers import Offer
from operators._route_people import People

Floats = npt.NDArray[np.float64]
Route = Literal["rule", "model", "person", "later"]


@dataclass(frozen=True, kw_only=True)
class Routed:
    """This is where an item goes.

    Args:
        route: Where to.
        offer: The machine's label; None where no source with evidence has one.
        error: The error to expect of the label on that route; None where it is not known.
        gain: The error that a person would mend: bought on route "person", left on the others.
        cost: Seconds of people.
    """

    route: Route
    offer: Offer | None
    error: float | None
    gain: float
    cost: float


def routes(
    items: Sequence[str],
    offered: Sequence[Offer | None],
    costs: Floats,
    *,
    people: People,
    required: float,
    budget: float,
    rest: Literal["later", "machine"],
) -> list[Routed]:
    """Decide for each item.

    Args:
        items: What they are, to break ties by.
        offered: The best machine label of each.
        costs: Seconds of people for each.
        people: What is known of people.
        required: An offer of at least this accuracy, proven, is taken.
        budget: Seconds of people.
        rest: What becomes of others once the budget ends.
    """
    person_error = people.error
    gains = np.array([(1.0 if o is None else o.error) - (person_error or 0.0) for o in offered])
    waiting = [
        i for i, o in enumerate(offered) if (o is None or o.least < required) and gains[i] > 0
    ]
    # of items that are worth the same, those first of which the machine itself is less sure
    waiting.sort(key=lambda i: (-gains[i] / costs[i], _sure(offered[i]), items[i]))
    asked, spent = set(), 0.0
    for i in waiting:
        if spent + costs[i] <= budget * (1 + 1e-12):
            asked.add(i)
            spent += costs[i]
    made = []
    for i, offer in enumerate(offered):
        route: Route = "later"
        if i in asked:
            route = "person"
        elif offer is not None and (offer.least >= required or rest == "machine"):
            route = offer.sort
        machine_error = None if route == "later" or offer is None else offer.error
        error = person_error if route == "person" else machine_error
        cost = float(costs[i]) if route == "person" else 0.0
        made.append(Routed(route=route, offer=offer, error=error, gain=float(gains[i]), cost=cost))
    return made


def _sure(offer: Offer | None) -> float:
    return -1.0 if offer is None else offer.confidence
