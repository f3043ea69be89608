"""This module writes down where items go: the columns that rows get, and the report's parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Table
from operators._proportions import Estimate
from operators._route_evidence import Evidence
from operators._route_people import People
from operators._route_plan import Routed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

ROUTES = ("rule", "model", "person", "later")


def with_routes(
    table: Table[Any], rows: npt.NDArray[np.bool_], routed: Sequence[Routed]
) -> pa.Table:
    """Return the rows that are routed, with the columns of their routes."""
    import pyarrow as pa

    made = table.arrow().filter(pa.array(rows))
    machine = [r.offer if r.route in ("rule", "model") else None for r in routed]
    added = {
        "route": pa.array([r.route for r in routed], pa.string()),
        "routed_to": pa.array([o and o.source for o in machine], pa.string()),
        "proposed": pa.array([r.offer and r.offer.label for r in routed], pa.string()),
        "expected_error": pa.array([r.error for r in routed], pa.float64()),
        "expected_gain": pa.array([r.gain for r in routed], pa.float64()),
        "cost": pa.array([r.cost for r in routed], pa.float64()),
    }
    for name, values in added.items():
        made = made.append_column(name, values)
    return made


def routing_document(
    routed: Sequence[Routed],
    evidence: Mapping[str, Evidence],
    people: People,
    *,
    accuracy: Estimate | None,
    known: int,
    budget: float,
    required: float,
) -> dict[str, Any]:
    """Return the report: the budget, where items go, on which evidence, and what to expect."""
    later = sum(each.route == "later" for each in routed)
    return {
        "passed": not later and accuracy is not None and accuracy.low >= required,
        "items": len(routed),
        "known": known,
        "budget_seconds": budget,
        "spent_seconds": sum(each.cost for each in routed),
        "required_accuracy": required,
        "expected_accuracy": None if accuracy is None else accuracy.document(),
        "routes": _routes(routed),
        "sources": _sources(evidence, routed),
        "people": _people(people),
    }


def _routes(routed: Sequence[Routed]) -> dict[str, Any]:
    """Return items, share and seconds of each route."""
    return {
        route: {
            "items": len(of),
            "share": len(of) / len(routed) if routed else 0.0,
            "seconds": sum(each.cost for each in of),
        }
        for route in ROUTES
        for of in [[each for each in routed if each.route == route]]
    }


def _sources(
    evidence: Mapping[str, Evidence], routed: Sequence[Routed]
) -> dict[str, dict[str, Any]]:
    """Return what is known of each source, by bin of its confidence, and the items it labels."""
    taken: dict[str, int] = {}
    for each in routed:
        if each.route in ("rule", "model") and each.offer is not None:
            taken[each.offer.source] = taken.get(each.offer.source, 0) + 1
    return {
        rater: {
            "items": taken.get(rater, 0),
            "evidence": int(found.of.sum()),
            "bins": [
                {
                    "from": None if at == 0 else float(found.edges[at - 1]),
                    "right": int(found.right[at]),
                    "of": int(found.of[at]),
                    "at_least": float(found.least[at]),
                }
                for at in range(len(found.of))
            ],
        }
        for rater, found in evidence.items()
    }


def _people(people: People) -> dict[str, Any]:
    """Return what is known of people: their seconds, and how often they are right."""
    return {
        "seconds_per_vote": people.seconds,
        "timed": people.timed,
        "votes_per_item": people.votes,
        "gold": people.of,
        "gold_right": people.right,
        "assumed_accuracy": people.assumed,
        "expected_error": people.error,
    }
