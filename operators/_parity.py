"""This module says whether a runtime answers as the trained model does, and where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headrace.errors import DataError
from headrace.models import ModelCard
from operators._encoding import Matrix, Vector
from operators._probes import described_row

TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class Parity:
    """This is how near a runtime's answers are to the trained model's.

    Args:
        max_abs_diff: The largest difference of two answers.
        rows: How many rows were compared.
        passed: No difference is above the tolerance.
    """

    max_abs_diff: float
    rows: int
    passed: bool


def compared(
    card: ModelCard, probes: Matrix, expected: Vector, found: Vector
) -> tuple[Parity, str | None]:
    """Return the parity of two runtimes' answers, and what is wrong with it or None.

    Args:
        card: The model's card.
        probes: The rows.
        expected: The trained model's answers, all of them finite.
        found: The other runtime's answers.

    Returns:
        A probability may differ by `TOLERANCE`; an estimate by that share of itself, or of the
        answers' deviation where it is near zero. Other rows' worst is named with both answers.
    """
    difference = np.abs(found - expected)
    difference[~np.isfinite(found)] = np.inf
    allowed = np.full(len(expected), TOLERANCE)
    if card.task == "estimation":
        allowed *= np.maximum(np.abs(expected), expected.std())
    worst = int(np.argmax(difference / np.maximum(allowed, np.finfo(np.float64).tiny)))
    parity = Parity(
        max_abs_diff=float(difference.max()),
        rows=len(expected),
        passed=bool((difference <= allowed).all()),
    )
    if parity.passed:
        return parity, None
    return parity, (
        f"It answers {found[worst]:.9g} where the trained model answers {expected[worst]:.9g}, in "
        f"probe row {worst:,} of {len(expected):,}: {described_row(card, probes[worst])}."
    )


def answers_of(card: ModelCard, scores: Callable[[Matrix], Vector], probes: Matrix) -> Vector:
    """Return a trained model's answers, or refuse one whose answer is no number.

    Raises:
        DataError: An answer is NaN or infinite.
    """
    found = scores(probes)
    odd = ~np.isfinite(found)
    if odd.any():
        row = int(odd.argmax())
        raise DataError(
            f"The {card.flavor} model answers {found[row]:g} in probe row {row:,} of "
            f"{len(found):,}: {described_row(card, probes[row])}.",
            remedy="Train it anew, with a lower learning rate or on corrected features; it must "
            "answer a number to every row.",
        )
    return found
