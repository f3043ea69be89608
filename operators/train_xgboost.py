"""This module fits gradient-boosted trees with XGBoost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field

from headrace import Model, Schema, TrainSet, ValidationSet, operator
from headrace.clock import SystemClock
from operators._examples import LabelledRows
from operators._fitting import Fit, finished, prepare
from operators._training_checks import check_fit

if TYPE_CHECKING:
    import xgboost

S = TypeVar("S", bound=Schema)


@operator(check=check_fit)
def train_xgboost(
    train: TrainSet[S],
    validation: ValidationSet[S],
    *,
    task: Literal["classification", "estimation"] = "classification",
    n_estimators: Annotated[int, Field(ge=1, le=10_000)] = 400,
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1,
    max_depth: Annotated[int, Field(ge=1, le=16)] = 6,
    min_child_weight: Annotated[float, Field(ge=0)] = 1.0,
    subsample: Annotated[float, Field(gt=0, le=1)] = 1.0,
    colsample: Annotated[float, Field(gt=0, le=1)] = 1.0,
    l2: Annotated[float, Field(ge=0)] = 1.0,
    early_stopping_rounds: Annotated[int, Field(ge=1)] = 30,
    class_weight: Literal["none", "balanced"] = "none",
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None,
    threads: Annotated[int, Field(ge=1, le=256)] = 1,
) -> Model:
    """This fits boosted trees on the training set and stops early on the validation set.

    Args:
        train: Rows with the columns of role "feature" and one of role "label" (0/1, true/false or
            two categories for classification, a float for estimation). Null features are allowed,
            null labels are not. A column of role "weight" says how much a row counts in the fit.
        validation: Rows of the same columns, later in time where there is time. The number of trees
            is the one with the least loss here; the card's metrics are computed here.
        task: What to predict: the probability of the positive class, or a value.
        n_estimators: Most trees.
        learning_rate: Share of each tree's answer that is taken.
        max_depth: Most splits from the root to a leaf.
        min_child_weight: Least weight of rows in a leaf (least sum of p(1-p) for classification).
        subsample: Share of rows drawn for each tree.
        colsample: Share of features drawn for each tree.
        l2: Penalty on the squared answers of leaves.
        early_stopping_rounds: Trees without a better validation loss after which to stop.
        class_weight: "balanced" lets both classes count the same; scores are then no longer
            probabilities under the real share of the classes.
        seed: For the draws of rows and features; given by the runtime, 0 in a plain call.
        threads: Threads to fit with; the model does not depend on it.

    Returns:
        A model in XGBoost's own binary format (`model.ubj`), scored by XGBoost on numpy arrays.

    Raises:
        SchemaError: Label, features or task do not fit; the plan says the same.
        DataError: A set is empty, has one class, null labels, or a feature without any value.
    """
    parameters = {
        "task": task,
        "n_estimators": n_estimators,
        "learning_rate": learning_rate,
        "max_depth": max_depth,
        "min_child_weight": min_child_weight,
        "subsample": subsample,
        "colsample": colsample,
        "l2": l2,
        "early_stopping_rounds": early_stopping_rounds,
        "class_weight": class_weight,
        "seed": seed or 0,
    }
    fit = prepare("train_xgboost", train, validation, flavor="xgboost", parameters=parameters)
    before = SystemClock().monotonic()
    booster, losses = _boosted(fit, parameters, threads)
    gains = booster.get_score(importance_type="total_gain")
    return finished(
        fit,
        {"model.ubj": bytes(booster.save_raw("ubj"))},
        importance=[np.sum(gains.get(f"f{i}", 0.0)) for i in range(len(fit.card.features))],
        learning=losses,
        extra={"trees": booster.num_boosted_rounds()},
        seconds=SystemClock().monotonic() - before,
        threads=threads,
    )


def _boosted(
    fit: Fit, parameters: dict[str, Any], threads: int
) -> tuple[xgboost.Booster, list[float]]:
    import xgboost

    kinds = ["c" if f.categories is not None else "float" for f in fit.card.features]

    def data(rows: LabelledRows, kind: type[xgboost.DMatrix]) -> xgboost.DMatrix:
        return kind(
            rows.matrix,
            label=rows.target,
            weight=rows.weight,
            missing=np.nan,
            feature_types=kinds,
            enable_categorical=True,
            nthread=threads,
        )

    classifies = fit.card.task == "classification"
    metric = "logloss" if classifies else "rmse"
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        {
            "objective": "binary:logistic" if classifies else "reg:squarederror",
            "eval_metric": metric,
            "tree_method": "hist",
            "eta": parameters["learning_rate"],
            "max_depth": parameters["max_depth"],
            "min_child_weight": parameters["min_child_weight"],
            "subsample": parameters["subsample"],
            "colsample_bytree": parameters["colsample"],
            "lambda": parameters["l2"],
            "seed": parameters["seed"],
            "nthread": threads,
            "verbosity": 0,
        },
        data(fit.train, xgboost.QuantileDMatrix),
        num_boost_round=parameters["n_estimators"],
        evals=[(data(fit.validation, xgboost.DMatrix), "validation")],
        early_stopping_rounds=parameters["early_stopping_rounds"],
        evals_result=history,
        verbose_eval=False,
    )
    return booster[: booster.best_iteration + 1], history["validation"][metric]
