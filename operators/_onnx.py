"""This module turns models of the bundled trainers into ONNX, when they are registered."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from headrace.models import ModelCard
from operators._trees import Trees
from operators.scoring import MODEL_FILE

# What ONNX Runtime 1.17 reads; newer versions of the formats bring nothing that is used here.
_OPSET = 17
_TREES_OPSET = 3
_IR = 9


def to_onnx(card: ModelCard, read: Callable[[str], bytes]) -> bytes | None:
    """Return a model in ONNX, or None where no exact conversion is known.

    Its input is "rows" `(n, features)`, its output "score" `(n, 1)`, both float32. The conversion
    is ours, because the general ones take thresholds to the nearest 32-bit number, know no sets of
    categories, or leave our filling and scaling out. That it is right is for the caller to measure.

    Args:
        card: The model's card.
        read: Returns the content of one of the model's files.

    Returns:
        The bytes, the same for the same model; None where the model has a form that is not known
        here, so that only its own library can answer.
    """
    content = read(MODEL_FILE[card.flavor])
    if card.flavor == "torch":
        return _network(card, content)
    if card.flavor == "sklearn" and "dense" in card.extra:
        return _linear(card, content)
    trees = trees_of(card, read)
    if trees is None:
        return None
    from operators._onnx_trees import trees_graph

    return _written(card, *trees_graph(trees))


def trees_of(card: ModelCard, read: Callable[[str], bytes]) -> Trees | None:
    """Return a model's trees; None for a model without, or of a form that is not known here."""
    if card.flavor == "xgboost":
        from operators._xgboost_trees import xgboost_trees

        return xgboost_trees(card, read(MODEL_FILE[card.flavor]))
    if card.flavor == "sklearn" and not {"dense", "takes"} & card.extra.keys():
        from operators._sklearn_trees import sklearn_trees

        return sklearn_trees(card, read(MODEL_FILE[card.flavor]))
    return None


def _network(card: ModelCard, content: bytes) -> bytes:
    from operators._onnx_dense import network_graph

    with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    graph = network_graph(
        card.extra["dense"],
        arrays,
        card.extra["target"],
        sigmoid=card.task == "classification",
    )
    return _written(card, *graph)


def _linear(card: ModelCard, content: bytes) -> bytes:
    from operators._onnx_dense import linear_graph
    from operators._skops_bytes import read_estimator

    linear = read_estimator(content)
    graph = linear_graph(
        card.extra["dense"],
        np.ravel(linear.coef_).astype(np.float64),
        float(np.ravel(linear.intercept_)[0]),
        sigmoid=card.task == "classification",
    )
    return _written(card, *graph)


def _written(card: ModelCard, nodes: list[Any], constants: list[Any]) -> bytes:
    from onnx import TensorProto, helper

    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", len(card.features)])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 1])
    model = helper.make_model(
        helper.make_graph(nodes, "model", [rows], [score], initializer=constants),
        producer_name="headrace",
        ir_version=_IR,
        opset_imports=[
            helper.make_opsetid("", _OPSET),
            helper.make_opsetid("ai.onnx.ml", _TREES_OPSET),
        ],
    )
    content: bytes = model.SerializeToString(deterministic=True)
    return content
