"""Rows as requests bring them become the matrix that the columns of the same rows become."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import DataError
from headrace.models import ModelCard, ModelFeature
from operators._encoding import encode
from operators.encoder import compile_encoder

_CARD = ModelCard(
    task="classification",
    flavor="xgboost",
    label="label",
    features=(
        ModelFeature(name="wind", dtype="float"),
        ModelFeature(name="carrier", dtype="category", categories=("AA", "UA")),
        ModelFeature(name="weekend", dtype="bool"),
        ModelFeature(name="hour", dtype="int"),
    ),
)
_NAMES = _CARD.feature_names
# Beyond 2**53 a column of integers and one of floats round differently, in `encode` too.
_NUMBERS = st.one_of(
    st.none(), st.floats(width=32, allow_infinity=False), st.floats(-1e30, 1e30), st.booleans(),
    st.integers(-(2**53), 2**53), st.floats(-1e30, 1e30).map(np.float64),
)  # fmt: skip
_CATEGORIES = st.one_of(
    st.none(), st.sampled_from(["AA", "UA", "", "ua"]), st.text(), st.integers()
)
_ROWS = st.lists(st.tuples(_NUMBERS, _CATEGORIES, _NUMBERS, _NUMBERS), min_size=1, max_size=20)


def _by_columns(rows):
    return encode({n: [r[i] for r in rows] for i, n in enumerate(_NAMES)}, _CARD)


@given(_ROWS)
def test_any_rows_become_what_their_columns_become(rows):
    found = compile_encoder(_CARD)(rows)

    assert (found.dtype, found.shape) == (np.float32, (len(rows), 4))
    np.testing.assert_array_equal(found, _by_columns(rows))


_WRONG = [
    pytest.param(("1.5", "UA", True, 3), id="text for a number"),
    pytest.param((1.5, ["UA"], True, 3), id="a list for a category"),
    pytest.param((1.5, {"a": 1}, True, 3), id="a dict for a category"),
    pytest.param((1e300, "UA", True, 3), id="too large for 32 bits"),
    pytest.param((float("inf"), "UA", True, 3), id="infinite"),
    pytest.param((1.5, "UA", float("-inf"), 3), id="infinitely negative"),
]


@pytest.mark.parametrize("row", _WRONG)
@pytest.mark.parametrize("before", [0, 1, 7], ids=["alone", "second", "eighth"])
def test_what_columns_are_refused_for_rows_are_refused_for(row, before):
    rows = [(1.0, "AA", False, 3)] * before + [row]

    with pytest.raises(DataError) as expected:
        _by_columns(rows)
    with pytest.raises(DataError) as found:
        compile_encoder(_CARD)(rows)

    assert type(found.value) is type(expected.value)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("before", [0, 1, 7], ids=["alone", "second", "eighth"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(
            [3],
            "Feature 'hour' is int but holds [3].\n"
            "  Fix: Give it as int, or as null where it is not known.",
            id="a list for a number",
        ),
        pytest.param(
            10**400,
            "Feature 'hour' is infinite in row {row}, or too large for a 32-bit number.\n"
            "  Fix: Correct the feature view, or give a null where the value is not known.",
            id="too large for any number",
        ),
    ],
)
def test_what_columns_cannot_hold_is_refused_in_the_same_words(before, value, message):
    rows = [(1.0, "AA", False, 3)] * before + [(1.5, "UA", True, value)]

    with pytest.raises(DataError) as error:
        compile_encoder(_CARD)(rows)

    assert str(error.value) == message.replace("{row}", str(before))


@pytest.mark.parametrize("row", [(1.0, "AA", True), (1.0, "AA", True, 3, 4), ()])
def test_a_row_of_another_length_is_named(row):
    rows = [(1.0, "AA", True, 3), row]

    with pytest.raises(DataError) as error:
        compile_encoder(_CARD)(rows)

    assert str(error.value) == (
        f"Row 1 has {len(row)} values, but the xgboost model has 4 features.\n"
        "  Fix: Give every feature of the model's card, in its order; a null where it is not known."
    )


def test_no_rows_become_no_rows():
    found = compile_encoder(_CARD)([])

    assert (found.dtype, found.shape) == (np.float32, (0, 4))


def test_a_matrix_is_its_callers_own():
    encoded = compile_encoder(_CARD)
    first = encoded([(1.0, "AA", True, 3)])
    first[:] = 0

    second = encoded([(1.0, "AA", True, 3)])

    assert second.tolist() == [[1.0, 0.0, 1.0, 3.0]]
    assert second.flags.writeable
    assert second.flags.c_contiguous
