"""This module measures agreement beyond chance: Krippendorff's alpha, for any number of raters.

K. Krippendorff: Content Analysis (4th ed. 2019), chapter 12; Computing Krippendorff's
Alpha-Reliability (2011). The interval is a bootstrap over items, as A. F. Hayes and
K. Krippendorff, Answering the Call for a Standard Reliability Measure for Coding Data (2007), has
it in spirit: they draw pairs, we draw items with all that was said about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Metric = Literal["nominal", "ordinal", "interval"]

_RESAMPLES = 200
_SEED = 2007
_MOST_SUMMED = 40_000_000  # values, over all resamples


@dataclass(frozen=True, kw_only=True)
class Alpha:
    """This is agreement beyond chance: 1 for perfect, 0 for what chance would give, or below.

    Args:
        value: Krippendorff's alpha; None where it is not defined.
        low: Lower end of its 95 % interval; None with the value.
        high: Upper end.
        metric: How far apart two answers are: equal or not, by rank, or by the squared difference.
        why: Why there is none; empty otherwise.
    """

    value: float | None
    low: float | None
    high: float | None
    metric: Metric
    why: str = ""


def krippendorff_alpha(unit: Integers, value: Floats, *, metric: Metric) -> float | None:
    """Return alpha; None where no unit has two values, or all values are the same.

    Args:
        unit: What each value is about.
        value: The values: codes for "nominal", anything that has an order for the others.
        metric: How far apart two values are.
    """
    kept = _pairable(unit)
    if not kept.any():
        return None
    sums = _Sums.of(unit[kept], _scaled(value[kept], metric), metric)
    return sums.alpha(np.ones(sums.units))


def alpha_with_interval(
    unit: Integers, value: Floats, *, metric: Metric, item: Integers | None = None
) -> Alpha:
    """Return alpha with its 95 % interval.

    Args:
        unit: What each value is about.
        value: The values.
        metric: How far apart two values are. Ranks are those of all values, in every resample.
        item: Which item each value belongs to, where an item has several units; items are drawn.
    """
    kept = _pairable(unit)
    if not kept.any():
        return _none(metric, "no item has answers of two raters")
    unit, value = unit[kept], _scaled(value[kept], metric)
    item = unit if item is None else item[kept]
    sums = _Sums.of(unit, value, metric)
    found = sums.alpha(np.ones(sums.units))
    if found is None:
        return _none(metric, "all answers are the same, so chance would agree as well")
    drawn = _resampled(sums, unit, item)
    low, high = (None, None) if len(drawn) < 2 else np.quantile(drawn, [0.025, 0.975])
    return Alpha(
        value=found,
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        metric=metric,
    )


def _none(metric: Metric, why: str) -> Alpha:
    return Alpha(value=None, low=None, high=None, metric=metric, why=why)


def _pairable(unit: Integers) -> npt.NDArray[np.bool_]:
    _, at, counts = np.unique(unit, return_inverse=True, return_counts=True)
    kept: npt.NDArray[np.bool_] = counts[at] > 1
    return kept


def _scaled(value: Floats, metric: Metric) -> Floats:
    """Return values whose squared differences are the metric's.

    The ordinal metric between two ranks, the values between them with half of those at the ends,
    is the difference of their middle positions in the order of all values.
    """
    if metric != "ordinal":
        return np.asarray(value, dtype=np.float64)
    _, at, counts = np.unique(value, return_inverse=True, return_counts=True)
    middles: Floats = np.cumsum(counts) - counts / 2
    return middles[at]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """These are the sums per unit from which alpha follows, for any weights of the units."""

    metric: Metric
    units: int
    at: Integers  # the unit of each value, from 0
    value: Floats  # codes from 0 for "nominal", else centred values
    size: Floats  # values of each unit
    disagreement: Floats  # of each unit: over its ordered pairs, by the number of others
    total: Floats  # of each unit
    square: Floats

    @classmethod
    def of(cls, unit: Integers, value: Floats, metric: Metric) -> _Sums:
        names, at = np.unique(unit, return_inverse=True)
        size = np.bincount(at).astype(np.float64)
        if metric == "nominal":
            _, codes = np.unique(value, return_inverse=True)
            cells, counts = np.unique(at * (codes.max() + 1) + codes, return_counts=True)
            equal = np.bincount(cells // (codes.max() + 1), weights=counts.astype(float) ** 2)
            differing = size**2 - equal
            value = codes.astype(np.float64)
        else:
            value = value - value.mean()
            total = np.bincount(at, weights=value)
            differing = 2 * (size * np.bincount(at, weights=value**2) - total**2)
        return cls(
            metric=metric,
            units=len(names),
            at=at,
            value=value,
            size=size,
            disagreement=differing / (size - 1),
            total=np.bincount(at, weights=value).astype(np.float64),
            square=np.bincount(at, weights=value**2).astype(np.float64),
        )

    def alpha(self, weight: Floats) -> float | None:
        """Return alpha when each unit counts as often as its weight says."""
        count = float(weight @ self.size)
        observed = float(weight @ self.disagreement) / count
        if self.metric == "nominal":
            each = np.bincount(self.value.astype(np.int64), weights=weight[self.at])
            differing = count**2 - float((each**2).sum())
        else:
            differing = 2 * (count * float(weight @ self.square) - float(weight @ self.total) ** 2)
        expected = differing / (count * (count - 1))
        scale = 1.0 if self.metric == "nominal" else float(self.square.sum()) / count
        if expected <= 1e-12 * scale:
            return None
        return 1 - observed / expected


def _resampled(sums: _Sums, unit: Integers, item: Integers) -> list[float]:
    _, first = np.unique(unit, return_index=True)
    _, of_unit = np.unique(item[first], return_inverse=True)
    items = int(of_unit.max()) + 1
    random = np.random.default_rng(_SEED)
    resamples = max(40, min(_RESAMPLES, _MOST_SUMMED // len(unit)))
    drawn = []
    for _ in range(resamples):
        times = np.bincount(random.integers(items, size=items), minlength=items)
        weight = times[of_unit].astype(np.float64)
        found = sums.alpha(weight) if weight.any() else None
        if found is not None:
            drawn.append(found)
    return drawn
