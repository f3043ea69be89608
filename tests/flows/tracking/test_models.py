"""A logged model is a real MLflow model, which answers as ours does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headrace import Model
from operators.scoring import load


def _logged(client: Any, told: Any, model: Model) -> Any:
    experiment = client.get_run(told.mlflow_run_id).info.experiment_id
    (found,) = client.search_logged_models(
        [experiment], f"tags.`headrace.digest` = '{model.digest}'"
    )
    return found


def _trained(flavor: str, made: Any) -> Model:
    if flavor == "sklearn":
        from operators.train_sklearn import train_sklearn

        return train_sklearn(made.train, made.validation)
    if flavor == "torch":
        from operators.train_torch import train_torch

        return train_torch(made.train, made.validation)
    model: Model = made.deep
    return model


@pytest.fixture
def tracking_uri(mlflow_url: str) -> Any:
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(mlflow_url)
    yield mlflow_url
    mlflow.set_tracking_uri(before)


@pytest.mark.parametrize("flavor", ["xgboost", "sklearn", "torch"])
def test_mlflow_answers_the_example_as_our_scoring_does(
    flavor: str, story: Callable[..., Any], made: Any, client: Any, tracking_uri: str
) -> None:
    import mlflow.pyfunc

    model = _trained(flavor, made)
    told = story().start()
    told.node("train", {"result": model}, {"train": made.train, "validation": made.validation})
    told.finish()

    loaded = mlflow.pyfunc.load_model(_logged(client, told, model).model_uri)
    answer = loaded.predict(loaded.input_example)

    expected = load(model).score(dict(model.card.example))
    np.testing.assert_array_equal(answer["probability"], expected)


def test_a_model_has_its_signature_its_requirements_and_its_digest(
    recorded: Any, made: Any, client: Any, tracking_uri: str
) -> None:
    import mlflow.pyfunc

    logged = _logged(client, recorded, made.deep)

    described = mlflow.pyfunc.load_model(logged.model_uri).metadata
    assert described.signature.inputs.input_names() == ["wind", "carrier"]
    assert [str(t) for t in described.signature.inputs.input_types()] == [
        "DataType.double",
        "DataType.string",
    ]
    assert described.signature.outputs.input_names() == ["probability"]
    requirements = mlflow.pyfunc.get_model_dependencies(logged.model_uri)
    assert set(Path(requirements).read_text().split()) >= {
        f"{name}=={version}" for name, version in made.deep.card.packages.items()
    }
    assert logged.tags["headrace.digest"] == made.deep.digest
    assert logged.params["max_depth"] == "3"
    auc = next(m for m in logged.metrics if m.key == "validation_auc")
    assert auc.dataset_digest == made.validation.digest[:36]


def test_xgboost_users_load_the_booster_without_headrace(
    recorded: Any, made: Any, client: Any, tracking_uri: str
) -> None:
    import mlflow.xgboost

    booster = mlflow.xgboost.load_model(_logged(client, recorded, made.deep).model_uri)

    assert bytes(booster.save_raw("ubj")) == made.deep.read("model.ubj")


def test_scikit_learn_users_load_the_estimator_without_headrace(
    story: Callable[..., Any], made: Any, client: Any, tracking_uri: str
) -> None:
    import mlflow.sklearn

    model = _trained("sklearn", made)
    told = story().start()
    told.node("train", {"result": model}, {"train": made.train, "validation": made.validation})
    told.finish()

    estimator = mlflow.sklearn.load_model(_logged(client, told, model).model_uri)

    assert list(estimator.classes_) == [0, 1]


def test_the_example_is_json_whose_nulls_come_back_as_such(
    story: Callable[..., Any], made: Any, client: Any, tracking_uri: str
) -> None:
    import mlflow.artifacts
    import mlflow.pyfunc

    example: dict[str, list[Any]] = {"wind": [None, 9.5], "carrier": ["AA", None]}
    card = replace(made.deep.card, example=example)
    model = Model.of({"model.ubj": made.deep.read("model.ubj")}, card=card)
    told = story().start()
    told.node("train", {"result": model}, {"train": made.train, "validation": made.validation})
    told.finish()

    uri = _logged(client, told, model).model_uri
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    for name in ("input_example.json", "serving_input_example.json"):
        held = json.loads((folder / name).read_text(), parse_constant=pytest.fail)
        assert held.get("dataframe_split", held)["data"] == [[None, "AA"], [9.5, None]]
    loaded = mlflow.pyfunc.load_model(uri)
    answer = loaded.predict(loaded.input_example)
    np.testing.assert_array_equal(answer["probability"], load(model).score(example))


def test_mlflow_refuses_rows_that_lack_a_column(
    recorded: Any, made: Any, client: Any, tracking_uri: str
) -> None:
    import mlflow.pyfunc

    loaded = mlflow.pyfunc.load_model(_logged(client, recorded, made.deep).model_uri)

    with pytest.raises(mlflow.exceptions.MlflowException, match="missing inputs \\['carrier'\\]"):
        loaded.predict(pd.DataFrame({"wind": [3.0]}))


def test_files_go_past_the_server_where_its_store_is_elsewhere(
    story: Callable[..., Any], made: Any, client: Any, tmp_path: Path
) -> None:
    told = story()
    elsewhere = tmp_path / "elsewhere"
    client.create_experiment(told.run.flow, artifact_location=elsewhere.as_uri())
    told.start()

    told.node("train", {"result": made.deep}, {"train": made.train, "validation": made.validation})
    told.finish()

    assert len(list(elsewhere.rglob("MLmodel"))) == 1
    assert len(list(elsewhere.rglob("roc.png"))) == 1
