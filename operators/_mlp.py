"""This module holds the multilayer perceptron outside of torch: its bytes, and scoring in numpy."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.models import ModelCard
from operators._dense import Codes, dense_parts
from operators._encoding import Matrix, Vector

Arrays: TypeAlias = Mapping[str, npt.NDArray[np.float32]]

# Zip archives hold the time of writing; a fixed one keeps equal weights equal bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_arrays(arrays: Arrays) -> bytes:
    """Return arrays as an npz file whose bytes depend on names and values only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            content = io.BytesIO()
            np.lib.format.write_array(
                content, np.ascontiguousarray(arrays[name]), allow_pickle=False
            )
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return buffer.getvalue()


def read_mlp(content: bytes, card: ModelCard) -> Callable[[Matrix], Vector]:
    """Return the function from the encoded matrix to scores.

    Args:
        content: From `write_arrays`.
        card: Its `extra` holds the constants of `fit_dense` and the target's mean and scale.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    constants: Mapping[str, Any] = card.extra["dense"]
    mean, scale = (float(v) for v in card.extra["target"])

    def scores(matrix: Matrix) -> Vector:
        output = forward(arrays, *dense_parts(matrix, constants)).astype(np.float64)
        if card.task == "estimation":
            return output * scale + mean
        return sigmoid(output)

    return scores


def forward(arrays: Arrays, numbers: Matrix, codes: Codes) -> Matrix:
    """Return the network's last layer, one number a row: a log-odds or a scaled estimate.

    Args:
        arrays: embedding_0 … `(n_codes, width)`, weight_0 … `(inputs, outputs)`, bias_0 ….
        numbers: `(n_rows, n_numbers)`.
        codes: `(n_rows, n_categories)`.
    """
    embedded = [arrays[f"embedding_{i}"][codes[:, i]] for i in range(codes.shape[1])]
    layer = np.concatenate([numbers, *embedded], axis=1)
    depth = sum(name.startswith("weight_") for name in arrays)
    for i in range(depth):
        layer = layer @ arrays[f"weight_{i}"] + arrays[f"bias_{i}"]
        if i < depth - 1:
            layer = np.maximum(layer, 0)
    return layer[:, 0]


def sigmoid(log_odds: Vector) -> Vector:
    """Return the probability of log-odds, without overflow."""
    half: Vector = 0.5 * (1.0 + np.tanh(0.5 * log_odds))
    return half
