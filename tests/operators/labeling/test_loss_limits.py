"""How sure a mean loss is: limits that hold as often as they promise, and controls that do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from operators._loss_limits import (
    LEAST_TO_PROVE,
    at_most,
    difference,
    mean_loss,
    standard_error,
)
from operators.compare_models import paired

_WRONG = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)
_SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=40)
_WORLDS = 2_000


@given(_WRONG)
def test_of_losses_of_zero_and_one_the_difference_is_that_of_two_accuracies(
    wrong: list[tuple[bool, bool]],
):
    new, old = np.array(wrong, dtype=float).T

    found = difference(new, old, is_share=True, confidence=0.95)

    only_new, only_old = int((new < old).sum()), int((new > old).sum())
    expected = paired(only_new, only_old, len(wrong), 0.95)
    assert (found.value, found.low, found.high) == pytest.approx(expected)


@given(_SHARES, st.floats(0.5, 0.99))
def test_a_limit_is_no_better_than_the_mean_and_looser_the_surer_it_is(
    losses: list[float], confidence: float
):
    given_ = np.array(losses)

    limit = at_most(given_, is_share=True, confidence=confidence)
    surer = at_most(given_, is_share=True, confidence=(1 + confidence) / 2)

    assert given_.mean() - 1e-9 <= limit <= surer <= 1.0


@given(st.integers(1, 200))
def test_of_items_without_any_loss_the_limit_is_the_exact_one(count: int):
    limit = at_most(np.zeros(count), is_share=True, confidence=0.95)

    assert limit == pytest.approx(1 - 0.05 ** (1 / count), abs=1e-9)


def test_limits_of_shares_err_as_seldom_as_they_promise_where_students_do_not():
    """Sets of choices that are nearly always right: 1 item in 25 loses a half."""
    draws = np.random.default_rng(7)
    losses = 0.5 * (draws.random((_WORLDS, 40)) < 0.04)
    truth = 0.02

    ours = np.mean([at_most(each, is_share=True, confidence=0.95) < truth for each in losses])
    error = losses.std(axis=1, ddof=1) / math.sqrt(40)
    students = np.mean(losses.mean(axis=1) + stdtrit(39, 0.95) * error < truth)

    assert ours <= 0.05
    assert students > 0.1  # a fifth of the worlds shows no loss at all, and no spread


def test_limits_of_errors_err_seldom_though_errors_are_skewed_where_students_err_more():
    """Squares of normal errors are skewed: most are small, some are large."""
    draws = np.random.default_rng(11)
    errors = draws.normal(size=(_WORLDS, 60)) ** 2
    truth = 1.0

    ours = np.mean([at_most(each, is_share=False, confidence=0.95) < truth for each in errors])
    error = errors.std(axis=1, ddof=1) / math.sqrt(60)
    students = np.mean(errors.mean(axis=1) + stdtrit(59, 0.95) * error < truth)

    assert ours <= 0.07  # nearly what is promised: it holds exactly only as items are many
    assert students > 0.085


def test_nothing_is_proven_of_errors_before_their_spread_is_known():
    few = np.ones(LEAST_TO_PROVE - 1)

    assert at_most(few, is_share=False, confidence=0.95) == math.inf
    assert at_most(np.arange(LEAST_TO_PROVE), is_share=False, confidence=0.95) < math.inf


def test_errors_that_are_all_the_same_prove_nothing_and_no_model_is_better_by_them():
    """One item in 25 is off by ten, which three in ten slices of 30 items do not show."""
    draws = np.random.default_rng(13)
    errors = 10.0 * (draws.random((_WORLDS, LEAST_TO_PROVE)) < 0.04)

    wrong = np.mean([at_most(each, is_share=False, confidence=0.95) < 0.4 for each in errors])
    gain = difference(np.array([1.0, 2.0]), np.array([2.0, 3.0]), is_share=False, confidence=0.95)

    assert np.mean(errors.max(axis=1) == 0) > 0.25
    assert wrong <= 0.05
    assert (gain.value, gain.low) == (1.0, -math.inf)
    assert mean_loss(np.ones(2), is_share=False, confidence=0.95).high == math.inf


def test_the_standard_error_of_a_few_shares_alike_is_that_of_half_an_item_of_either_sort():
    assert standard_error(np.zeros(4), is_share=True) == pytest.approx(0.3 / math.sqrt(5))
    assert standard_error(np.ones(4), is_share=False) == math.inf
    assert standard_error(np.array([0.0, 2.0]), is_share=False) == pytest.approx(1.0)


def test_the_interval_of_errors_is_students_and_no_error_is_below_zero():
    found = mean_loss(np.array([0.0, 0.0, 3.0]), is_share=False, confidence=0.95)

    assert found.value == 1.0
    assert found.low == 0.0
    assert found.high == pytest.approx(1 + stdtrit(2, 0.975))
