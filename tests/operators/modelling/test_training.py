from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from headrace import TrainSet, ValidationSet
from headrace.errors import DataError
from headrace.schemas import Column
from operators._metrics import metrics_of
from operators.scoring import load
from operators.train_sklearn import train_sklearn
from operators.train_torch import train_torch
from operators.train_xgboost import train_xgboost

_TRAINERS = [
    pytest.param(train_xgboost, id="xgboost"),
    pytest.param(train_sklearn, id="boosting"),
    pytest.param(
        partial(train_sklearn, estimator="extra_trees", n_estimators=60), id="extra trees"
    ),
    pytest.param(partial(train_sklearn, estimator="logistic_regression"), id="logistic"),
    pytest.param(train_torch, id="torch"),
]
_ESTIMATORS = [
    pytest.param(train_xgboost, 65.0, id="xgboost"),
    pytest.param(train_sklearn, 65.0, id="boosting"),
    pytest.param(partial(train_sklearn, estimator="extra_trees"), 65.0, id="extra trees"),
    pytest.param(partial(train_sklearn, estimator="ridge"), 58.0, id="ridge"),
    pytest.param(
        partial(train_torch, batch_size=32, max_epochs=60, learning_rate=0.003), 62.0, id="torch"
    ),
]


@pytest.mark.parametrize("trainer", _TRAINERS)
def test_every_trainer_tells_malignant_from_benign_on_real_data(split, trainer):
    matrix, label = load_breast_cancer(return_X_y=True)
    train, validation, test = split(matrix, label, "int")

    model = trainer(train, validation)

    score = load(model).score(test.frame())
    assert metrics_of("classification", test.frame()["label"].to_numpy(float), score)["auc"] > 0.98


@pytest.mark.parametrize(("trainer", "at_most"), _ESTIMATORS)
def test_every_trainer_estimates_diabetes_better_than_the_mean_on_real_data(
    split, trainer, at_most
):
    matrix, label = load_diabetes(return_X_y=True)
    train, validation, test = split(matrix, label.astype(float), "float")

    model = trainer(train, validation, task="estimation")

    target = test.frame()["label"].to_numpy()
    mean = np.full(len(target), model.card.extra["prior"])
    assert metrics_of("estimation", target, mean)["rmse"] > 70
    assert metrics_of("estimation", target, load(model).score(test.frame()))["rmse"] < at_most


@pytest.mark.parametrize("trainer", _TRAINERS)
def test_the_card_says_what_the_model_is_and_does_on_validation(data, trainer):
    model = trainer(data.train, data.validation)

    card = model.card
    frame = data.frames["validation"]
    score = load(model).score(frame)
    assert card.feature_names == ("wind", "hour", "carrier", "weekend")
    assert card.features[2].categories == ("AA", "B6", "UA")
    assert card.classes == ("0", "1")
    assert card.metrics == pytest.approx(
        metrics_of("classification", frame["label"].to_numpy(float), score)
    )
    assert card.metrics["auc"] > 0.78
    assert sum(card.importance.values()) == pytest.approx(1.0)
    assert max(card.importance, key=lambda name: card.importance[name]) == "wind"
    assert [(s["value"], s["rows"]) for s in card.slices] == [
        ("AA", int((frame["carrier"] == "AA").sum())),
        ("B6", int((frame["carrier"] == "B6").sum())),
        ("UA", int((frame["carrier"] == "UA").sum())),
        (None, int(frame["carrier"].isna().sum())),
    ]
    assert card.trained_on == {
        "digest": data.train.digest,
        "rows": 3_000,
        "from": data.frames["train"]["decided_at"].min().isoformat(),
        "to": data.frames["train"]["decided_at"].max().isoformat(),
    }
    assert card.validated_on["rows"] == 1_500
    assert card.extra["prior"] == pytest.approx(data.frames["train"]["label"].mean())
    assert card.example["carrier"][0] is None
    assert {len(v) for v in card.example.values()} == {5}
    assert {"roc", "precision_recall", "calibration"} <= set(card.curves)
    assert model.notes["fit_seconds"] > 0


@pytest.mark.parametrize(
    ("trainer", "rounds", "most"),
    [
        pytest.param(partial(train_xgboost, n_estimators=60), "trees", 60, id="xgboost"),
        pytest.param(partial(train_sklearn, n_estimators=60), "trees", 60, id="boosting"),
        pytest.param(partial(train_torch, max_epochs=30, batch_size=64), "epochs", 30, id="torch"),
    ],
)
def test_fitting_stops_by_the_validation_set_and_by_nothing_else(data, trainer, rounds, most):
    # Labels of validation are turned round: whatever is learnt from train makes it worse there,
    # so a fit that stopped by its training loss, or a part of train, would go on to the end.
    turned = data.frames["validation"].assign(label=1 - data.frames["validation"]["label"])
    against = ValidationSet.of(turned, schema=data.schema())

    model = trainer(data.train, against, **_patience(trainer, 5 if rounds == "trees" else 3))

    assert model.card.extra[rounds] < most / 4
    learning = model.card.curves["learning"]["validation_loss"]
    assert learning[0] == min(learning)


def _patience(trainer, rounds):
    name = "early_stopping_epochs" if trainer.func is train_torch else "early_stopping_rounds"
    return {name: rounds}


def test_boosting_keeps_the_trees_up_to_the_best_round_only(data):
    model = train_sklearn(data.train, data.validation, learning_rate=0.3)
    best = model.card.extra["trees"]

    again = train_sklearn(data.train, data.validation, learning_rate=0.3, n_estimators=best)

    frame = data.frames["test"]
    assert best < 300
    np.testing.assert_array_equal(load(model).score(frame), load(again).score(frame))


def test_the_network_keeps_the_weights_of_its_best_epoch(data):
    model = train_torch(
        data.train, data.validation, learning_rate=0.05, batch_size=64, early_stopping_epochs=4
    )

    losses = model.card.curves["learning"]["validation_loss"]
    assert losses.index(min(losses)) < len(losses) - 1
    assert model.card.metrics["log_loss"] == pytest.approx(min(losses), rel=1e-4)


@pytest.mark.parametrize("trainer", _TRAINERS)
def test_balanced_classes_raise_the_scores_to_a_half_on_average(data, trainer):
    rare = data.frames["train"]
    kept = rare[(rare["label"] == 0) | (rare.index % 5 == 0)]
    train = TrainSet.of(kept, schema=data.schema())
    frame = data.frames["validation"]

    plain = load(trainer(train, data.validation)).score(frame)
    equal = load(trainer(train, data.validation, class_weight="balanced")).score(frame)

    assert kept["label"].mean() < 0.15
    assert plain.mean() < 0.25
    assert 0.36 < equal.mean() < 0.6


@pytest.mark.parametrize("trainer", _TRAINERS)
def test_rows_of_weight_zero_do_not_count_in_the_fit(data, trainer):
    schema = data.schema(trust=Column(name="trust", dtype="float", role="weight"))
    good = data.frames["train"].assign(trust=1.0)
    lies = good.assign(label=1 - good["label"], trust=0.0, trip=good["trip"] + "-lie")
    both = TrainSet.of(pd.concat([good, lies]), schema=schema)
    validation = ValidationSet.of(data.frames["validation"].assign(trust=1.0), schema=schema)

    model = trainer(both, validation)

    assert model.card.metrics["auc"] > 0.78


@pytest.mark.parametrize(
    "positive",
    [
        pytest.param(("bool", [False, True], ("false", "true")), id="bool"),
        pytest.param(("category", ["on time", "late"], ("on time", "late")), id="declared order"),
        pytest.param(("int", [1, 2], ("1", "2")), id="larger number"),
    ],
)
def test_the_last_class_is_the_positive_one(data, positive):
    dtype, values, classes = positive
    column = Column(
        name="label",
        dtype=dtype,
        role="label",
        categories=tuple(values) if dtype == "category" else None,
    )

    def named(frame):
        return frame.assign(label=[values[v] for v in frame["label"]])

    model = train_xgboost(
        TrainSet.of(named(data.frames["train"]), schema=data.schema(label=column)),
        ValidationSet.of(named(data.frames["validation"]), schema=data.schema(label=column)),
        n_estimators=20,
    )

    assert model.card.classes == classes
    assert model.card.metrics["auc"] > 0.78
    assert model.card.extra["prior"] == pytest.approx(data.frames["train"]["label"].mean())


@pytest.mark.parametrize(
    ("change", "nullable", "message"),
    [
        pytest.param(
            lambda f: f.head(0),
            False,
            "The training set is empty.\n"
            "  Fix: Look at the filter or the split that made it; it must leave rows.",
            id="empty",
        ),
        pytest.param(
            lambda f: f.assign(label=0),
            False,
            "The training set holds one class only: label 'label' is 0 in all 3,000 rows.\n"
            "  Fix: Take a longer time or another threshold, so that both outcomes occur.",
            id="one class",
        ),
        pytest.param(
            lambda f: f.assign(label=np.arange(len(f)) % 4),
            False,
            "The training set holds 4 classes (0, 1, 2, 3) in label 'label'; two are supported.\n"
            "  Fix: Label one outcome against the others.",
            id="four classes",
        ),
        pytest.param(
            lambda f: f.assign(label=f["label"].where(f.index % 1_000 != 7)),
            True,
            "Label 'label' of the training set is null in 3 rows, the first in row 7.\n"
            "  Fix: Drop or complete those rows where the labels are made.",
            id="null labels",
        ),
        pytest.param(
            lambda f: f.assign(wind=np.nan, carrier=None),
            False,
            "The training set has no value at all in features 'wind', 'carrier'.\n"
            "  Fix: Leave it out of the features, or correct its view: nothing can be learnt "
            "from it.",
            id="features without any value",
        ),
    ],
)
def test_training_data_that_nothing_can_be_learnt_from_is_refused(data, change, nullable, message):
    label = Column(name="label", dtype="int", nullable=nullable, role="label")
    train = TrainSet.of(change(data.frames["train"]), schema=data.schema(label=label))

    with pytest.raises(DataError) as error:
        train_xgboost(train, data.validation)

    assert str(error.value) == message


@pytest.mark.parametrize(
    ("label", "message"),
    [
        pytest.param(
            1,
            "The validation set holds one class only: label 'label' is 1 in all 1,500 rows.\n"
            "  Fix: Take a longer time, so that both outcomes occur.",
            id="one class",
        ),
        pytest.param(
            2,
            "Label 'label' of the validation set is 2, but training saw only 0 and 1.\n"
            "  Fix: Split the sets from the same labels.",
            id="a class that training never saw",
        ),
    ],
)
def test_a_validation_set_that_cannot_judge_is_refused(data, label, message):
    frame = data.frames["validation"].assign(label=label)

    with pytest.raises(DataError) as error:
        train_torch(data.train, ValidationSet.of(frame, schema=data.schema()))

    assert str(error.value) == message


def test_training_leaves_its_inputs_as_they_are(data):
    before = data.train.digest, data.validation.digest

    train_torch(data.train, data.validation, max_epochs=1)

    again = (
        TrainSet.of(data.train.frame(), schema=data.schema()).digest,
        ValidationSet.of(data.validation.frame(), schema=data.schema()).digest,
    )
    assert again == before
