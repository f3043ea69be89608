"""This module says what a model's score is made of: a contribution of each feature, that add up.

Which way depends on the model. Boosted trees of xgboost: exactly, by TreeSHAP. Linear models:
exactly, from their coefficients. Everything else: by asking it, which adds up exactly too but is an
estimate in its parts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import DataError
from headrace.models import ModelCard
from operators._bundle_files import read_manifest, verified
from operators._contributions import Contributions, Explain, Space
from operators._contributions_linear import linear_contributions
from operators._contributions_sampled import sampled_contributions
from operators._encoding import Matrix, encode
from operators.bundle import CARD_FILE, load_bundle
from operators.encoder import compile_encoder
from operators.scoring import MODEL_FILE

__all__ = ["Contributions", "load_contributions"]

# objectives of xgboost whose margin is known to be log-odds, or the answer itself
_LOG_ODDS = ("binary:logistic", "reg:logistic")
_PLAIN = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror")


def load_contributions(
    folder: Path, *, seed: int = 0
) -> Callable[[Sequence[Sequence[Any]]], list[Contributions]]:
    """Return what explains the scores of a bundle's model; it loads the model's own library.

    Args:
        folder: The bundle, every file of which is checked first.
        seed: Of what is sampled; the same rows and seed give the same contributions.

    Returns:
        From raw rows, in the order of the card, to the contributions of each. They are parts of
        log-odds for a classification by trees or a linear model, of the probability for any other,
        and of the estimate for an estimation. The base is the mean over the training rows for
        TreeSHAP, else over the card's example rows. Safe to call from several threads.

    Raises:
        DamagedArtifactError: A file of the bundle is gone, or not what was written.
        DataError: The card has no example rows, where the model is compared with them.
    """
    files = read_manifest(folder).files
    card = ModelCard.from_json(json.loads(verified(folder, CARD_FILE, files[CARD_FILE])))
    content = verified(folder, MODEL_FILE[card.flavor], files[MODEL_FILE[card.flavor]])
    explain: Explain | None = None
    if card.flavor == "xgboost":
        explain = _tree_contributions(card, content)
    elif card.flavor == "sklearn":
        explain = linear_contributions(card, content, _reference(card))
    if explain is None:
        space: Space = "probability" if card.task == "classification" else "estimate"
        scores = load_bundle(folder).scores
        explain = sampled_contributions(scores, _reference(card), space, seed=seed)
    encoded, explained = compile_encoder(card), explain
    return lambda rows: explained(encoded(rows))


def _tree_contributions(card: ModelCard, content: bytes) -> Explain | None:
    """Return exact TreeSHAP (Lundberg et al. 2020); None where the margin is of another kind."""
    import xgboost

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(content))
    learner = json.loads(booster.save_config())["learner"]
    objective, kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
    if kind != "gbtree" or objective not in (*_LOG_ODDS, *_PLAIN):
        return None
    space: Space = "log_odds" if objective in _LOG_ODDS else "estimate"
    kinds = ["c" if f.categories is not None else "float" for f in card.features]

    def explain(matrix: Matrix) -> list[Contributions]:
        rows = xgboost.DMatrix(
            matrix, missing=np.nan, feature_types=kinds, enable_categorical=True, nthread=1
        )
        parts = booster.predict(rows, pred_contribs=True, validate_features=False)
        return [
            Contributions(
                method="tree_shap",
                space=space,
                base=float(row[-1]),
                values=row[:-1].astype(np.float64),
            )
            for row in parts
        ]

    return explain


def _reference(card: ModelCard) -> Matrix:
    """Return the rows that answers are compared with."""
    rows = encode(card.example, card) if card.example else np.empty((0, 0), dtype=np.float32)
    if not len(rows):
        raise DataError(
            f"The card of the {card.flavor} model has no example rows, which its answers would be "
            "compared with to explain them.",
            remedy="Train the model again, or bring it in with `example=`.",
        )
    return rows
