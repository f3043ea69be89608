"""This module holds models in memory, and what one of them says of rows that belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.models import ModelCard
from operators.scoring import Scorer

Scores = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """This is a model in memory.

    Args:
        ref: Which version it is.
        scorer: Its card, and what scores.
        encode: From raw rows, in the order of the card, to the matrix.
    """

    ref: str
    scorer: Scorer
    encode: Callable[[Sequence[Sequence[Any]]], Any]

    def score(self, rows: Sequence[Sequence[Any]]) -> list[float]:
        """Return one score a row.

        Args:
            rows: Raw values; those after the model's own features are another model's.
        """
        own = len(self.scorer.card.features)
        if len(rows[0]) != own:
            rows = [row[:own] for row in rows]
        scores: list[float] = self.scorer.scores(self.encode(rows)).tolist()
        return scores


@dataclass(frozen=True, kw_only=True, eq=False)
class AsOne:
    """These are the scores of rows that one model answers all of, such as the items of a list.

    Args:
        model: Who answered.
        card: Its card.
        scores: One a row.
        fields: What a record says of who answered, and of who else could have.
    """

    model: str
    card: ModelCard
    scores: Scores
    fields: dict[str, Any]
