"""A model in ONNX answers as its own library does, beside every split and for every category."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators._encoding import encode
from operators._onnx import to_onnx, trees_of
from operators._onnx_session import onnx_scores
from operators._probes import probe_rows
from operators._trees import rounded_down
from operators.scoring import load

_CLASSIFIERS = ["xgboost", "boosting", "extra_trees", "logistic", "torch"]
_ESTIMATORS = ["xgboost", "boosting", "extra_trees", "ridge", "torch"]
_EVERY = [(name, "classification") for name in _CLASSIFIERS] + [
    (name, "estimation") for name in _ESTIMATORS
]


def _converted(model, *, threads=1):
    return onnx_scores(to_onnx(model.card, model.read), threads=threads)


@pytest.mark.parametrize(("trainer", "task"), _EVERY)
def test_real_flights_get_the_same_answer(fitted, flights, trainer, task):
    model = fitted(trainer, task)
    rows = encode(flights.frame, model.card)

    found, expected = _converted(model)(rows), load(model).scores(rows)

    assert np.isnan(rows).any()
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * expected.std())


@pytest.mark.parametrize("trainer", ["xgboost", "boosting", "extra_trees"])
def test_each_split_sends_values_at_it_and_right_beside_it_where_the_model_does(fitted, trainer):
    model = fitted(trainer)
    thresholds = trees_of(model.card, model.read).thresholds()
    rows = probe_rows(model.card, 4_000, seed=5, thresholds=thresholds)

    found, expected = _converted(model)(rows), load(model).scores(rows)

    numbers = [i for i, f in enumerate(model.card.features) if f.dtype in ("float", "int")]
    for feature in numbers:
        splits = thresholds[feature]
        beside = [np.nextafter(splits, np.float32(to)) for to in (-np.inf, np.inf)]
        for asked in (splits, *beside):
            assert np.isin(rows[:, feature], asked).sum() > 10
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("trainer", _CLASSIFIERS)
def test_each_category_and_null_of_each_feature_gets_the_same_answer(fitted, flights, trainer):
    model = fitted(trainer)
    base = encode(flights.frame[:3], model.card)
    rows = []
    for position, feature in enumerate(model.card.features):
        for code in (*range(len(feature.categories or ())), np.nan):
            changed = base.copy()
            changed[:, position] = code
            rows.append(changed)
    matrix = np.concatenate(rows)

    found, expected = _converted(model)(matrix), load(model).scores(matrix)

    assert len(matrix) > 1_000  # of tails alone there are 254
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("trainer", _CLASSIFIERS)
@pytest.mark.parametrize(
    "features",
    [
        pytest.param(("departure_delay", "hour"), id="numbers only"),
        pytest.param(("carrier", "dest"), id="categories only"),
    ],
)
def test_models_of_one_sort_of_feature_get_the_same_answer(fitted, trainer, features):
    model = fitted(trainer, "classification", *features)
    rows = probe_rows(model.card, 1_000, seed=1)

    found, expected = _converted(model)(rows), load(model).scores(rows)

    assert np.abs(found - expected).max() < 1e-6


def test_a_conversion_is_the_same_bytes_each_time(fitted):
    model = fitted("boosting")

    first, second = (to_onnx(model.card, model.read) for _ in range(2))

    assert first == second


def test_a_booster_that_is_no_sum_of_trees_is_left_to_its_library(fitted):
    import xgboost

    model = fitted("xgboost")
    draw = np.random.default_rng(0)
    data = xgboost.DMatrix(draw.normal(size=(50, 7)), label=draw.integers(0, 2, 50))
    linear = xgboost.train({"booster": "gblinear", "objective": "binary:logistic"}, data, 2)

    found = to_onnx(model.card, lambda _: bytes(linear.save_raw("ubj")))

    assert found is None


def test_no_rows_get_no_answers(fitted):
    model = fitted("xgboost")
    none = np.empty((0, len(model.card.features)), dtype=np.float32)

    found = _converted(model)(none)

    assert found.shape == (0,)


@given(st.floats(allow_nan=False), st.floats(width=32, allow_nan=False))
def test_a_value_is_at_most_a_threshold_exactly_when_it_is_at_most_the_rounded_one(
    threshold, value
):
    rounded = float(rounded_down(np.array([threshold]))[0])

    assert (value <= rounded) == (value <= threshold)


def test_a_threshold_between_two_32_bit_numbers_would_change_sides_by_ordinary_rounding():
    threshold = np.array([0.1 + 1e-9])  # the nearest 32-bit number lies above it
    value = np.float32(threshold[0])

    rounded = rounded_down(threshold)

    assert value > threshold[0]
    assert value > rounded[0]
