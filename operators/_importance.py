"""This module says how much each feature counts for a model, as shares that sum to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.models import Task
from operators._encoding import Vector
from operators._examples import LabelledRows
from operators._metrics import log_losses
from operators.scoring import Scorer

_ROWS = 4_000


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
