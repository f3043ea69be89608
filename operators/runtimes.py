"""This module chooses what a model is scored with, by measurement and after proof of equality.

The candidates are the model's own library, whose answers are the model's by definition, and ONNX
Runtime, which answers one row an order of magnitude sooner and needs no training library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Literal, TypeAlias

import numpy as np

from headrace.artifacts import Model
from headrace.clock import SystemClock
from headrace.errors import DataError
from headrace.models import ModelCard
from operators._encoding import Matrix, Vector
from operators._onnx import ONNX_FILE, onnx_scores, to_onnx, trees_of
from operators._parity import TOLERANCE, Parity, answers_of, compared
from operators._probes import probe_rows
from operators.scoring import Scorer, load_scorer

Runtime: TypeAlias = Literal["library", "onnxruntime"]
Scores: TypeAlias = Callable[[Matrix], Vector]

RUNTIMES: tuple[Runtime, ...] = ("library", "onnxruntime")
SIZES = (1, 16, 100, 1000)
# A lane mostly answers one request at a time, and under load the few that arrive together.
_SMALL = {1: 2 / 3, 16: 1 / 3}
_LARGE = {100: 1 / 2, 1000: 1 / 2}
# Measured times differ by a tenth by chance; the model's own library wins what is no clear gain.
_CLEARLY = 0.9
_PROBES = 2_000
_TURNS = 100
_FEWEST_TURNS = 3
# The first call of a turn finds the caches full of the other's model; a lane has one model.
_CALLS_A_TURN = 5
_SECONDS_A_SIZE = 0.1
_PACKAGES = {
    "xgboost": ("xgboost", "numpy"),
    "sklearn": ("scikit-learn", "skops", "numpy"),
    "torch": ("numpy",),
}


@dataclass(frozen=True, kw_only=True)
class RuntimeChoice:
    """This says which runtime answers how many rows, and what was measured to say so.

    Args:
        small: The runtime for single rows and small batches: "library" is the model's own,
            "onnxruntime" reads `model.onnx`.
        large: The runtime for batches from `switch_at` rows on.
        switch_at: Rows from which `large` is faster; None when both are one.
        parity: Runtime to how near its answers are to the trained model's.
        timings: Runtime to number of rows to microseconds a call, the median.
        refused: Runtime to why it may not answer.
        packages: Versions of what was measured; another version is another measurement.
        tolerance: The largest difference that passes; see `choose_runtime`.
    """

    small: Runtime
    large: Runtime
    switch_at: int | None = None
    parity: Mapping[Runtime, Parity] = field(default_factory=dict)
    timings: Mapping[Runtime, Mapping[int, float]] = field(default_factory=dict)
    refused: Mapping[Runtime, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    tolerance: float = TOLERANCE

    def to_json(self) -> dict[str, Any]:
        """Return the choice as JSON-like data, with text for keys."""
        timings = {
            name: {str(rows): value for rows, value in measured.items()}
            for name, measured in self.timings.items()
        }
        return asdict(self) | {"timings": timings}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RuntimeChoice:
        """Rebuild a choice from `to_json`."""
        timings = {
            name: {int(rows): value for rows, value in measured.items()}
            for name, measured in data["timings"].items()
        }
        parity = {name: Parity(**found) for name, found in data["parity"].items()}
        return cls(**{**data, "timings": timings, "parity": parity})


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
    timings = _measured(candidates, probes)
    small, large = _fastest(timings, _SMALL), _fastest(timings, _LARGE)
    return RuntimeChoice(
        small=small,
        large=large,
        switch_at=None if small == large else _crossing(timings[small], timings[large]),
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


def _measured(
    candidates: Mapping[Runtime, Scores], probes: Matrix
) -> dict[Runtime, dict[int, float]]:
    """Return the median microseconds of a call, taking turns so that all meet the same machine."""
    tick = SystemClock().monotonic
    found: dict[Runtime, dict[int, float]] = {name: {} for name in candidates}
    for rows in SIZES:
        batch = np.resize(probes, (rows, probes.shape[1]))
        seconds: dict[Runtime, list[float]] = {name: [] for name in candidates}
        end = tick() + _SECONDS_A_SIZE
        for turn in range(_TURNS):
            if turn >= _FEWEST_TURNS and tick() > end:
                break
            for name, scores in candidates.items():
                for _ in range(_CALLS_A_TURN):
                    before = tick()
                    scores(batch)
                    seconds[name].append(tick() - before)
        for name, measured in seconds.items():
            found[name][rows] = round(float(np.median(measured)) * 1e6, 1)
    return found


def _fastest(
    timings: Mapping[Runtime, Mapping[int, float]], weights: Mapping[int, float]
) -> Runtime:
    library = timings["library"]
    shares: dict[Runtime, float] = {
        name: sum(weight * measured[rows] / library[rows] for rows, weight in weights.items())
        for name, measured in timings.items()
    }
    best = min(shares, key=lambda name: shares[name])
    return best if shares[best] <= _CLEARLY else "library"


def _crossing(small: Mapping[int, float], large: Mapping[int, float]) -> int:
    """Return the rows from which `large` is faster: times are nearly straight lines between."""
    lead = {rows: small[rows] - large[rows] for rows in SIZES}
    later = next((rows for rows in SIZES[1:] if lead[rows] > 0), SIZES[-1])
    earlier = SIZES[SIZES.index(later) - 1]
    if lead[later] <= 0 or lead[earlier] >= 0:
        return later
    share = -lead[earlier] / (lead[later] - lead[earlier])
    return math.ceil(earlier + share * (later - earlier))
