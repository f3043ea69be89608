"""This module says what a model's score means: its figure, its class, its interval; it is pure.

A score is all that a model answers. What is made of it depends on the card alone, so that the same
score is the same answer wherever it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from headrace.models import ModelCard

Output = Literal["probability", "estimate", "class", "interval"]
COVERAGE = 0.9
_THRESHOLD = 0.5


def figure_of(card: ModelCard) -> Literal["probability", "estimate"]:
    """Return what the score of a model is called."""
    return "probability" if card.task == "classification" else "estimate"


def outputs_of(card: ModelCard) -> tuple[Output, ...]:
    """Return what can be asked of a model: its figure first, which every answer has."""
    if card.task == "classification":
        return ("probability", "class") if len(card.classes) == 2 else ("probability",)
    return ("estimate",) if _reach(card) is None else ("estimate", "interval")


def answer_of(card: ModelCard, score: float, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """Return the answer that a score is, with the outputs that are wanted beside its figure.

    Args:
        card: The model's card.
        score: The model's score.
        wanted: Of `outputs_of`; others are left out.

    Returns:
        The figure; for "class" the name of the likelier class, and from which probability on it
        is the positive one (the card's threshold, else 0.5); for "interval" its two ends, between
        which the outcome lies in nine of ten cases like those of validation, and that coverage.
    """
    answer: dict[str, Any] = {figure_of(card): score}
    if "class" in wanted and len(card.classes) == 2:
        threshold = float(card.extra.get("threshold", _THRESHOLD))
        answer |= {"class": card.classes[score >= threshold], "threshold": threshold}
    reach = _reach(card)
    if "interval" in wanted and reach is not None:
        answer |= {"interval": [score - reach, score + reach], "coverage": COVERAGE}
    return answer


def _reach(card: ModelCard) -> float | None:
    """How far an interval reaches to either side; None where the card cannot say."""
    known = card.extra.get("intervals") if card.task == "estimation" else None
    found: float | None = (known or {}).get("reach", {}).get(f"{COVERAGE:g}")
    return found
