"""Blocks that resemble their neighbours are told from those that do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.statistics.block_length import BlockLength, block_length

RUNS = 400


def _days(seed: int, staying: float, size: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(RUNS, size + 50))
    for day in range(1, size + 50):
        fresh = math.sqrt(1 - staying**2) * values[:, day]
        values[:, day] = staying * values[:, day - 1] + fresh
    return values[:, 50:]


@pytest.mark.parametrize("size", [20, 60])
def test_independent_blocks_are_rarely_called_too_short(size: int) -> None:
    """False alarm 1 in 1,000: at 2 % of 400 runs, 3.1 standard errors are 2.2 points."""
    said = [block_length(values).too_short for values in _days(1, 0.0, size)]

    assert np.mean(said) <= 0.02 + 0.022


def test_days_that_are_mostly_the_day_before_are_called_too_short() -> None:
    said = [block_length(values).too_short for values in _days(2, 0.7, 60)]

    assert np.mean(said) > 0.9


def test_the_figures_are_those_of_the_process() -> None:
    found = [block_length(values) for values in _days(3, 0.3, 120)]

    # of an autoregression the k-th autocorrelation is 0.3**k
    ratio = 1 + 2 * sum((1 - k / 7) * 0.3**k for k in range(1, 7))
    assert np.mean([f.autocorrelation for f in found]) == pytest.approx(0.3, abs=0.02)
    assert np.mean([f.variance_ratio for f in found]) == pytest.approx(ratio, abs=0.06)
    assert {f.longer for f in found} == {7}


def test_luck_that_stays_for_a_week_shows_in_longer_blocks() -> None:
    weeks = np.random.default_rng(4).normal(size=20).repeat(7)
    values = weeks + np.random.default_rng(5).normal(size=140)

    found = block_length(values)

    assert found.too_short
    assert found.variance_ratio is not None
    assert found.variance_ratio > 2


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.integers(-60, 60), size=st.integers(20, 80))
def test_the_figures_depend_on_no_unit(seed: int, scale: int, size: int) -> None:
    values = np.random.default_rng(seed).normal(0.2, 1, size=size)

    found, scaled = block_length(values), block_length(values * 2.0**scale)

    assert scaled.too_short == found.too_short
    assert scaled.p_value == pytest.approx(found.p_value, rel=1e-9)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([0.1, 0.2] * 9, id="fewer than twenty"),
        pytest.param([0.1] * 30, id="all equal"),
        pytest.param([0.0] * 30, id="all nought"),
    ],
)
def test_what_cannot_be_told_is_not_told(values: list[float]) -> None:
    found = block_length(np.array(values, dtype=np.float64))

    assert found == BlockLength(blocks=len(values))
    assert found.to_json()["too_short"] is None
