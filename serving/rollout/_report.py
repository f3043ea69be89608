"""This module sums up, as a report, what became of an endpoint's challengers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving.rollout.judging import Judged
from serving.routing import Route


def document_of(judged: Sequence[Judged], before: Route, after: Route) -> dict[str, Any]:
    """Return what is reported of a look at an endpoint.

    The challenger that something was done with comes first, or else the first one.

    Args:
        judged: What became of each challenger, at least one.
        before: The route that was looked at.
        after: The route since.
    """
    first = _main(judged, before)
    told = [each.told() for each in (first, *(j for j in judged if j is not first))]
    return {
        "passed": True,
        "changed": after.generation != before.generation,
        "endpoint": before.endpoint,
        "action": first.action,
        "did": first.did,
        "why": told[0],
        "champion": after.champion,
        "challenger": after.challenger,
        "experiment": first.experiment,
        "trace": None if first.ruling is None else first.ruling.trace(),
        "waits_for_approval": [each.challenger for each in judged if each.waits_for_approval],
        "rulings": [each.to_json() for each in judged],
        "told": "\n\n".join(told),
    }


def _main(judged: Sequence[Judged], before: Route) -> Judged:
    """Return what was acted on; otherwise the first challenger."""
    acted = [each for each in judged if each.did is not None]
    firsts = [each for each in judged if each.experiment == before.experiment]
    return (*acted, *firsts, *judged)[0]
