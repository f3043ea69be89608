from __future__ import annotations

import subprocess
import sys
import textwrap
from functools import partial

import pytest

from operators.train_sklearn import train_sklearn
from operators.train_torch import train_torch
from operators.train_xgboost import train_xgboost

_PROGRAM = """
    import numpy as np
    import pandas as pd
    from headrace import TrainSet, ValidationSet
    from headrace.schemas import Column, TableSchema
    from operators.train_sklearn import train_sklearn
    from operators.train_torch import train_torch
    from operators.train_xgboost import train_xgboost

    draw = np.random.default_rng(0)
    wind, carrier = draw.normal(0, 1, 4_000), draw.integers(0, 5, 4_000)
    frame = pd.DataFrame({
        "wind": np.where(draw.random(4_000) < 0.1, np.nan, wind),
        "carrier": [f"C{i}" for i in carrier],
        "label": (wind + carrier / 3 + draw.normal(0, 1, 4_000) > 1).astype(int),
    })
    schema = TableSchema(name="T", columns=(
        Column(name="wind", dtype="float", nullable=True, role="feature"),
        Column(name="carrier", dtype="string", role="feature"),
        Column(name="label", dtype="int", role="label"),
    ))
    train = TrainSet.of(frame[:3_000], schema=schema)
    validation = ValidationSet.of(frame[3_000:], schema=schema)
    sets = {"train": train, "validation": validation}
    print(train_xgboost(**sets, n_estimators=40, subsample=0.7, colsample=0.5).digest)
    for estimator in ("hist_gradient_boosting", "extra_trees", "logistic_regression"):
        print(train_sklearn(**sets, estimator=estimator, n_estimators=40).digest)
    print(train_torch(**sets, max_epochs=3).digest)
"""


def test_the_same_data_gives_the_same_bytes_in_every_process():
    command = [sys.executable, "-c", textwrap.dedent(_PROGRAM)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    first, second = (process.communicate()[0].split() for process in processes)

    assert len(set(first)) == 5
    assert second == first


@pytest.mark.parametrize(
    "trainer",
    [
        pytest.param(partial(train_xgboost, n_estimators=30, subsample=0.5), id="xgboost"),
        pytest.param(partial(train_sklearn, n_estimators=30), id="boosting"),
        pytest.param(
            partial(train_sklearn, estimator="extra_trees", n_estimators=20), id="extra trees"
        ),
    ],
)
def test_the_number_of_threads_does_not_change_the_model(data, trainer):
    one = trainer(data.train, data.validation, threads=1)
    two = trainer(data.train, data.validation, threads=2)

    assert two.digest == one.digest


@pytest.mark.parametrize(
    "trainer",
    [
        pytest.param(partial(train_xgboost, n_estimators=10, subsample=0.5), id="xgboost"),
        pytest.param(
            partial(train_sklearn, estimator="extra_trees", n_estimators=10), id="extra trees"
        ),
        pytest.param(partial(train_torch, max_epochs=2), id="torch"),
    ],
)
def test_the_seed_changes_the_model_and_none_is_zero(data, trainer):
    plain = trainer(data.train, data.validation)
    zero = trainer(data.train, data.validation, seed=0)
    other = trainer(data.train, data.validation, seed=1)

    assert zero.digest == plain.digest
    name = "weights.npz" if plain.card.flavor == "torch" else None
    name = name or {"xgboost": "model.ubj", "sklearn": "model.skops"}[plain.card.flavor]
    assert other.read(name) != plain.read(name)
