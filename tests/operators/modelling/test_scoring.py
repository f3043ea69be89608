from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from headrace import Model
from headrace.errors import DataError, DefinitionError
from operators._encoding import encode
from operators._mlp import forward
from operators._network import output_of
from operators._skops_bytes import read_estimator, write_estimator
from operators.scoring import load, measure
from operators.train_sklearn import train_sklearn
from operators.train_torch import train_torch
from operators.train_xgboost import train_xgboost

_TRAINERS = [
    pytest.param(partial(train_xgboost, n_estimators=30), id="xgboost"),
    pytest.param(partial(train_sklearn, n_estimators=30), id="boosting"),
    pytest.param(partial(train_sklearn, estimator="logistic_regression"), id="logistic"),
    pytest.param(partial(train_torch, max_epochs=2), id="torch"),
]


@pytest.mark.parametrize("trainer", _TRAINERS)
def test_one_row_as_a_dict_scores_as_in_the_frame(data, trainer):
    scorer = load(trainer(data.train, data.validation))
    frame = data.frames["test"].head(50)

    at_once = scorer.score(frame)
    one_by_one = [
        scorer.score({k: [v] for k, v in row.items()})[0] for row in frame.to_dict("records")
    ]

    assert at_once.shape == (50,)
    assert at_once == pytest.approx(one_by_one, abs=1e-6)
    assert ((at_once > 0) & (at_once < 1)).all()


@pytest.mark.parametrize("trainer", _TRAINERS)
def test_an_unknown_category_scores_as_a_null(data, trainer):
    scorer = load(trainer(data.train, data.validation))
    frame = data.frames["test"].head(20)

    unknown = scorer.score(frame.assign(carrier="ZZ"))
    null = scorer.score(frame.assign(carrier=None))
    known = scorer.score(frame.assign(carrier="UA"))

    np.testing.assert_array_equal(unknown, null)
    assert (unknown != known).any()


def test_a_missing_feature_is_named(data):
    scorer = load(train_xgboost(data.train, data.validation, n_estimators=2))

    with pytest.raises(DataError) as error:
        scorer.score(data.frames["test"].drop(columns="carrier"))

    assert str(error.value) == (
        "The rows lack feature 'carrier', which the xgboost model was fitted on. Known: "
        "'decided_at', 'hour', 'label', 'trip', 'weekend', 'wind'.\n"
        "  Fix: Give every feature of the model's card; a null where it is not known."
    )


def test_the_network_answers_in_numpy_what_torch_answers():
    import torch

    draw = np.random.default_rng(0)
    arrays = {
        "embedding_0": draw.normal(size=(4, 2)),
        "weight_0": draw.normal(size=(5, 7)),
        "bias_0": draw.normal(size=7),
        "weight_1": draw.normal(size=(7, 1)),
        "bias_1": draw.normal(size=1),
    }
    arrays = {k: v.astype(np.float32) for k, v in arrays.items()}
    numbers = draw.normal(size=(9, 3)).astype(np.float32)
    codes = draw.integers(0, 4, (9, 1))

    ours = forward(arrays, numbers, codes)
    tensors = {k: torch.from_numpy(v) for k, v in arrays.items()}
    theirs = output_of(tensors, torch.from_numpy(numbers), torch.from_numpy(codes)).numpy()

    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(
    ("trainer", "runtime"),
    [
        pytest.param(partial(train_xgboost, n_estimators=5), "xgboost", id="xgboost"),
        pytest.param(partial(train_torch, max_epochs=1), "numpy", id="torch"),
    ],
)
def test_size_and_latency_of_one_row_are_measured_in_the_scoring_runtime(data, trainer, runtime):
    model = trainer(data.train, data.validation)

    found = measure(model)

    assert set(found) == {"bytes", "p50_ms", "p99_ms", "runtime"}
    assert found["bytes"] == len(model.read("model.ubj" if runtime == "xgboost" else "weights.npz"))
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    assert found["runtime"].split()[0] == runtime


def test_a_network_is_scored_without_torch_or_pandas(data, tmp_path):
    model = train_torch(data.train, data.validation, max_epochs=1)
    (tmp_path / "weights.npz").write_bytes(model.read("weights.npz"))
    (tmp_path / "model.json").write_bytes(model.read("model.json"))
    program = """
import json, pathlib, sys
from headrace.models import ModelCard
from operators.scoring import load_scorer
here = pathlib.Path(sys.argv[1])
card = ModelCard.from_json(json.loads((here / "model.json").read_text()))
scorer = load_scorer(card, lambda name: (here / name).read_bytes())
print(scorer.score({"wind": [0.5], "hour": [9], "carrier": ["UA"], "weekend": [False]})[0])
heavy = {"torch", "pandas", "sklearn", "xgboost", "pyarrow", "scipy"}
print(sorted(heavy & set(sys.modules)))
"""

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True
    )

    answer, heavy = done.stdout.splitlines()
    row = {"wind": [0.5], "hour": [9], "carrier": ["UA"], "weekend": [False]}
    assert float(answer) == load(model).score(row)[0]
    assert heavy == "[]"


def test_a_flavor_without_runtime_is_named(data):
    model = train_torch(data.train, data.validation, max_epochs=1)
    odd = Model.of({}, card=replace(model.card, flavor="xgbost"))

    with pytest.raises(DefinitionError) as error:
        load(odd)

    assert str(error.value) == (
        "There is no scoring runtime for flavor 'xgbost'. Did you mean 'xgboost'?\n"
        "  Fix: Train the model with one of the bundled trainers."
    )


def test_a_file_with_foreign_code_is_not_loaded():
    from sklearn.preprocessing import FunctionTransformer
    from skops.io.exceptions import UntrustedTypesFoundException

    hostile = write_estimator(FunctionTransformer(func=subprocess.run))

    with pytest.raises(UntrustedTypesFoundException):
        read_estimator(hostile)


def test_an_estimator_survives_its_bytes(data):
    model = train_sklearn(data.train, data.validation, n_estimators=20)

    again = write_estimator(read_estimator(model.read("model.skops")))

    matrix = encode(data.frames["test"], model.card)
    before = read_estimator(model.read("model.skops")).predict_proba(matrix)
    np.testing.assert_array_equal(read_estimator(again).predict_proba(matrix), before)
