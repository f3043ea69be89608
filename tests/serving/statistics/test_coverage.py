"""Outcomes that one arm loses are found; days that have fewer for both are not taken for it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from headrace.errors import DataError, ParameterError
from serving.statistics.coverage import log_e_of_coverage

ALPHA, GAP, DAYS, A_DAY = 0.05, 0.02, 40, 2000
STEADY = np.full(DAYS, 0.9)
FALLING = np.linspace(0.95, 0.5, DAYS)
EVEN = np.full(DAYS, 0.5)
RAMP = np.linspace(0.02, 0.6, DAYS)


def _counts(
    random: np.random.Generator, *, rate: np.ndarray, less: float, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return decisions and known outcomes of two arms by day, `(n_days, 2)`."""
    theirs = random.binomial(A_DAY, share)
    decisions = np.stack([A_DAY - theirs, theirs], axis=1)
    known = random.binomial(decisions, np.stack([rate, rate - less], axis=1))
    return decisions, known


@pytest.mark.parametrize(
    ("rate", "share"),
    [
        pytest.param(STEADY, EVEN, id="steady"),
        pytest.param(FALLING, EVEN, id="fewer outcomes every day"),
        pytest.param(FALLING, RAMP, id="fewer every day, while the challenger gets more traffic"),
    ],
)
def test_arms_within_the_gap_are_rarely_found_to_differ_however_often_one_looks(rate, share):
    """At the very edge of what is allowed; 300 experiments, a look after each of 40 days.

    At 5 % more than 26 of them would be a false alarm with a chance of one in a thousand.
    """
    random = np.random.default_rng(1)

    false = 0
    for _ in range(300):
        decisions, known = _counts(random, rate=rate, less=GAP, share=share)
        false += log_e_of_coverage(decisions, known, gap=GAP).max() >= -math.log(ALPHA)

    assert false <= 26


def test_totals_over_days_find_a_difference_that_no_day_has() -> None:
    """The control: Simpson's paradox, on the same counts, with the arms exactly alike."""
    decisions, known = _counts(np.random.default_rng(1), rate=FALLING, less=0.0, share=RAMP)

    shares = known.sum(axis=0) / decisions.sum(axis=0)
    by_day = log_e_of_coverage(decisions, known, gap=GAP)

    spread = np.sqrt((shares * (1 - shares) / decisions.sum(axis=0)).sum())
    assert shares[0] - shares[1] > GAP + 10 * spread
    assert by_day.max() < math.log(20)


def test_asking_an_ordinary_test_every_day_finds_what_is_not_there() -> None:
    """The control for looking often: a two-sided z test at 5 %, of arms exactly alike."""
    random = np.random.default_rng(2)

    false = 0
    for _ in range(300):
        counts = _counts(random, rate=STEADY, less=0.0, share=EVEN)
        decisions, known = (np.cumsum(each, axis=0) for each in counts)
        shares = known / decisions
        spread = np.sqrt((shares * (1 - shares) / decisions).sum(axis=1))
        false += (np.abs(shares[:, 0] - shares[:, 1]) > 1.96 * spread).any()

    assert false > 0.15 * 300


@pytest.mark.parametrize(
    ("less", "share", "most"),
    [
        pytest.param(0.04, EVEN, 15, id="twice the gap"),
        pytest.param(0.10, EVEN, 3, id="five times the gap"),
        pytest.param(-0.06, EVEN, 6, id="the champion loses outcomes"),
        pytest.param(0.05, np.full(DAYS, 0.1), 25, id="an arm with a tenth of the traffic"),
    ],
)
def test_an_arm_that_loses_outcomes_is_found_at_one_in_a_thousand(less, share, most):
    """The median of 41 experiments, in days of 2,000 decisions."""
    random = np.random.default_rng(3)

    needed = []
    for _ in range(41):
        decisions, known = _counts(random, rate=STEADY, less=less, share=share)
        enough = log_e_of_coverage(decisions, known, gap=GAP) >= math.log(1000)
        needed.append(enough.argmax() + 1 if enough.any() else math.inf)

    assert np.median(needed) <= most


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(0.7, 0.7, id="equal"),
        pytest.param(0.7, 0.8, id="at the gap"),
        pytest.param(0.35, 0.3, id="within it"),
        pytest.param(0.0, 0.05, id="next to nothing"),
        pytest.param(1.0, 0.9, id="all of one arm"),
    ],
)
@pytest.mark.parametrize("sizes", [(6, 6), (9, 2), (1, 7)])
def test_the_evidence_of_arms_within_the_gap_is_expected_to_be_at_most_one(first, second, sizes):
    """Exactly: over all counts of a second day, whatever the first day taught."""
    before = np.array([[20, 20], [16, 17]])
    pairs = itertools.product(*(range(n + 1) for n in sizes))

    expected = 0.0
    for counts in pairs:
        chance = binom.pmf(counts, sizes, [first, second]).prod()
        log_e = log_e_of_coverage([before[0], sizes], [before[1], counts], gap=0.1)[-1]
        expected += float(chance) * math.exp(log_e)

    assert expected <= 1 + 1e-9


def test_without_a_gap_it_is_the_statistic_of_the_paper() -> None:
    """Turner, Ly and Grünwald's: the nearest equal shares are the mean, by numbers of decisions."""
    decisions, known = np.array([[50, 30], [40, 60]]), np.array([[40, 20], [30, 50]])
    excesses = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64]
    centre = 60.5 / 81

    ratios = []
    for difference in [*(-each for each in excesses), *excesses]:
        first = centre - 0.6 * difference
        first = min(max(first, 1e-4, 1e-4 - difference), 1 - 1e-4, 1 - 1e-4 - difference)
        second = first + difference
        both = 0.4 * first + 0.6 * second
        ratios.append(
            (first / both) ** 30
            * ((1 - first) / (1 - both)) ** 10
            * (second / both) ** 50
            * ((1 - second) / (1 - both)) ** 10
        )
    found = log_e_of_coverage(decisions, known, gap=0.0)

    assert found == pytest.approx([0.0, math.log(np.mean(ratios))], rel=1e-9, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), gap=st.sampled_from([0.0, 0.02, 0.3]))
def test_it_matters_neither_which_arm_is_first_nor_what_comes_later(seed: int, gap: float) -> None:
    random = np.random.default_rng(seed)
    decisions = random.integers(0, 200, size=(12, 2))
    known = random.binomial(decisions, random.random())

    found = log_e_of_coverage(decisions, known, gap=gap)

    turned = log_e_of_coverage(decisions[:, ::-1], known[:, ::-1], gap=gap)
    begun = log_e_of_coverage(decisions[:7], known[:7], gap=gap)
    np.testing.assert_allclose(found, turned, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[:7], begun, rtol=1e-12, atol=1e-12)


def test_one_arm_alone_one_block_and_none_are_no_evidence() -> None:
    assert log_e_of_coverage(np.zeros((0, 2)), np.zeros((0, 2)), gap=0.02).size == 0
    assert log_e_of_coverage([[100, 100]], [[100, 0]], gap=0.02).tolist() == [0.0]
    alone = log_e_of_coverage(
        [[100, 0]] * 5, [[70, 0], [90, 0], [10, 0], [0, 0], [99, 0]], gap=0.02
    )
    assert alone == pytest.approx(np.zeros(5), abs=1e-9)


@pytest.mark.parametrize(
    ("known", "gap", "kind", "message"),
    [
        pytest.param(
            [[1, 1], [3, 9]],
            0.02,
            DataError,
            "In block 1 outcomes of [3.0, 9.0] decisions are known, of [5.0, 5.0].\n"
            "  Fix: Give counts of at least 0, no more known than there are decisions.",
            id="more known than decided",
        ),
        pytest.param(
            [[1, np.nan], [3, 3]],
            0.02,
            DataError,
            "In block 0 outcomes of [1.0, nan] decisions are known, of [5.0, 5.0].\n"
            "  Fix: Give counts of at least 0, no more known than there are decisions.",
            id="an unknown count",
        ),
        pytest.param(
            [[1, 1], [3, 3]],
            1.5,
            ParameterError,
            "Shares cannot be allowed to differ by 1.5.\n"
            "  Fix: Give a difference from 0 to below 1, such as 0.02.",
            id="a gap that is none",
        ),
        pytest.param(
            [[1, 1, 1], [3, 3, 3]],
            0.02,
            ParameterError,
            "Counts of the shape (2, 2) and (2, 3) are not those of two arms.\n"
            "  Fix: Give one row for each block, with a count for each of the two arms.",
            id="three arms",
        ),
    ],
)
def test_counts_that_cannot_be_are_refused(known, gap, kind, message) -> None:
    with pytest.raises(kind) as refused:
        log_e_of_coverage([[5, 5], [5, 5]], known, gap=gap)

    assert str(refused.value) == message
