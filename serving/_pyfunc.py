"""This module is what `mlflow.pyfunc.load_model` calls for a model of ours: our own scoring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from headrace.models import ModelCard
    from operators._labeler_file import AnyLabeler
    from operators.scoring import Scorer


LABELER = "labeler"


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


class PyfuncLabeler:
    """This answers as a labeler does: how probable each class or choice is, or an estimate.

    Args:
        labeler: The model, ready to answer.
    """

    def __init__(self, labeler: AnyLabeler) -> None:
        self._labeler = labeler

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return how probable each class or choice is for each row, or its estimate.

        Args:
            rows: Feature values by column; NaN and None are null.
            params: None; MLflow passes it.

        Returns:
            A column for each class, of that name, and each row sums to 1; or for each of several
            choices, which do not; or the column `estimate`.
        """
        import pandas as pd

        found = self._labeler.answers(rows)
        return pd.DataFrame(found, columns=list(self._labeler.columns))


def answer_columns(card: ModelCard) -> list[str]:
    """Return the names of the columns that a model answers with."""
    many = card.flavor == LABELER and card.classes
    return list(card.classes) if many else [answer_column(card.task)]


def answer_column(task: str) -> str:
    """Return the name of the column that a model of this task answers with."""
    return "probability" if task == "classification" else "estimate"


def _load_pyfunc(path: str) -> PyfuncModel | PyfuncLabeler:  # the name is MLflow's
    from headrace.models import ModelCard
    from operators._labeler_file import read_labeler
    from operators.scoring import load_scorer

    folder = Path(path)
    card = ModelCard.from_json(json.loads((folder / "model.json").read_text(encoding="utf-8")))
    if card.flavor == LABELER:
        return PyfuncLabeler(read_labeler(card, lambda name: (folder / name).read_bytes()))
    return PyfuncModel(load_scorer(card, lambda name: (folder / name).read_bytes()))
