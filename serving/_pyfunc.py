"""This module is what `mlflow.pyfunc.load_model` calls for a model of ours: our own scoring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from operators.scoring import Scorer


class PyfuncModel:
    """This answers as our endpoints do: same encoding, same categories, same scores.

    Args:
        scorer: The model, ready to answer.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score rows.

        Args:
            rows: Feature values by column; NaN and None are null.
            params: None; MLflow passes it.

        Returns:
            One column: `probability` of the last class, or `estimate`.
        """
        import pandas as pd

        return pd.DataFrame({answer_column(self._scorer.card.task): self._scorer.score(rows)})


def answer_column(task: str) -> str:
    """Return the name of the column that a model of this task answers with."""
    return "probability" if task == "classification" else "estimate"


def _load_pyfunc(path: str) -> PyfuncModel:  # the name is MLflow's
    from headrace.models import ModelCard
    from operators.scoring import load_scorer

    folder = Path(path)
    card = ModelCard.from_json(json.loads((folder / "model.json").read_text(encoding="utf-8")))
    return PyfuncModel(load_scorer(card, lambda name: (folder / name).read_bytes()))
