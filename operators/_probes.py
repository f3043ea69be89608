"""This module makes rows that show whether two runtimes answer alike, from what a model says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.models import ModelCard, ModelFeature
from operators._encoding import Matrix, encode
from operators._trees import Floats

_NULLS = 0.1
_CHANGED = 0.3
_EXTREMES = (0.0, -1.0, 1.0, -1e6, 1e6)


def probe_rows(
    card: ModelCard, rows: int, seed: int, *, thresholds: Mapping[int, Floats] | None = None
) -> Matrix:
    """Return encoded rows on which a wrong conversion shows.

    First the card's examples as they are, and a row of nulls; then, in turn, an example with a few
    values changed, and a row of which every value is drawn by itself. A number is drawn around the
    examples and the training mean, at a split threshold or right beside it, or is extreme; a
    category is any known one; one value in ten is null, which is what an unknown category becomes.

    Args:
        card: The model's card.
        rows: How many, at least as many as the card has examples, and one.
        seed: The same seed gives the same rows.
        thresholds: Where the model splits a feature, by its position.

    Returns:
        The matrix of `encode`, `(rows, n_features)`.
    """
    draw = np.random.default_rng(seed)
    known = encode(card.example, card) if card.example else np.empty((0, len(card.features)))
    start = np.concatenate([known, np.full((1, len(card.features)), np.nan)])
    drawn = np.stack(
        [
            _drawn(
                draw,
                rows,
                feature,
                examples=known[:, i],
                spread=_spread(card, i),
                thresholds=(thresholds or {}).get(i),
            )
            for i, feature in enumerate(card.features)
        ],
        axis=1,
    )
    drawn[draw.random(drawn.shape) < _NULLS] = np.nan
    near = start[draw.integers(0, len(start), rows)]
    kept = (np.arange(rows)[:, None] % 2 == 0) & (draw.random(drawn.shape) >= _CHANGED)
    return np.concatenate([start, np.where(kept, near, drawn)])[:rows].astype(np.float32)


def described_row(card: ModelCard, row: npt.NDArray[Any]) -> str:
    """Return an encoded row as text, for messages: every feature with its value."""
    return ", ".join(
        f"{feature.name}={_shown(feature, value)}"
        for feature, value in zip(card.features, row.tolist(), strict=True)
    )


def _shown(feature: ModelFeature, value: float) -> str:
    if np.isnan(value):
        return "null"
    return f"'{feature.categories[int(value)]}'" if feature.categories else f"{value:.9g}"


def _spread(card: ModelCard, position: int) -> tuple[float, float] | None:
    """Return the mean and deviation in training, where the card holds them."""
    dense = card.extra.get("dense")
    if dense is None or position not in dense["numeric"]:
        return None
    at = dense["numeric"].index(position)
    return dense["mean"][at], dense["scale"][at]


def _drawn(
    draw: np.random.Generator,
    rows: int,
    feature: ModelFeature,
    *,
    examples: npt.NDArray[Any],
    spread: tuple[float, float] | None,
    thresholds: Floats | None,
) -> npt.NDArray[Any]:
    if feature.categories is not None:
        return draw.integers(0, max(len(feature.categories), 1), rows).astype(np.float64)
    if feature.dtype == "bool":
        return draw.integers(0, 2, rows).astype(np.float64)
    pool = examples[~np.isnan(examples)] if len(examples) else np.zeros(1)
    around = draw.choice(pool if len(pool) else np.zeros(1), rows) * draw.uniform(0, 2, rows)
    if spread is not None:
        around = np.where(draw.random(rows) < 0.5, draw.normal(*spread, rows), around)
    if feature.dtype == "int":
        around = np.rint(around)
    around = np.where(draw.random(rows) < 0.05, draw.choice(_EXTREMES, rows), around)
    if thresholds is None or not len(thresholds):
        return around
    beside = [np.nextafter(thresholds, np.float32(to)) for to in (-np.inf, np.inf)]
    at = draw.choice(np.concatenate([thresholds, *beside]), rows)
    finite = np.isfinite(at)
    return np.where(finite & (draw.random(rows) < 0.6), at, around)
