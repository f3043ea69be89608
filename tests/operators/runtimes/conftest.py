from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headrace import Model, TrainSet, ValidationSet
from headrace.schemas import Column, TableSchema
from operators import nycflights13 as nyc
from operators.runtimes import probes_of
from operators.scoring import load
from operators.train_sklearn import train_sklearn
from operators.train_torch import train_torch
from operators.train_xgboost import train_xgboost

_FEATURES: dict[str, Any] = {
    "carrier": "string",  # 16 values, no nulls
    "dest": "string",  # about 100
    "tail": "string",  # more than 254, so most are unknown to a model; nulls
    "departure_delay": "float",  # nulls
    "distance": "float",
    "hour": "int",
    "weekend": "bool",
}
_TRAINERS: dict[str, Callable[..., Model]] = {
    "xgboost": partial(train_xgboost, n_estimators=40),
    "boosting": partial(train_sklearn, n_estimators=40),
    "extra_trees": partial(
        train_sklearn, estimator="extra_trees", n_estimators=30, max_leaf_nodes=200
    ),
    "logistic": partial(train_sklearn, estimator="logistic_regression", n_estimators=60),
    "ridge": partial(train_sklearn, estimator="ridge"),
    "torch": partial(train_torch, max_epochs=1),
}


@pytest.fixture(scope="session")
def flights() -> SimpleNamespace:
    """These are real flights of 2013, every fortieth, with what is known at the departure."""
    every = nyc.read_flights().frame()[::40].reset_index(drop=True)
    day = pd.to_datetime(every[["year", "month", "day"]]).dt.tz_localize("UTC")
    frame = pd.DataFrame(
        {
            "flight_id": [f"{i}" for i in range(len(every))],
            "decided_at": day,
            "late": (every["arr_delay"] > 15).astype("int64"),
            "minutes": every["arr_delay"].fillna(0.0),
            "carrier": every["carrier"],
            "dest": every["dest"],
            "tail": every["tailnum"],
            "departure_delay": every["dep_delay"],
            "distance": every["distance"],
            "hour": every["sched_dep_time"] // 100,
            "weekend": day.dt.weekday >= 5,
        }
    )
    return SimpleNamespace(frame=frame, features=_FEATURES)


def _schema(features: list[str], task: str) -> TableSchema:
    label: Any = {"classification": ("late", "int"), "estimation": ("minutes", "float")}[task]
    return TableSchema(
        name="Departures",
        columns=(
            Column(name="flight_id", dtype="string", role="entity"),
            Column(name="decided_at", dtype="timestamp", role="decision_time"),
            Column(name=label[0], dtype=label[1], role="label"),
            *(
                Column(name=n, dtype=_FEATURES[n], nullable=n != "hour", role="feature")
                for n in features
            ),
        ),
    )


@pytest.fixture(scope="session")
def fitted(flights) -> Callable[..., Model]:
    """This fits a small model on the real flights, once for each trainer, task and features."""

    @cache
    def model(trainer: str, task: str = "classification", *features: str) -> Model:
        schema = _schema(list(features or _FEATURES), task)
        order = np.random.default_rng(0).permutation(len(flights.frame))
        shuffled = flights.frame.iloc[order]
        return _TRAINERS[trainer](
            TrainSet.of(shuffled[:6_000], schema=schema),
            ValidationSet.of(shuffled[6_000:], schema=schema),
            task=task,
        )

    return model


@pytest.fixture(scope="session")
def worst_answer() -> Callable[..., str]:
    """This says where two answers to the probe rows are furthest apart, as a message should."""

    def sentence(model: Model, found: Callable[..., Any]) -> str:
        probes = probes_of(model.card, model.read)
        answers, expected = found(probes), load(model).scores(probes)
        row = int(np.abs(answers - expected).argmax())
        shown = []
        for feature, value in zip(model.card.features, probes[row].tolist(), strict=True):
            if np.isnan(value):
                shown.append(f"{feature.name}=null")
            elif feature.categories:
                shown.append(f"{feature.name}='{feature.categories[int(value)]}'")
            else:
                shown.append(f"{feature.name}={value:.9g}")
        return (
            f"It answers {answers[row]:.9g} where the trained model answers {expected[row]:.9g}, "
            f"in probe row {row:,} of 2,000: {', '.join(shown)}."
        )

    return sentence
