"""This module measures labelers of several choices and of numbers, in the terms of the field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from operators._encoding import Vector

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def number_metrics(expected: Vector, found: Vector) -> dict[str, float]:
    """Return mae and rmse, in the unit of the answers, and r2 where the answers differ."""
    error = found - expected
    squared = float(np.square(error).sum())
    spread = float(np.square(expected - expected.mean()).sum())
    metrics = {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(squared / len(expected))),
    }
    return metrics | ({"r2": 1.0 - squared / spread} if spread > 0 else {})


def tag_metrics(choices: Sequence[str], expected: Booleans, found: Booleans) -> dict[str, float]:
    """Return the metrics of sets of choices, by name; every row counts once.

    Args:
        choices: The choices.
        expected: Which apply `(n_rows, n_choices)`, at least one row.
        found: Which were answered.

    Returns:
        micro_f1 (over all pairs of a row and a choice; 1 where nothing applies and nothing was
        answered), macro_f1 (the mean over the choices that apply to a row or were answered),
        jaccard (the mean over rows of what both have, of what either has), subset_accuracy (the
        share of rows with exactly the right choices), hamming_loss (the share of pairs that are
        wrong), and "f1.<choice>" for each choice that applies to a row.
    """
    right = (expected & found).sum(axis=0)
    sizes = expected.sum(axis=0) + found.sum(axis=0)
    occurs = sizes > 0
    f1 = 2 * right[occurs] / sizes[occurs]
    by_choice = {
        f"f1.{name}": float(2 * right[at] / sizes[at])
        for at, name in enumerate(choices)
        if expected[:, at].any()
    }
    return {
        "micro_f1": float(2 * right.sum() / sizes.sum()) if sizes.sum() else 1.0,
        "macro_f1": float(f1.mean()) if occurs.any() else 1.0,
        "jaccard": float(1.0 - jaccard_losses(expected, found).mean()),
        "subset_accuracy": float((expected == found).all(axis=1).mean()),
        "hamming_loss": float(hamming_losses(expected, found).mean()),
        **by_choice,
    }


def jaccard_losses(expected: Booleans, found: Booleans) -> Floats:
    """Return for each row the share of what either set has that the other lacks; 0 of nothing."""
    either = (expected | found).sum(axis=1)
    both = (expected & found).sum(axis=1)
    losses: Floats = np.where(either > 0, 1.0 - both / np.maximum(either, 1), 0.0)
    return losses


def hamming_losses(expected: Booleans, found: Booleans) -> Floats:
    """Return for each row the share of choices that are wrong."""
    losses: Floats = (expected != found).mean(axis=1)
    return losses


def subset_losses(expected: Booleans, found: Booleans) -> Floats:
    """Return for each row whether a choice is wrong, 0 or 1."""
    losses: Floats = (expected != found).any(axis=1).astype(np.float64)
    return losses
