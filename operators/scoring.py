"""This module scores rows with a fitted model; training, evaluation and serving all use it.

A `Scorer` is a card and one function from the encoded matrix to scores, on numpy arrays: no frame
is built on the way. A torch model is scored without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.artifacts import Model
from headrace.clock import SystemClock
from headrace.errors import DefinitionError, did_you_mean
from headrace.models import ModelCard
from operators._encoding import Matrix, Rows, Vector, encode
from operators._mlp import read_mlp
from operators._skops_bytes import read_estimator

MODEL_FILE = {"xgboost": "model.ubj", "sklearn": "model.skops", "torch": "weights.npz"}
# Read by `operators._labeler_file`, which a lane does not import.
_LABELER = "labeler"
# Below this numpy multiplies on the calling thread anyway, and setting a limit costs 15 µs; 100
# rows on more threads took up to 16 ms on a busy machine.
_SOME_ROWS = 16
_WARM_UP = 20
_MOST_CALLS = 500
_MOST_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorer:
    """This is a model that is ready to answer.

    Args:
        card: The model's card.
        runtime: The library that scores, as "name version".
        scores: From the matrix of `encode` to one score a row: the probability of the last class,
            or the estimate. Safe to call from several threads.
    """

    card: ModelCard
    runtime: str
    scores: Callable[[Matrix], Vector]

    def score(self, rows: Rows) -> Vector:
        """Return one score a row; see `encode` for what rows may be.

        Raises:
            DataError: A feature is missing or of the wrong type.
        """
        return self.scores(encode(rows, self.card))


def load(model: Model, *, threads: int = 1) -> Scorer:
    """Return a scorer for a model in memory or in the store.

    Args:
        model: The model.
        threads: Most threads for one call, where the runtime can use several.

    Raises:
        DefinitionError: The model's flavor is not known here.
    """
    return load_scorer(model.card, model.read, threads=threads)


def load_scorer(card: ModelCard, read: Callable[[str], bytes], *, threads: int = 1) -> Scorer:
    """Return a scorer from a card and a function that reads the model's files by name.

    Raises:
        DefinitionError: The model's flavor is not known here.
    """
    require_one_score(card)
    content = read(MODEL_FILE[card.flavor])
    if card.flavor == "xgboost":
        return _xgboost_scorer(card, content, threads)
    if card.flavor == "sklearn":
        return _sklearn_scorer(card, content, threads)
    scores = _limited(read_mlp(content, card), threads, from_rows=_SOME_ROWS)
    return Scorer(card=card, runtime=f"numpy {np.__version__}", scores=scores)


def require_one_score(card: ModelCard) -> None:
    """Refuse a model that does not answer with one score a row, as lanes and evaluations need.

    Raises:
        DefinitionError: It is a labeler, or its flavor is not known here.
    """
    if card.flavor == _LABELER:
        raise DefinitionError(
            f"The model is a labeler of {_what(card)}. Endpoints, `score`, `select` and `evaluate` "
            "take models that answer with one score.",
            remedy="Ask it with `class_probabilities` or `label_by_model`; for an endpoint, train "
            "a model of two classes, such as with `train_sklearn`.",
        )
    if card.flavor not in MODEL_FILE:
        raise DefinitionError(
            f"There is no scoring runtime for flavor '{card.flavor}'."
            f"{did_you_mean(card.flavor, MODEL_FILE)}",
            remedy="Train the model with one of the bundled trainers.",
        )


def _what(card: ModelCard) -> str:
    if card.task == "estimation":
        return "numbers, which are to be looked at by people"
    what = "choices" if card.task == "tagging" else "classes"
    return f"{len(card.classes)} {what}, and answers with a probability for each"


def size_of(model: Model) -> int:
    """Return the bytes of the model's own file, without the card."""
    from operators._labeler_file import LABELER_FILE

    return len(model.read({**MODEL_FILE, _LABELER: LABELER_FILE}[model.card.flavor]))


def measure(model: Model, *, threads: int = 1) -> dict[str, Any]:
    """Return the size of a model and how long one row takes in the scoring runtime.

    It differs from run to run, so it is for notes and pages, never for a digest.

    Returns:
        bytes: Size of the model's file.
        p50_ms, p99_ms: Milliseconds from the encoded row to its score, over up to 500 calls.
        runtime: The library that scored.
    """
    ask, runtime = _one_row(model, threads)
    tick = SystemClock().monotonic
    for _ in range(_WARM_UP):
        ask()
    seconds: list[float] = []
    end = tick() + _MOST_SECONDS
    while len(seconds) < _MOST_CALLS and (tick() < end or len(seconds) < _WARM_UP):
        before = tick()
        ask()
        seconds.append(tick() - before)
    p50, p99 = np.quantile(seconds, [0.5, 0.99]) * 1000
    return {
        "bytes": size_of(model),
        "p50_ms": round(float(p50), 4),
        "p99_ms": round(float(p99), 4),
        "runtime": runtime,
    }


def _one_row(model: Model, threads: int) -> tuple[Callable[[], object], str]:
    """Return what asks a model for its first example row, and what answers."""
    card = model.card
    first = {name: list(values)[:1] for name, values in card.example.items()}
    if card.flavor == _LABELER:
        from operators._labeler_file import load_labeler

        labeler = load_labeler(model)
        sklearn = f"scikit-learn {card.packages.get('scikit-learn', '')}"
        return lambda: labeler.answers(first), sklearn
    scorer = load(model, threads=threads)
    row = encode(first, card)
    return lambda: scorer.scores(row), scorer.runtime


def _xgboost_scorer(card: ModelCard, content: bytes, threads: int) -> Scorer:
    import xgboost

    booster = xgboost.Booster({"nthread": threads})
    booster.load_model(bytearray(content))

    def scores(matrix: Matrix) -> Vector:
        answer = booster.inplace_predict(matrix, validate_features=False)
        return np.asarray(answer, dtype=np.float64)

    return Scorer(card=card, runtime=f"xgboost {xgboost.__version__}", scores=scores)


def _sklearn_scorer(card: ModelCard, content: bytes, threads: int) -> Scorer:
    import sklearn

    estimator, prepared = read_estimator(content), _preparation(card)
    predict = estimator.predict if card.task == "estimation" else estimator.predict_proba

    def scores(matrix: Matrix) -> Vector:
        answer = np.asarray(predict(prepared(matrix)))
        return (answer if answer.ndim == 1 else answer[:, 1]).astype(np.float64)

    limited = _limited(scores, threads, from_rows=0)
    return Scorer(card=card, runtime=f"scikit-learn {sklearn.__version__}", scores=limited)


def _preparation(card: ModelCard) -> Callable[[Matrix], Any]:
    """Return what makes of encoded rows what an estimator was fitted on."""
    from operators._decoding import decoded
    from operators._dense import one_hot

    if card.extra.get("takes") == "frame":
        return lambda matrix: decoded(matrix, card)
    constants = card.extra.get("dense")
    return lambda matrix: matrix if constants is None else one_hot(matrix, constants)


def _limited(
    scores: Callable[[Matrix], Vector], threads: int, *, from_rows: int
) -> Callable[[Matrix], Vector]:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    controller = ThreadpoolController()

    def limited(matrix: Matrix) -> Vector:
        if len(matrix) < from_rows:
            return scores(matrix)
        with controller.limit(limits=threads):
            return scores(matrix)

    return limited
