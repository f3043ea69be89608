"""This module bins the probabilities of labelled decisions, and says how far off blocks take them.

Bins hold about as many decisions each; equal probabilities stay together. The deviations are those
of sums over blocks (Liang and Zeger, "Longitudinal data analysis using generalized linear models",
Biometrika 73, 1986), because decisions of one day share their luck.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from serving._block_spans import Vector
from serving.rollout._guard_rows import Look

_BINS = 10


def calibration_figures(look: Look) -> dict[str, Any]:
    """Return the bins of the probabilities whose outcome is known.

    Where the answer makes the outcome, only what the model answered itself counts.

    Args:
        look: The look.
    """
    rows = look.rows
    used = np.isfinite(rows.subject) & np.isfinite(rows.outcome)
    if look.rule.design == "randomised":
        used &= rows.is_in("model", look.subject)
    return calibration_of(rows.subject[used], rows.outcome[used], rows.block[used])


def calibration_of(
    probability: Vector, outcome: Vector, block: npt.NDArray[np.intp]
) -> dict[str, Any]:
    """Return the bins, their expected calibration error, and the deviations of luck.

    Args:
        probability: What was said, 0 to 1.
        outcome: What happened, 0 or 1.
        block: The block of each.

    Returns:
        decisions, blocks, ece, bins [{n, mean, observed, deviation}] and spread: the largest
        standard deviation of a signed sum of the bins' gaps, weighted as in the error.
    """
    n = probability.size
    if n == 0:
        return {"decisions": 0, "blocks": 0, "ece": 0.0, "bins": [], "spread": 0.0}
    edges = np.unique(np.quantile(probability, np.arange(1, _BINS) / _BINS, method="lower"))
    _, bin_of = np.unique(np.searchsorted(edges, probability, side="left"), return_inverse=True)
    size = int(bin_of.max()) + 1
    counts = np.bincount(bin_of, minlength=size)
    mean = np.bincount(bin_of, weights=probability, minlength=size) / counts
    observed = np.bincount(bin_of, weights=outcome, minlength=size) / counts
    covariance, blocks = _covariance(probability - outcome, bin_of, block, counts)
    weights = counts / n
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=size)))
    signed = signs * weights
    spread = float(np.sqrt(np.max(np.einsum("ij,jk,ik->i", signed, covariance, signed))))
    deviations = np.sqrt(np.diag(covariance))
    return {
        "decisions": n,
        "blocks": blocks,
        "ece": float(weights @ np.abs(mean - observed)),
        "bins": [
            {
                "n": int(counts[at]),
                "mean": float(mean[at]),
                "observed": float(observed[at]),
                "deviation": float(deviations[at]),
            }
            for at in range(size)
        ],
        "spread": spread,
    }


def _covariance(
    gap: Vector, bin_of: npt.NDArray[np.intp], block: npt.NDArray[np.intp], counts: Any
) -> tuple[Vector, int]:
    """Return the covariance of the bins' mean gaps when blocks are drawn, and how many there are.

    It is at least that of independent decisions, which few blocks may understate.
    """
    _, block_of = np.unique(block, return_inverse=True)
    size, blocks = counts.size, int(block_of.max()) + 1
    cell = block_of * size + bin_of
    total = np.bincount(cell, weights=gap, minlength=blocks * size).reshape(blocks, size)
    many = np.bincount(cell, minlength=blocks * size).reshape(blocks, size)
    centre = np.bincount(bin_of, weights=gap, minlength=size) / counts
    off = (total - many * centre) / counts
    covariance = off.T @ off * (blocks / max(blocks - 1, 1))
    own = np.bincount(bin_of, weights=(gap - centre[bin_of]) ** 2, minlength=size) / counts**2
    lacking = np.maximum(own - np.diag(covariance), 0.0)
    result: Vector = covariance + np.diag(lacking)
    return result, blocks
