from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from headrace.errors import DataError
from headrace.models import ModelCard, ModelFeature
from headrace.schemas import Column
from operators._dense import dense_parts, fit_dense, one_hot
from operators._encoding import MAX_CATEGORIES, encode, fit_features

_CARD = ModelCard(
    task="classification",
    flavor="xgboost",
    label="label",
    features=(
        ModelFeature(name="wind", dtype="float"),
        ModelFeature(name="carrier", dtype="category", categories=("AA", "UA")),
        ModelFeature(name="weekend", dtype="bool"),
    ),
)
_ROWS = {"wind": [1.5, None, -2.0], "carrier": ["UA", None, "ZZ"], "weekend": [True, False, None]}
_NAN = float("nan")


def test_numbers_stay_categories_become_codes_and_what_is_not_known_is_nan():
    matrix = encode(_ROWS, _CARD)

    expected = np.array([[1.5, 1, 1], [_NAN, _NAN, 0], [-2.0, _NAN, _NAN]], dtype=np.float32)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(pd.DataFrame(_ROWS), id="pandas objects"),
        pytest.param(pd.DataFrame(_ROWS).astype({"carrier": "category"}), id="pandas categories"),
        pytest.param({k: np.array(v, dtype=object) for k, v in _ROWS.items()}, id="arrays"),
        pytest.param({**_ROWS, "tail": ["N1", "N2", "N3"]}, id="a column too many"),
    ],
)
def test_every_container_of_the_same_rows_gives_the_same_matrix(rows):
    np.testing.assert_array_equal(encode(rows, _CARD), encode(_ROWS, _CARD))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(
            {"wnd": [1.0], "carrier": ["UA"], "weekend": [True]},
            "The rows lack feature 'wind', which the xgboost model was fitted on."
            " Did you mean 'wnd'?\n"
            "  Fix: Give every feature of the model's card; a null where it is not known.",
            id="a feature is missing",
        ),
        pytest.param(
            {"wind": ["1.5"], "carrier": ["UA"], "weekend": [True]},
            "Feature 'wind' is float but holds '1.5'.\n"
            "  Fix: Give it as float, or as null where it is not known.",
            id="text for a number",
        ),
        pytest.param(
            {"wind": [1.0], "carrier": [["UA"]], "weekend": [True]},
            "Feature 'carrier' is category but holds ['UA'].\n"
            "  Fix: Give it as category, or as null where it is not known.",
            id="a list for a category",
        ),
        pytest.param(
            {"wind": [1.0, [2.0]], "carrier": ["UA", "AA"], "weekend": [True, True]},
            "Feature 'wind' is float but holds [2.0].\n"
            "  Fix: Give it as float, or as null where it is not known.",
            id="a list for a number",
        ),
        pytest.param(
            {"wind": [1.0, 10**400], "carrier": ["UA", "AA"], "weekend": [True, True]},
            "Feature 'wind' is infinite in row 1, or too large for a 32-bit number.\n"
            "  Fix: Correct the feature view, or give a null where the value is not known.",
            id="larger than any float",
        ),
        pytest.param(
            {"wind": [1.0, 1e300], "carrier": ["UA", "AA"], "weekend": [True, True]},
            "Feature 'wind' is infinite in row 1, or too large for a 32-bit number.\n"
            "  Fix: Correct the feature view, or give a null where the value is not known.",
            id="too large",
        ),
        pytest.param(
            {"wind": [1.0, 2.0], "carrier": ["UA"], "weekend": [True]},
            "The columns of features are not equally long: 'wind' 2, 'carrier' 1, 'weekend' 1.\n"
            "  Fix: Give every feature one value a row; a null where it is not known.",
            id="unequal lengths",
        ),
    ],
)
def test_rows_that_a_model_cannot_read_are_refused_with_a_remedy(rows, message):
    with pytest.raises(DataError) as error:
        encode(rows, _CARD)

    assert str(error.value) == message


def test_categories_are_those_of_training_in_alphabetical_order():
    frame = pd.DataFrame({"carrier": ["UA", "AA", None, "UA"], "wind": [1.0, 2.0, 3.0, 4.0]})
    columns = [
        Column(name="wind", dtype="float"),
        Column(name="carrier", dtype="string", source="carriers"),
    ]

    wind, carrier = fit_features(frame, columns)

    assert (wind.dtype, wind.categories) == ("float", None)
    assert (carrier.dtype, carrier.categories, carrier.source) == (
        "category",
        ("AA", "UA"),
        "carriers",
    )


def test_of_too_many_categories_the_most_frequent_are_kept():
    values = [f"T{i:03}" for i in range(300)] + ["T299", "T298"]

    (tail,) = fit_features(pd.DataFrame({"tail": values}), [Column(name="tail", dtype="string")])

    assert tail.categories is not None
    assert len(tail.categories) == MAX_CATEGORIES
    assert tail.categories[-2:] == ("T298", "T299")
    assert tail.categories[:3] == ("T000", "T001", "T002")


def test_nulls_are_filled_by_the_training_median_and_flagged():
    train = np.array([[1.0, 0], [3.0, 1], [_NAN, _NAN], [8.0, 1]], dtype=np.float32)
    constants = fit_dense(train, _CARD.features[:2])

    numbers, codes = dense_parts(np.array([[_NAN, _NAN], [3.0, 0]], dtype=np.float32), constants)

    assert constants["fill"] == [3.0]
    np.testing.assert_array_equal(numbers[0], [numbers[1][0], 1.0])  # 3 is the median
    assert numbers[1][1] == 0.0
    assert codes.tolist() == [[2], [0]]  # 2 is "not known", after AA and UA


def test_a_linear_model_sees_one_column_a_category_and_one_for_not_known():
    train = np.array([[1.0, 0], [3.0, 1]], dtype=np.float32)
    constants = fit_dense(train, _CARD.features[:2])

    wide = one_hot(np.array([[2.0, 1], [2.0, _NAN]], dtype=np.float32), constants)

    np.testing.assert_array_equal(wide, [[0, 0, 1, 0], [0, 0, 0, 1]])


def test_a_value_far_outside_of_training_is_held_to_ten_deviations():
    constants = fit_dense(np.array([[-1.0], [1.0]], dtype=np.float32), _CARD.features[:1])

    numbers, _ = dense_parts(np.array([[1e6]], dtype=np.float32), constants)

    assert numbers.tolist() == [[10.0]]
