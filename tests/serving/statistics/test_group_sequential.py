"""Looks that were fixed beforehand have the published boundaries, and keep their level."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from serving._sequences import block_sequence
from serving.statistics.group_sequential import boundary, chance, group_sequence, look_blocks

ALPHA, LOOKS, BLOCKS, RUNS = 0.05, 5, 60, 4000
# 99.9 % of the time a rate of 5 % is not seen above this in so many runs
SLACK = 3.1 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)


@pytest.mark.parametrize(
    ("looks", "alpha", "published"),
    [
        # Jennison and Turnbull (2000), table 2.3: two-sided 0.05, 0.10 and 0.01
        pytest.param(1, 0.025, 1.960, id="1 look, 0.025"),
        pytest.param(2, 0.025, 1.977, id="2 looks, 0.025"),
        pytest.param(3, 0.025, 2.004, id="3 looks, 0.025"),
        pytest.param(4, 0.025, 2.024, id="4 looks, 0.025"),
        pytest.param(5, 0.025, 2.040, id="5 looks, 0.025"),
        pytest.param(10, 0.025, 2.087, id="10 looks, 0.025"),
        pytest.param(2, 0.05, 1.678, id="2 looks, 0.05"),
        pytest.param(5, 0.05, 1.751, id="5 looks, 0.05"),
        pytest.param(10, 0.05, 1.801, id="10 looks, 0.05"),
        pytest.param(5, 0.005, 2.621, id="5 looks, 0.005"),
    ],
)
def test_the_boundary_is_the_published_one(looks: int, alpha: float, published: float) -> None:
    assert boundary(look_blocks(looks, 60), alpha) == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize("at", [(30, 60), (7, 13, 20), (5, 35, 61)], ids=str)
@pytest.mark.parametrize("constant", [0.5, 1.7, 2.6])
def test_the_chance_is_that_of_the_joint_normal_distribution(at, constant) -> None:
    """The oracle is SciPy's integration of the multivariate normal distribution."""
    n = np.array(at, dtype=np.float64)
    together = np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n))

    never = multivariate_normal(cov=together, abseps=1e-9, releps=1e-9, maxpts=10**6).cdf(
        constant * np.sqrt(n[-1] / n)
    )

    assert chance(at, constant) == pytest.approx(1 - never, abs=2e-6)


def _ever(values: np.ndarray) -> float:
    known = group_sequence(values, alpha=ALPHA, looks=LOOKS, max_blocks=BLOCKS)
    return float((known.log_e >= -math.log(ALPHA)).any(axis=1).mean())


def test_an_equal_challenger_is_rarely_promoted_at_any_look() -> None:
    assert _ever(np.random.default_rng(1).normal(size=(RUNS, BLOCKS))) <= ALPHA + SLACK


def test_the_same_looks_with_one_look_s_boundary_promote_too_often() -> None:
    """The control: the harness sees what the boundary is for."""
    values = np.random.default_rng(1).normal(size=(RUNS, BLOCKS))

    n = np.array(look_blocks(LOOKS, BLOCKS))
    z = np.cumsum(values, axis=1)[:, n - 1] / np.sqrt(n)

    assert (z > norm.ppf(1 - ALPHA)).any(axis=1).mean() > 0.1


@pytest.mark.parametrize("staying", [0.2, 0.4])
def test_days_that_resemble_each_other_do_not_promote(staying: float) -> None:
    values = np.random.default_rng(2).normal(size=(RUNS, BLOCKS))
    for day in range(1, BLOCKS):
        fresh = math.sqrt(1 - staying**2) * values[:, day]
        values[:, day] = staying * values[:, day - 1] + fresh

    assert _ever(values) <= ALPHA + SLACK + 0.01  # not exact with five dozen blocks


def test_there_is_evidence_only_at_looks() -> None:
    values = np.random.default_rng(3).normal(0.3, 1, size=BLOCKS + 10)

    known = group_sequence(values, alpha=ALPHA, looks=LOOKS, max_blocks=BLOCKS)

    assert [i + 1 for i in np.flatnonzero(np.isfinite(known.log_e))] == [12, 24, 36, 48, 60]
    np.testing.assert_array_equal(np.isfinite(known.log_e), np.isfinite(known.lower))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-1, 1), alpha=st.sampled_from([0.05, 0.001]))
def test_the_bound_is_above_zero_exactly_when_the_evidence_suffices(seed, shift, alpha) -> None:
    values = np.random.default_rng(seed).normal(shift, 1, size=BLOCKS)

    known = group_sequence(values, alpha=alpha, looks=LOOKS, max_blocks=BLOCKS)

    looked = np.isfinite(known.log_e)
    near = np.abs(known.log_e + math.log(alpha)) < 1e-6
    enough = known.log_e >= -math.log(alpha)
    assert ((known.lower > 0) == enough)[looked & ~near].all()


def test_it_has_more_power_than_a_sequence_and_nearly_that_of_one_look_at_the_end() -> None:
    values = np.random.default_rng(4).normal(0.32, 1, size=(RUNS, BLOCKS))

    fixed = (values.mean(axis=1) * math.sqrt(BLOCKS) > norm.ppf(1 - ALPHA)).mean()

    known = block_sequence(values, alpha=ALPHA, planned=40, effective=True)
    sequence = (known.log_e[:, 19:] >= -math.log(ALPHA)).any(axis=1).mean()
    # of the distance to the one look, two thirds are for the spread that is not known
    assert sequence + 0.05 < _ever(values)
    assert fixed - 0.08 < _ever(values) <= fixed + 0.01


def test_a_level_that_is_too_small_to_tell_proves_nothing() -> None:
    values = np.random.default_rng(5).normal(5, 1, size=BLOCKS)

    known = group_sequence(values, alpha=1e-20, looks=LOOKS, max_blocks=BLOCKS)

    assert not (known.log_e >= -math.log(1e-20)).any()


def test_values_that_do_not_vary_are_no_evidence() -> None:
    known = group_sequence(np.full(BLOCKS, 0.1), alpha=ALPHA, looks=LOOKS, max_blocks=BLOCKS)

    assert np.isnan(known.log_e).all()
    assert np.isnan(known.lower).all()
