"""This module fits scikit-learn estimators: boosted trees, linear models, extra trees."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field

from headrace import Model, Schema, TrainSet, ValidationSet, operator
from headrace.clock import SystemClock
from operators._dense import fit_dense, one_hot, one_hot_owners
from operators._fitting import Fit, finished, prepare
from operators._skops_bytes import write_estimator
from operators._training_checks import check_fit

S = TypeVar("S", bound=Schema)


@operator(check=check_fit)
def train_sklearn(
    train: TrainSet[S],
    validation: ValidationSet[S],
    *,
    task: Literal["classification", "estimation"] = "classification",
    estimator: Literal[
        "hist_gradient_boosting", "logistic_regression", "ridge", "extra_trees"
    ] = "hist_gradient_boosting",
    n_estimators: Annotated[int, Field(ge=1, le=10_000)] = 300,
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1,
    max_leaf_nodes: Annotated[int, Field(ge=2, le=4_096)] = 31,
    min_samples_leaf: Annotated[int, Field(ge=1)] = 20,
    l2: Annotated[float, Field(ge=0)] = 1.0,
    early_stopping_rounds: Annotated[int, Field(ge=1)] = 30,
    class_weight: Literal["none", "balanced"] = "none",
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None,
    threads: Annotated[int, Field(ge=1, le=256)] = 1,
) -> Model:
    """This fits a scikit-learn estimator; boosting stops early on the validation set.

    Args:
        train: Rows with the columns of role "feature" and one of role "label" (0/1, true/false or
            two categories for classification, a float for estimation). Null features are allowed
            (linear models fill them with the training median and flag them), null labels are not.
            A column of role "weight" says how much a row counts in the fit.
        validation: Rows of the same columns, later in time where there is time. Boosting keeps the
            trees up to the least loss here; the card's metrics are computed here.
        task: What to predict: the probability of the positive class, or a value.
        estimator: "hist_gradient_boosting" and "extra_trees" do both tasks, "logistic_regression"
            classification, "ridge" estimation.
        n_estimators: Most trees of boosting, trees of extra trees, most steps of a linear model.
        learning_rate: For boosting: share of each tree's answer that is taken.
        max_leaf_nodes: For trees: most leaves of one.
        min_samples_leaf: For trees: least rows in a leaf.
        l2: For boosting and linear models: penalty on squared answers or coefficients.
        early_stopping_rounds: For boosting: trees without a better validation loss before it stops.
        class_weight: "balanced" lets both classes count the same; scores are then no longer
            probabilities under the real share of the classes.
        seed: For random draws; given by the runtime, 0 in a plain call.
        threads: Threads to fit with; the model does not depend on it.

    Returns:
        A model in skops' format (`model.skops`), which holds no pickle, scored by scikit-learn.

    Raises:
        SchemaError: Label, features, task or estimator do not fit; the plan says the same.
        DataError: A set is empty, has one class, null labels, or a feature without any value.
    """
    parameters = {
        "task": task,
        "estimator": estimator,
        "n_estimators": n_estimators,
        "learning_rate": learning_rate,
        "max_leaf_nodes": max_leaf_nodes,
        "min_samples_leaf": min_samples_leaf,
        "l2": l2,
        "early_stopping_rounds": early_stopping_rounds,
        "class_weight": class_weight,
        "seed": seed or 0,
    }
    fit = prepare("train_sklearn", train, validation, flavor="sklearn", parameters=parameters)
    # The limit holds for the libraries that are loaded when it is set, so sklearn comes first.
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(threads):
        before = SystemClock().monotonic()
        if estimator == "hist_gradient_boosting":
            return _boosted(fit, parameters, threads, before)
        if estimator == "extra_trees":
            return _extra_trees(fit, parameters, threads, before)
        return _linear(fit, parameters, threads, before)


def _boosted(fit: Fit, parameters: dict[str, Any], threads: int, before: float) -> Model:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    classifies = fit.card.task == "classification"
    kind = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
    categories = [f.categories is not None for f in fit.card.features]
    boosting = kind(
        learning_rate=parameters["learning_rate"],
        max_iter=parameters["n_estimators"],
        max_leaf_nodes=parameters["max_leaf_nodes"],
        min_samples_leaf=parameters["min_samples_leaf"],
        l2_regularization=parameters["l2"],
        categorical_features=categories if any(categories) else None,
        early_stopping=True,
        n_iter_no_change=parameters["early_stopping_rounds"],
        random_state=parameters["seed"],
    )
    boosting.fit(
        fit.train.matrix,
        fit.train.target,
        sample_weight=fit.train.weight,
        X_val=fit.validation.matrix,
        y_val=fit.validation.target,
        sample_weight_val=fit.validation.weight,
    )
    losses = [-float(v) for v in boosting.validation_score_]
    # scikit-learn keeps the trees after the best one too; the first loss is that without trees.
    best = max(int(np.argmin(losses)), 1)
    boosting._predictors = boosting._predictors[:best]
    boosting.train_score_ = boosting.train_score_[: best + 1]
    boosting.validation_score_ = boosting.validation_score_[: best + 1]
    boosting._bin_mapper.n_threads = 1  # the machine's, not the model's
    return finished(
        fit,
        {"model.skops": write_estimator(boosting)},
        importance=None,
        learning=losses[1:],
        extra={"trees": best},
        seconds=SystemClock().monotonic() - before,
        threads=threads,
    )


def _extra_trees(fit: Fit, parameters: dict[str, Any], threads: int, before: float) -> Model:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    classifies = fit.card.task == "classification"
    trees = (ExtraTreesClassifier if classifies else ExtraTreesRegressor)(
        n_estimators=parameters["n_estimators"],
        max_leaf_nodes=parameters["max_leaf_nodes"],
        min_samples_leaf=parameters["min_samples_leaf"],
        n_jobs=threads,
        random_state=parameters["seed"],
    )
    trees.fit(fit.train.matrix, fit.train.target, sample_weight=fit.train.weight)
    # The number of threads is no part of the model, and one row needs no second one.
    trees.set_params(n_jobs=1)
    return finished(
        fit,
        {"model.skops": write_estimator(trees)},
        importance=trees.feature_importances_,
        extra={"trees": parameters["n_estimators"]},
        seconds=SystemClock().monotonic() - before,
        threads=threads,
    )


def _linear(fit: Fit, parameters: dict[str, Any], threads: int, before: float) -> Model:
    from sklearn.linear_model import LogisticRegression, Ridge

    constants = fit_dense(fit.train.matrix, fit.card.features)
    matrix = one_hot(fit.train.matrix, constants)
    iterations = parameters["n_estimators"]
    if fit.card.task == "classification":
        strength = 1 / parameters["l2"] if parameters["l2"] > 0 else np.inf
        linear: Any = LogisticRegression(C=strength, max_iter=iterations)
    else:
        linear = Ridge(alpha=parameters["l2"], max_iter=iterations)
    linear.fit(matrix, fit.train.target, sample_weight=fit.train.weight)
    # On scaled inputs a coefficient times the input's deviation is what it moves the answer by.
    moved = np.abs(np.ravel(linear.coef_)) * matrix.std(axis=0)
    owners = one_hot_owners(constants)
    return finished(
        fit,
        {"model.skops": write_estimator(linear)},
        importance=np.bincount(owners, weights=moved, minlength=len(fit.card.features)),
        extra={"dense": constants},
        seconds=SystemClock().monotonic() - before,
        threads=threads,
    )
