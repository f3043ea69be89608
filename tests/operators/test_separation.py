"""What counts as one feature telling the label, on data where the answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from headrace.schemas import Column, DType, TableSchema
from operators._ranking import ranking_strength
from operators._separation import first_leak

RANDOM = np.random.default_rng(11)
LABEL = RANDOM.integers(0, 2, 2_000)
NOISE = RANDOM.normal(size=2_000)


def examples(label: DType, feature: DType) -> TableSchema:
    return TableSchema(
        name="examples",
        columns=(
            Column(name="y", dtype=label, role="label"),
            Column(name="x", dtype=feature, role="feature", nullable=True, source="view"),
        ),
    )


@pytest.mark.parametrize(
    ("y", "x", "kinds", "leaks"),
    [
        pytest.param(LABEL, -LABEL + NOISE / 10, ("int", "float"), True, id="a number, reversed"),
        pytest.param(LABEL, LABEL + NOISE, ("int", "float"), False, id="a good feature"),
        pytest.param(LABEL, NOISE, ("int", "float"), False, id="noise"),
        pytest.param(LABEL, LABEL.astype(bool), ("int", "bool"), True, id="a truth value"),
        pytest.param(
            LABEL,
            np.where(LABEL == 1, "late", np.where(NOISE > 0, "early", "on time")),
            ("int", "category"),
            True,
            id="a category",
        ),
        pytest.param(
            LABEL, np.arange(2_000).astype(str), ("int", "string"), False, id="a name of each row"
        ),
        pytest.param(NOISE, NOISE**3, ("float", "float"), True, id="a number that ranks a number"),
        pytest.param(NOISE, LABEL * 1.0, ("float", "float"), False, id="unrelated numbers"),
        pytest.param(
            np.where(LABEL == 1, "yes", "no"), LABEL, ("category", "int"), True, id="a text label"
        ),
        pytest.param(LABEL * 0, NOISE, ("int", "float"), False, id="one class"),
        pytest.param(LABEL[:40], LABEL[:40], ("int", "int"), False, id="too few rows to say"),
    ],
)
def test_a_leak_is_a_feature_that_alone_ranks_the_label(y, x, kinds, leaks):
    found = first_leak(pa.table({"y": y, "x": x}), examples(*kinds), trusted=())

    assert (found is not None) == leaks
    if found is not None:
        assert (found.reference, found.label, found.by_null) == ("view:x", "y", False)


def test_of_many_rows_a_sample_decides():
    label = np.tile(LABEL, 200)
    table: Any = pa.table({"y": label, "x": label * 2.0})

    assert first_leak(table, examples("int", "float"), trusted=()) is not None


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.integers(1, 50))
def test_the_strength_is_the_area_under_the_roc_curve(seed, levels):
    random = np.random.default_rng(seed)
    truth = np.r_[np.zeros(40), np.ones(40), random.integers(0, 2, 100)].astype(float)
    values = random.integers(0, levels, len(truth)).astype(float)

    area = roc_auc_score(truth, values)

    assert ranking_strength(values, truth, binary=True) == pytest.approx(max(area, 1 - area))
