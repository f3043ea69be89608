"""This module says how sure a share is that was counted: Wilson's interval, and exact limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """This is a figure with the interval that it lies in, as far as is known."""

    value: float
    low: float
    high: float

    def document(self) -> dict[str, float]:
        """Return it as JSON-like data."""
        return asdict(self)


def wilson(right: float, of: float, *, confidence: float) -> Estimate:
    """Return a share with Wilson's two-sided interval; of nothing it is unknown: 0 to 1.

    Args:
        right: How many were; may be a fraction.
        of: Of how many.
        confidence: Coverage, such as 0.95.
    """
    from scipy.special import ndtri  # type: ignore[import-untyped]

    if of <= 0:
        return Estimate(value=math.nan, low=0.0, high=1.0)
    z = float(ndtri((1 + confidence) / 2))
    share = right / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return Estimate(
        value=share,
        low=0.0 if right == 0 else max(0.0, middle - half),
        high=1.0 if right == of else min(1.0, middle + half),
    )


def at_least(right: int, of: int, *, confidence: float) -> float:
    """Return what a share is at least: Clopper and Pearson's exact one-sided limit.

    Of nothing it is 0: what was never looked at is not trusted.
    """
    from scipy.special import betaincinv

    return 0.0 if right == 0 else float(betaincinv(right, of - right + 1, 1 - confidence))


def at_most(right: int, of: int, *, confidence: float) -> float:
    """Return what a share is at most, exactly; of nothing it is 1."""
    return 1.0 - at_least(of - right, of, confidence=confidence)


def mean_interval(values: Sequence[float], *, confidence: float) -> Estimate:
    """Return a mean with Student's interval between 0 and 1; of fewer than two it is unknown."""
    from scipy.special import stdtrit

    count = len(values)
    mean = sum(values) / count if count else math.nan
    if count < 2:
        return Estimate(value=mean, low=0.0, high=1.0)
    variance = sum((value - mean) ** 2 for value in values) / (count - 1)
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * math.sqrt(variance / count)
    return Estimate(value=mean, low=max(0.0, mean - half), high=min(1.0, mean + half))
