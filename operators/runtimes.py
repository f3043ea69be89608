"""This module chooses what a model is scored with, by measurement and after proof of equality.

The candidates are the model's own library, whose answers are the model's by definition, and ONNX
Runtime, which answers one row an order of magnitude sooner and needs no training library.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from headrace.artifacts import Model
from headrace.errors import DataError
from headrace.models import ModelCard
from operators._encoding import Matrix, Vector
from operators._onnx import to_onnx, trees_of
from operators._onnx_session import ONNX_FILE, onnx_scores
from operators._parity import Parity, answers_of, compared
from operators._probes import probe_rows
from operators._runtime_choice import Runtime, RuntimeChoice
from operators._timing import LARGE, SMALL, Scores, crossing, fastest, measured_times
from operators.scoring import Scorer, load_scorer

__all__ = ["RuntimeChoice", "choose_runtime", "load_runtime", "packages_of", "probes_of"]

_PROBES = 2_000
_PACKAGES = {
    "xgboost": ("xgboost", "numpy"),
    "sklearn": ("scikit-learn", "skops", "numpy"),
    "torch": ("numpy",),
}


def choose_runtime(
    model: Model, *, probes: Matrix | None = None, threads: int = 1, onnx: bytes | None = None
) -> RuntimeChoice:
    """Return which runtime to score a model with: proved equal, then the fastest.

    Every candidate must answer as the trained model does in `load_scorer`, on rows that include the
    card's examples, nulls, unknown categories, and values at and right beside each split: within
    1e-5 for a probability, within that share of itself for an estimate (or of the answers'
    deviation, near zero). Those that do are timed in turn on 1, 16, 100 and 1,000 rows.

    Args:
        model: The model.
        probes: Encoded rows to compare on, at least 1,000; None makes them from the card.
        threads: Most threads for one call.
        onnx: The model in ONNX, with input "rows" and output "score"; None converts it.

    Returns:
        `small` is the faster on 1 row (counted twice) and 16; `large` the faster on 100 and 1,000.
        The model's own library is taken unless the other needs at most nine tenths of its time.

    Raises:
        DataError: The model itself answers NaN or infinity.
    """
    card = model.card
    if probes is None:
        probes = probes_of(card, model.read)
    library = load_scorer(card, model.read, threads=threads).scores
    expected = answers_of(card, library, probes)
    candidates: dict[Runtime, Scores] = {"library": library}
    parity: dict[Runtime, Parity] = {
        "library": Parity(max_abs_diff=0.0, rows=len(probes), passed=True)
    }
    refused: dict[Runtime, str] = {}
    content = to_onnx(card, model.read) if onnx is None else onnx
    other, why = _opened(content, threads)
    if other is not None:
        found, why = _judged(card, other, probes, expected)
        if found is not None:
            parity["onnxruntime"] = found
        if why is None:
            candidates["onnxruntime"] = other
    if why is not None:
        refused["onnxruntime"] = why
    timings = measured_times(candidates, probes)
    small, large = fastest(timings, SMALL), fastest(timings, LARGE)
    return RuntimeChoice(
        small=small,
        large=large,
        switch_at=None if small == large else crossing(timings[small], timings[large]),
        parity=parity,
        timings=timings,
        refused=refused,
        packages=packages_of(card),
    )


def load_runtime(
    card: ModelCard,
    read: Callable[[str], bytes],
    choice: RuntimeChoice,
    *,
    threads: int = 1,
    large: bool = False,
) -> Scorer:
    """Return a scorer that answers with the chosen runtime; nothing else is imported.

    Args:
        card: The model's card.
        read: Returns the content of one of the model's files, `model.onnx` among them where
            the choice names ONNX Runtime.
        choice: From `choose_runtime`.
        threads: Most threads for one call.
        large: Load the runtime for large batches too, and use it from `switch_at` rows on; a lane
            that answers single requests does without, and without the memory that it takes.

    Raises:
        DataError: ONNX Runtime cannot read `model.onnx`.
    """
    small = _loaded(card, read, choice.small, threads)
    if not large or choice.switch_at is None:
        return small
    other, switch_at = _loaded(card, read, choice.large, threads), choice.switch_at

    def scores(matrix: Matrix) -> Vector:
        return (small if len(matrix) < switch_at else other).scores(matrix)

    named = f"{small.runtime}, from {switch_at:,} rows {other.runtime}"
    return Scorer(card=card, runtime=named, scores=scores)


def probes_of(card: ModelCard, read: Callable[[str], bytes]) -> Matrix:
    """Return the rows that a model's runtimes are compared on, the same for the same model."""
    trees = trees_of(card, read)
    thresholds = None if trees is None else trees.thresholds()
    return probe_rows(card, _PROBES, seed=0, thresholds=thresholds)


def packages_of(card: ModelCard) -> dict[str, str]:
    """Return the installed versions of what may score a model."""
    return {name: version(name) for name in (*_PACKAGES[card.flavor], "onnxruntime")}


def _loaded(
    card: ModelCard, read: Callable[[str], bytes], runtime: Runtime, threads: int
) -> Scorer:
    if runtime == "library":
        return load_scorer(card, read, threads=threads)
    scores = onnx_scores(read(ONNX_FILE), threads=threads)
    return Scorer(card=card, runtime=f"onnxruntime {version('onnxruntime')}", scores=scores)


def _opened(content: bytes | None, threads: int) -> tuple[Scores | None, str | None]:
    if content is None:
        return None, "No exact conversion to ONNX is known for this form of model."
    try:
        return onnx_scores(content, threads=threads), None
    except DataError as error:
        return None, error.problem


def _judged(
    card: ModelCard, scores: Scores, probes: Matrix, expected: Vector
) -> tuple[Parity | None, str | None]:
    try:
        found = scores(probes)
    except Exception as error:  # ONNX Runtime's exceptions share no public base
        return None, f"It cannot answer the probe rows: {error}"
    return compared(card, probes, expected, found)
