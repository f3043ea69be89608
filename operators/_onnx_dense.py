"""This module writes linear models and the network as ONNX graphs, filling and scaling included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from operators._dense import _MOST_DEVIATIONS
from operators._mlp import Arrays
from operators._onnx_graph import Graph


def linear_graph(
    constants: Mapping[str, Any],
    coefficients: npt.NDArray[np.float64],
    intercept: float,
    *,
    sigmoid: bool,
) -> tuple[list[Any], list[Any]]:
    """Return the ONNX nodes and constants of a linear model on the columns of `one_hot`.

    Args:
        constants: From `fit_dense`.
        coefficients: One a column of `one_hot`.
        intercept: What is added.
        sigmoid: The sum is a log-odds; else it is the answer.
    """
    graph = Graph()
    numbers = _numbers(graph, constants)
    width = len(constants["numeric"]) + len(constants["flagged"])
    terms = [graph.constant([[intercept]])]
    if numbers:
        terms.append(graph.add("MatMul", numbers, graph.constant(coefficients[:width, None])))
    if constants["category"]:
        codes, first = _codes(graph, constants), np.cumsum([0, *constants["sizes"]])
        # each feature has one code more than categories: the one for "not known"
        starts = first[:-1] + np.arange(len(constants["sizes"]))
        places = graph.add("Add", codes, graph.constant(starts, np.int64))
        chosen = graph.add("Gather", graph.constant(coefficients[width:]), places)
        axis = graph.constant([1], np.int64)
        terms.append(graph.add("ReduceSum", chosen, axis, keepdims=1))
    _finish(graph, _summed(graph, terms), sigmoid=sigmoid)
    return graph.nodes, graph.constants


def network_graph(
    constants: Mapping[str, Any], arrays: Arrays, target: Sequence[float], *, sigmoid: bool
) -> tuple[list[Any], list[Any]]:
    """Return the ONNX nodes and constants of the network that `_mlp.forward` computes.

    Args:
        constants: From `fit_dense`.
        arrays: Embeddings, weights and biases.
        target: The mean and scale of an estimate.
        sigmoid: The last layer is a log-odds; else it is a scaled estimate.
    """
    graph = Graph()
    numbers = _numbers(graph, constants)
    parts = [numbers] if numbers else []
    if constants["category"]:
        codes = _codes(graph, constants)
        for position in range(len(constants["category"])):
            code = graph.add("Gather", codes, graph.constant(position, np.int64), axis=1)
            table = graph.constant(arrays[f"embedding_{position}"])
            parts.append(graph.add("Gather", table, code))
    layer = graph.add("Concat", *parts, axis=1)
    depth = sum(name.startswith("weight_") for name in arrays)
    for i in range(depth):
        weight, bias = graph.constant(arrays[f"weight_{i}"]), graph.constant(arrays[f"bias_{i}"])
        layer = graph.add("Gemm", layer, weight, bias)
        if i < depth - 1:
            layer = graph.add("Relu", layer)
    if not sigmoid:
        scaled = graph.add("Mul", layer, graph.constant([[target[1]]]))
        layer = graph.add("Add", scaled, graph.constant([[target[0]]]))
    _finish(graph, layer, sigmoid=sigmoid)
    return graph.nodes, graph.constants


def _numbers(graph: Graph, constants: Mapping[str, Any]) -> str:
    """Add what `dense_parts` does to numbers and flags; empty when there are none."""
    from onnx import TensorProto

    if not constants["numeric"]:
        return ""
    numbers = graph.picked(constants["numeric"])
    filled = graph.add(
        "Where", graph.add("IsNaN", numbers), graph.constant([constants["fill"]]), numbers
    )
    centred = graph.add("Sub", filled, graph.constant([constants["mean"]]))
    scaled = graph.add("Div", centred, graph.constant([constants["scale"]]))
    most = _MOST_DEVIATIONS
    clipped = graph.add("Clip", scaled, graph.constant(-most), graph.constant(most))
    if not constants["flagged"]:
        return clipped
    missing = graph.add("IsNaN", graph.picked(constants["flagged"]))
    flags = graph.add("Cast", missing, to=TensorProto.FLOAT)
    return graph.add("Concat", clipped, flags, axis=1)


def _codes(graph: Graph, constants: Mapping[str, Any]) -> str:
    """Add what `dense_parts` does to categories: the code after the last means "not known"."""
    from onnx import TensorProto

    codes = graph.picked(constants["category"])
    sizes = graph.constant([constants["sizes"]])
    known = graph.add("Where", graph.add("IsNaN", codes), sizes, codes)
    return graph.add("Cast", known, to=TensorProto.INT64)


def _summed(graph: Graph, terms: Sequence[str]) -> str:
    total = terms[-1]
    for term in terms[:-1]:
        total = graph.add("Add", total, term)
    return total


def _finish(graph: Graph, source: str, *, sigmoid: bool) -> None:
    graph.add("Sigmoid" if sigmoid else "Identity", source, output="score")
