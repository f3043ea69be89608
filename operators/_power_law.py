"""This module fits errors that fall to a floor as a power of the labels, many curves at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_POWERS = np.linspace(0.1, 2.0, 20)


def errors_of(fits: Floats, labels: Any) -> Floats:
    """Return the errors of curves (floor, height, power) at numbers of labels."""
    errors: Floats = fits[:, 0] + fits[:, 1] * np.power(np.asarray(labels, float), -fits[:, 2])
    return errors


def fitted(labels: Floats, errors: Floats, weights: Floats) -> Floats:
    """Return floor, height and power of least weighted squares for each row of errors."""
    best = np.full(len(errors), np.inf)
    fits = np.zeros((len(errors), 3))
    total = weights.sum()
    for power in _POWERS:
        fall = labels**-power
        # two unknowns, none below 0: the free optimum, else the better edge
        mean_fall, mean_error = (weights @ fall) / total, (errors @ weights) / total
        spread = weights @ (fall - mean_fall) ** 2
        slope = ((errors - mean_error[:, None]) * (fall - mean_fall)) @ weights / spread
        slope = np.maximum(slope, 0.0)
        floor = mean_error - slope * mean_fall
        through = (errors * fall) @ weights / (weights @ fall**2)
        slope, floor = np.where(floor < 0, through, slope), np.maximum(floor, 0.0)
        left = ((errors - floor[:, None] - slope[:, None] * fall) ** 2) @ weights
        better = left < best - 1e-15
        best = np.where(better, left, best)
        made = np.column_stack([floor, slope, np.full(len(errors), power)])
        fits = np.where(better[:, None], made, fits)
    return fits
