"""A labeler in MLflow answers with a probability for each class, through us and without us."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import pandas as pd
import pytest

from headrace import Col, Model, Schema, TrainSet, ValidationSet
from headrace.errors import DefinitionError
from operators._labeler_file import load_labeler
from operators._labeler_inputs import prepared
from operators.bundle import write_bundle
from operators.class_probabilities import class_probabilities
from operators.train_labeler import train_labeler
from serving.register import register_challenger


class News(Schema, Protocol):
    text: Annotated[str | None, Col(role="feature")]
    words: Annotated[int, Col(role="feature")]
    topic: Annotated[Literal["sport", "money", "weather"], Col(role="label")]


@pytest.fixture(scope="module")
def sets() -> tuple[TrainSet[Any], ValidationSet[Any]]:
    rows = {
        "text": ["the team won", "the bank lost", "a late goal", "a bank rate"] * 3,
        "words": [3] * 12,
        "topic": ["sport", "money"] * 6,
    }
    return TrainSet[News].of(rows), ValidationSet[News].of(rows)


@pytest.fixture
def logged(sets: Any, story: Callable[..., Any], client: Any, mlflow_url: str) -> Any:
    import mlflow

    model = train_labeler(*sets, text=("text",))
    told = story().start()
    told.node("label", {"result": model}, {"train": sets[0], "validation": sets[1]})
    told.finish()
    experiment = client.get_run(told.mlflow_run_id).info.experiment_id
    (found,) = client.search_logged_models(
        [experiment], f"tags.`headrace.digest` = '{model.digest}'"
    )
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(mlflow_url)
    yield model, found, client.get_run(found.source_run_id)
    mlflow.set_tracking_uri(before)


def test_a_labeler_is_logged_and_opened_by_mlflow(sets: Any, logged: Any) -> None:
    import mlflow.pyfunc
    import mlflow.sklearn

    model: Model
    model, found, run = logged

    opened = mlflow.pyfunc.load_model(found.model_uri)
    answer = opened.predict(opened.input_example)
    pipeline = mlflow.sklearn.load_model(found.model_uri)

    classes, expected = class_probabilities(model, dict(model.card.example))
    assert isinstance(answer, pd.DataFrame)
    assert answer.columns.tolist() == list(classes) == ["sport", "money", "weather"]
    np.testing.assert_array_equal(answer.to_numpy(), expected)
    assert opened.metadata.signature.outputs.input_names() == list(classes)
    rows = prepared(dict(model.card.example), load_labeler(model).inputs)
    of_both = [classes.index(name) for name in pipeline.classes_]
    np.testing.assert_array_equal(pipeline.predict_proba(rows), expected[:, of_both])
    assert run.data.tags["headrace.digest"] == model.digest
    assert run.data.metrics["validation_accuracy"] == model.card.metrics["accuracy"]
    assert run.data.metrics["validation_recall.sport"] == 1.0
    assert run.data.params["model.flavor"] == "labeler"
    assert run.data.metrics["latency_p50_ms"] > 0
    assert {d.dataset.digest for d in run.inputs.dataset_inputs} == {
        each.digest[:36] for each in sets
    }


def test_a_labeler_is_registered_for_no_endpoint(sets: Any, tmp_path: Path) -> None:
    model = train_labeler(*sets, text=("text",))

    with pytest.raises(DefinitionError) as registered:
        register_challenger(model, name="topics")
    with pytest.raises(DefinitionError) as bundled:
        write_bundle(tmp_path / "bundle", model)

    assert registered.value.problem == bundled.value.problem
    assert registered.value.problem.startswith("The model is a labeler of 3 classes")
    assert not (tmp_path / "bundle").exists()
