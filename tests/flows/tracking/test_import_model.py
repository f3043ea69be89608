"""A model trained elsewhere goes the way of one trained here, with a real MLflow, and is marked."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, Protocol

import numpy as np
import pandas as pd
import pytest

from flows.tracking import MlflowRunLog
from headrace import (
    Col,
    Evaluation,
    Report,
    Schema,
    TestSet,
    TrainSet,
    ValidationSet,
    flow,
    operator,
)
from headrace.execution import Session
from headrace.models import ModelFeature
from headrace.settings import using_settings
from operators.evaluate import evaluate
from operators.import_model import import_model
from operators.scoring import load
from operators.select import select
from operators.train_xgboost import train_xgboost
from serving.register import register
from serving.registry import Registry

# What somebody else would run: xgboost alone, on data of their own.
SCRIPT = dedent(
    """
    import sys

    import numpy as np
    import pandas as pd
    import xgboost

    random = np.random.default_rng(9)
    rows = pd.DataFrame(
        {
            "wind": random.normal(8, 3, 4000),
            "carrier": pd.Categorical(random.choice(["AA", "UA"], 4000)),
        }
    )
    late = rows["wind"] + 4 * (rows["carrier"] == "UA") + random.normal(0, 2, 4000) > 10
    model = xgboost.XGBClassifier(n_estimators=60, max_depth=3, enable_categorical=True)
    model.fit(rows, late.astype(int)).save_model(sys.argv[1])
    """
)
FEATURES = (
    ModelFeature(name="wind", dtype="float"),
    ModelFeature(name="carrier", dtype="category"),
)


class Late(Schema, Protocol):
    """These are trips that were late or not."""

    wind: Annotated[float, Col(role="feature")]
    carrier: Annotated[str, Col(role="feature")]
    late: Annotated[int, Col(role="label")]


def _trips(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    wind, carrier = random.normal(8, 3, 600), random.choice(["AA", "UA"], 600)
    late = wind + 4 * (carrier == "UA") + random.normal(0, 2, 600) > 10
    return pd.DataFrame({"wind": wind, "carrier": carrier, "late": late.astype(int)})


@operator()
def trips() -> tuple[TrainSet[Late], ValidationSet[Late], TestSet[Late]]:
    """Give three sets of trips."""
    train, validation, test = (_trips(seed) for seed in (1, 2, 3))
    return TrainSet[Late].of(train), ValidationSet[Late].of(validation), TestSet[Late].of(test)


@flow(grants=["file:*/elsewhere/*"])
def brought_in(*, path: str, name: str) -> tuple[Evaluation, Report]:
    """Compare a model from elsewhere with one of ours, and register the better one."""
    train, validation, test = trips()
    ours = train_xgboost(train, validation, n_estimators=1, max_depth=1)
    theirs = import_model(path=path, label="late", features=FEATURES)
    selected, _ = select([ours, theirs], validation)
    tested = evaluate(selected, test)
    return tested, register(selected, tested, name=name)


def test_a_model_from_elsewhere_is_selected_evaluated_registered_and_read_back_as_it_was(
    mlflow_url: str, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    file, name = tmp_path / "elsewhere" / "late.ubj", f"late_{uuid.uuid4().hex[:8]}"
    subprocess.run([sys.executable, "-c", SCRIPT, str(file)], check=True)
    arguments: dict[str, Any] = {"path": str(file), "name": name}

    with using_settings(home=tmp_path / "home", mlflow_url=mlflow_url):
        session = Session.of_settings(log=MlflowRunLog(mlflow_url, home=tmp_path))
        finished = brought_in.run_with(arguments, session=session)
        version = Registry().version(name, "candidate")
        again = brought_in.run_with(arguments, session=session)
        loaded = load(finished.outcomes["import_model"].outputs["result"])  # type: ignore[arg-type]
        imported = session.lineage.invocations(finished.id)
        assert again.outcomes["import_model"].state == "cached"

    assert version.tags["headrace.trained"] == "elsewhere"
    assert f"**Trained elsewhere** and brought in from `file:{file}`" in version.description
    tested, _ = finished.returned()
    assert tested.document["trained"] == "elsewhere"
    (node,) = [i for i in imported if i.node == "import_model"]
    assert node.parameters["path"] == str(file)
    assert f"file:{file}" in " ".join(part["name"] for part in node.key_parts)
    _same_answers(version.uri, loaded, mlflow_url)


def _same_answers(uri: str, loaded: Any, mlflow_url: str) -> None:
    import mlflow.pyfunc

    mlflow.set_tracking_uri(mlflow_url)
    rows = _trips(4)[["wind", "carrier"]]

    answers = mlflow.pyfunc.load_model(uri).predict(rows)["probability"]

    assert answers.tolist() == pytest.approx(loaded.score(rows).tolist(), abs=1e-9)
