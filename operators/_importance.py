"""This module says how much each feature counts for a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.models import Task
from operators._encoding import Matrix, Vector
from operators._examples import LabelledRows
from operators._intervals import Blocks, Interval, block_codes, difference_intervals
from operators._metrics import log_losses
from operators.scoring import Scorer

_ROWS = 4_000
_TEST_ROWS = 10_000


def permutation_importance(scorer: Scorer, rows: LabelledRows) -> Vector:
    """Return how much the loss grows when one feature's values are shuffled, zero or more.

    Args:
        scorer: The model.
        rows: The validation rows; 4,000 of them, drawn with a fixed seed, are used.
    """
    generator = np.random.default_rng(0)
    some = np.sort(generator.permutation(len(rows.target))[:_ROWS])
    matrix, target = rows.matrix[some], rows.target[some]
    shuffled = generator.permutation(len(some))
    before = _loss(scorer.card.task, target, scorer.scores(matrix))
    worse = np.zeros(matrix.shape[1])
    for column in range(matrix.shape[1]):
        changed = matrix.copy()
        changed[:, column] = matrix[shuffled, column]
        after = _loss(scorer.card.task, target, scorer.scores(changed))
        worse[column] = max(after - before, 0.0)
    return worse


def growth_without(
    scorer: Scorer,
    matrix: Matrix,
    target: Vector,
    blocks: Blocks | None,
    *,
    confidence: float,
) -> dict[str, Interval]:
    """Return by how much the loss grows when one feature's values are shuffled, with intervals.

    It is the permutation importance of Breiman, "Random forests" (Machine Learning 45, 2001), as
    the model reliance of Fisher, Rudin and Dominici (JMLR 20, 2019): of this model, on these rows.
    Features that say the same share it between them; it can be negative by chance.

    Args:
        scorer: The model.
        matrix: Encoded rows, `(n_rows, n_features)`; 10,000 of them, drawn with a fixed seed, are
            used.
        target: 0 or 1, or the measured value.
        blocks: Number of each row's day; None when the rows have no time.
        confidence: Coverage of the intervals, such as 0.95.

    Returns:
        {feature: {value, low, high}} of the log loss in nats, or of the root mean squared error;
        see `metric_intervals`.
    """
    task = scorer.card.task
    loss = "rmse" if task == "estimation" else "log_loss"
    generator = np.random.default_rng(0)
    some = np.sort(generator.permutation(len(target))[:_TEST_ROWS])
    rows, truth = matrix[some], target[some]
    days = None if blocks is None else block_codes(blocks[some])
    shuffled = generator.permutation(len(some))
    before, found = scorer.scores(rows), {}
    for i, name in enumerate(scorer.card.feature_names):
        changed = rows.copy()
        changed[:, i] = rows[shuffled, i]
        after = scorer.scores(changed)
        gaps = difference_intervals(task, truth, (after, before), days, confidence=confidence)
        found[name] = gaps[loss]
    return found


def shares(names: Sequence[str], importance: npt.NDArray[Any]) -> dict[str, float]:
    """Return importance by name as shares of its sum; all zero where nothing counts."""
    total = float(importance.sum())
    return {
        name: float(value) / total if total > 0 else 0.0
        for name, value in zip(names, importance, strict=True)
    }


def _loss(task: Task, target: Vector, score: Vector) -> float:
    losses = np.square(score - target) if task == "estimation" else log_losses(target, score)
    return float(losses.mean())
