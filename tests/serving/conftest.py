"""A real small model and its evaluation, a real MLflow server, and a model that fails."""

from __future__ import annotations

import hashlib
import json
import uuid
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
import pandas as pd
import pytest

from headrace import (
    Col,
    Evaluation,
    Schema,
    SelectedModel,
    TestSet,
    TrainSet,
    ValidationSet,
)
from headrace.content import document_digest
from operators.evaluate import evaluate
from operators.select import select
from operators.train_xgboost import train_xgboost

if TYPE_CHECKING:
    from headrace.settings import Settings


class Late(Schema, Protocol):
    flight: Annotated[str, Col(role="entity")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    known_at: Annotated[datetime, Col(role="known_time")]
    late: Annotated[int, Col(role="label")]
    wind: Annotated[float, Col(role="feature", unit="m/s", known_at="decided_at")]


def _flights(kind: Any, seed: int, rows: int) -> Any:
    random = np.random.default_rng(seed)
    wind = random.normal(8, 3, rows)
    decided_at = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(rows) * 6, "h")
    frame = pd.DataFrame(
        {
            "flight": [f"{seed}/{n}" for n in range(rows)],
            "decided_at": decided_at,
            "known_at": decided_at + pd.Timedelta(days=1),
            "late": (wind + random.normal(0, 2, rows) > 9).astype(int),
            "wind": wind,
        }
    )
    return kind[Late].of(frame)


def _tested(depth: int) -> tuple[SelectedModel, Evaluation]:
    train, validation = _flights(TrainSet, 1, 200), _flights(ValidationSet, 2, 100)
    fitted = train_xgboost(train, validation, n_estimators=5, max_depth=depth)
    selected, _ = select([fitted], validation)
    return selected, evaluate(selected, _flights(TestSet, 3, 120))


@pytest.fixture(scope="session")
def tested() -> tuple[SelectedModel, Evaluation]:
    """A selected model and its evaluation."""
    return _tested(1)


@pytest.fixture(scope="session")
def better() -> tuple[SelectedModel, Evaluation]:
    """Another selected model and its evaluation."""
    return _tested(3)


@pytest.fixture
def name(servers: Settings) -> str:
    """A name in the registry of a real server that no other test uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mlflow warns of itself while it is imported
        import mlflow.pyfunc  # noqa: F401
    return f"late_flights-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def fail_beyond() -> Callable[..., None]:
    """Put another model into a bundle: one that answers 0.25, and fails on longer flights."""

    def change(folder: Path, *, miles: float) -> None:
        card = json.loads((folder / "card.json").read_bytes())
        content = _failing([f["name"] for f in card["features"]], miles)
        (folder / "model.onnx").write_bytes(content)
        manifest = json.loads((folder / "runtime.json").read_bytes())
        del manifest["checksum"]
        manifest["files"]["model.onnx"] = hashlib.sha256(content).hexdigest()
        manifest["choice"] |= {"small": "onnxruntime", "large": "onnxruntime", "switch_at": None}
        manifest["checksum"] = document_digest(manifest)
        (folder / "runtime.json").write_text(json.dumps(manifest))

    return change


def _failing(features: list[str], miles: float) -> bytes:
    """Return a model in ONNX: beyond the limit it looks for a second answer, and there is one."""
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "place": np.array([features.index("distance")], np.int64),
        "limit": np.array([[miles]], np.float32),
        "one answer": np.array([0.25], np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["rows", "place"], ["miles"], axis=1),
            helper.make_node("Greater", ["miles", "limit"], ["is far"]),
            helper.make_node("Cast", ["is far"], ["which"], to=TensorProto.INT64),
            helper.make_node("Gather", ["one answer", "which"], ["score"], axis=0),
        ],
        "fails far away",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, len(features)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content
