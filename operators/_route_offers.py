"""This module finds the best label that a rule or a model has for each item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from operators._route_evidence import Evidence, SourceVotes


@dataclass(frozen=True, kw_only=True)
class Offer:
    """This is the best label that a machine has for an item.

    Args:
        source: Who.
        sort: "rule" or "model".
        label: The answer.
        confidence: How sure it says it is.
        bin: The bin of its evidence.
        least: What its accuracy there is at least.
        error: The error to expect.
    """

    source: str
    sort: Literal["rule", "model"]
    label: str
    confidence: float
    bin: int
    least: float
    error: float


def offers(
    items: Sequence[str], sources: Sequence[SourceVotes], evidence: Mapping[str, Evidence]
) -> list[Offer | None]:
    """Return the best machine label for each item: of the source that is proven best there.

    A source that was never seen to be right or wrong makes no offer.
    """
    best: list[Offer | None] = []
    for item in items:
        found = [_offer(item, each, evidence[each.rater]) for each in sources if item in each.label]
        known = [offer for offer in found if offer is not None]
        best.append(max(known, key=lambda o: (o.least, -o.error, o.source)) if known else None)
    return best


def _offer(item: str, source: SourceVotes, evidence: Evidence) -> Offer | None:
    sure = source.confidence[item]
    at = evidence.bin_of(sure)
    if not evidence.of[at]:
        return None
    return Offer(
        source=source.rater,
        sort="rule" if source.sort == "rule" else "model",
        label=source.label[item],
        confidence=sure,
        bin=at,
        least=float(evidence.least[at]),
        error=float(evidence.error[at]),
    )
