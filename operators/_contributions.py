"""This module holds what a score is made of: one contribution a feature, and what they add to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from operators._encoding import Matrix, Vector

Method = Literal["tree_shap", "linear", "sampled"]
Space = Literal["log_odds", "probability", "estimate"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Contributions:
    """These are the contributions of one row's features to its score.

    Args:
        method: "tree_shap" and "linear" are exact; "sampled" is an estimate whose parts add up
            exactly.
        space: What the parts are: differences of log-odds, probability or the estimate.
        base: The answer when nothing is known of the row, in that space.
        values: One number a feature, in the order of the card.
    """

    method: Method
    space: Space
    base: float
    values: Vector

    @property
    def total(self) -> float:
        """The base and all contributions: the score, in that space."""
        return self.base + float(self.values.sum())

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Return them as JSON-like data, the features by `names`."""
        return {
            "method": self.method,
            "space": self.space,
            "base": self.base,
            "total": self.total,
            "contributions": dict(zip(names, self.values.tolist(), strict=True)),
        }


Explain: TypeAlias = Callable[[Matrix], list[Contributions]]
