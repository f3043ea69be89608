"""This module puts models into bundles that fail on some rows, or take their time."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from headrace.content import document_digest

_SIZE = 64


def failing(bundle: Path, to: Path, *, miles: float) -> Path:
    """Write a bundle that answers 0.25, and fails on flights that are longer than so many miles.

    Args:
        bundle: A bundle of the same features.
        to: Where the new one is to be.
        miles: Beyond which it looks for a second answer, of which there is none.
    """
    from onnx import TensorProto, helper

    features = [
        each["name"] for each in json.loads((bundle / "card.json").read_bytes())["features"]
    ]
    nodes = [
        helper.make_node("Gather", ["rows", "place"], ["miles"], axis=1),
        helper.make_node("Greater", ["miles", "limit"], ["is far"]),
        helper.make_node("Cast", ["is far"], ["which"], to=TensorProto.INT64),
        helper.make_node("Gather", ["one answer", "which"], ["score"], axis=0),
    ]
    constants = {
        "place": np.array([features.index("distance")], np.int64),
        "limit": np.array([[miles]], np.float32),
        "one answer": np.array([0.25], np.float32),
    }
    return _written(bundle, to, nodes, constants, len(features))


def hanging(bundle: Path, to: Path, *, turns: int) -> Path:
    """Write a bundle that multiplies matrices, so many in a row, before it answers 0.25.

    Args:
        bundle: A bundle of the same features.
        to: Where the new one is to be.
        turns: How many; each takes some ten microseconds.
    """
    from onnx import TensorProto, helper, numpy_helper

    width = len(json.loads((bundle / "card.json").read_bytes())["features"])
    square = [_SIZE, _SIZE]
    turn = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "same"], ["after"]),
            helper.make_node("Identity", ["goes on"], ["goes on then"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, square),
        ],
        [
            helper.make_tensor_value_info("goes on then", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, square),
        ],
        [numpy_helper.from_array(np.eye(_SIZE, dtype=np.float32), "same")],
    )
    nodes = [
        helper.make_node("Loop", ["turns", "yes", "begin"], ["end"], body=turn),
        helper.make_node("Gather", ["end", "first"], ["line"], axis=0),
        helper.make_node("Gather", ["line", "first"], ["one"], axis=1),
        helper.make_node("Mul", ["one", "quarter"], ["answer"]),
        helper.make_node("Gather", ["rows", "first"], ["any"], axis=1),
        helper.make_node("IsNaN", ["any"], ["is null"]),
        helper.make_node("Cast", ["is null"], ["flag"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["flag", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "answer"], ["score"]),
    ]
    constants = {
        "turns": np.array(turns, np.int64),
        "yes": np.array(True),
        "begin": np.eye(_SIZE, dtype=np.float32),
        "first": np.array([0], np.int64),
        "quarter": np.array([[0.25]], np.float32),
        "nothing": np.array([[0.0]], np.float32),
    }
    return _written(bundle, to, nodes, constants, width)


def _written(
    bundle: Path, to: Path, nodes: list[Any], constants: dict[str, Any], width: int
) -> Path:
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "broken",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    content = model.SerializeToString()
    shutil.copytree(bundle, to)
    (to / "model.onnx").write_bytes(content)
    manifest = json.loads((to / "runtime.json").read_bytes())
    del manifest["checksum"]
    manifest["files"]["model.onnx"] = hashlib.sha256(content).hexdigest()
    manifest["choice"] |= {"small": "onnxruntime", "large": "onnxruntime", "switch_at": None}
    manifest["checksum"] = document_digest(manifest)
    (to / "runtime.json").write_text(json.dumps(manifest))
    return to
