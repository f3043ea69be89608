from __future__ import annotations

import numpy as np
import pytest

from headrace.models import ModelCard, ModelFeature
from operators._importance_intervals import importance_intervals
from operators.scoring import Scorer

CARD = ModelCard(
    task="estimation",
    flavor="sklearn",
    features=tuple(ModelFeature(name=name, dtype="float") for name in ("useful", "decoy", "noise")),
    label="y",
)
# a model that takes `useful` as it is, does not look at `decoy`, and is misled by `noise`
SCORER = Scorer(
    card=CARD, runtime="by hand", scores=lambda m: (m[:, 0] + 0.5 * m[:, 2]).astype(float)
)


def planted(days: int, rows_a_day: int = 40):
    generator = np.random.default_rng(7)
    count = days * rows_a_day
    rows = {name: generator.normal(size=count) for name in ("useful", "decoy", "noise")}
    return rows, rows["useful"].copy(), np.repeat(np.arange(days), rows_a_day)


def test_a_useful_feature_is_surely_worth_something_and_one_that_is_not_read_is_worth_nothing():
    rows, target, days = planted(30)

    found = importance_intervals(SCORER, rows, target, days, confidence=0.95)

    useful = found["useful"]
    assert useful["low"] > 1.5  # shuffled, its squared error is twice its variance
    assert useful["low"] < 2 < useful["high"]
    assert found["decoy"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert found["noise"]["low"] < 0 < found["noise"]["high"]


def test_the_same_rows_give_the_same_and_are_not_changed():
    rows, target, days = planted(25)
    before = {name: values.copy() for name, values in rows.items()}

    one = importance_intervals(SCORER, rows, target, days, confidence=0.9)
    other = importance_intervals(SCORER, rows, target, days, confidence=0.9)

    assert one == other
    assert all(np.array_equal(rows[name], before[name]) for name in rows)


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        pytest.param(19, "There are 19 day blocks; an interval needs at least 20.", id="few days"),
        pytest.param(
            None, "The rows have no decision time, so there are no day blocks.", id="no times"
        ),
    ],
)
def test_without_enough_days_there_is_a_value_and_no_interval(days, reason):
    rows, target, blocks = planted(days or 30)

    found = importance_intervals(
        SCORER, rows, target, None if days is None else blocks, confidence=0.95
    )

    assert found["useful"]["value"] > 1.5
    assert (found["useful"]["low"], found["useful"]["reason"]) == (None, reason)
