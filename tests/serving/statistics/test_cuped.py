"""What was known before takes luck out of a comparison, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import DataError, ParameterError
from serving.statistics.cuped import AdjustedMeans, cuped_blocks

BLOCKS, A_BLOCK = 30, 400
EFFECT, RHO, SHARE = 0.1, 0.8, 0.3


def _units(
    seed: int, *, unknown: float = 0.0, after: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return blocks, arms, values, covariates and weights of units dealt 70 to 30.

    Values have the variance 1 within a block, a correlation of RHO with what was known before, and
    are EFFECT larger in the second arm; `after` is how much the arm moves the covariate, which it
    must not. Of the units with large values the covariate is more often `unknown`.
    """
    random = np.random.default_rng(seed)
    n = BLOCKS * A_BLOCK
    block = np.repeat(np.arange(BLOCKS), A_BLOCK)
    arm = (random.random(n) < SHARE).astype(int)
    before = random.normal(size=n)
    luck = np.sqrt(1 - RHO**2) * random.normal(size=n) + random.normal(size=BLOCKS)[block]
    value = 5 + EFFECT * arm + RHO * before + luck
    covariate = 100 + 10 * before + 10 * after * arm
    covariate[random.random(n) < unknown * (before > 0.5)] = np.nan
    return block, arm, value, covariate, np.where(arm == 1, 1 / SHARE, 1 / (1 - SHARE))


def _differences(means: np.ndarray) -> np.ndarray:
    return means[:, 1] - means[:, 0]


def _many(runs: int, **of: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the differences with and without adjustment of many experiments."""
    found = [cuped_blocks(*_units(seed, **of)) for seed in range(runs)]
    adjusted = np.stack([_differences(each.means)[1:] for each in found])
    plain = np.stack([_differences(each.plain)[1:] for each in found])
    return adjusted, plain


def test_the_variance_of_the_difference_falls_by_the_squared_correlation_and_it_stays_unbiased():
    """40 experiments of 29 blocks: the mean is further off with a chance of one in a thousand."""
    adjusted, plain = _many(40)

    assert adjusted.var() / plain.var() == pytest.approx(1 - RHO**2, abs=0.06)
    assert abs(adjusted.mean() - EFFECT) < 3.3 * adjusted.std() / np.sqrt(adjusted.size)
    assert abs(plain.mean() - EFFECT) < 3.3 * plain.std() / np.sqrt(plain.size)


def test_units_whose_covariate_is_unknown_bias_nothing_though_they_are_the_better_ones() -> None:
    adjusted, plain = _many(40, unknown=0.6)

    assert adjusted.var() < 0.75 * plain.var()
    assert abs(adjusted.mean() - EFFECT) < 3.3 * adjusted.std() / np.sqrt(adjusted.size)


def test_a_covariate_that_the_arms_change_takes_their_effect_away() -> None:
    """The control, and the error that only the caller can avoid: an eighth of its spread will."""
    adjusted, _ = _many(10, after=EFFECT / RHO)

    assert abs(adjusted.mean()) < 0.1 * EFFECT


def test_the_share_of_the_variance_that_was_removed_is_told() -> None:
    found = cuped_blocks(*_units(1))

    # the first of thirty blocks has no theta yet
    assert found.removed == pytest.approx(RHO**2 * (1 - 1 / BLOCKS), abs=0.03)
    assert found.theta[0] == 0
    assert found.theta[5:] == pytest.approx(np.full(BLOCKS - 5, RHO / 10), abs=0.01)


def test_the_first_block_is_not_adjusted() -> None:
    found = cuped_blocks(*_units(2))

    np.testing.assert_array_equal(found.means[0], found.plain[0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), kept=st.integers(1, BLOCKS - 1))
def test_a_block_is_adjusted_by_nothing_that_comes_with_it_or_later(seed: int, kept: int) -> None:
    block, *rest = _units(seed, unknown=0.2)
    arm, value, covariate, weight = rest
    other = value.copy()
    other[block >= kept] = 7 - 2 * other[block >= kept]

    found = cuped_blocks(block, *rest)

    begun = cuped_blocks(*(each[block < kept] for each in (block, *rest)))
    changed = cuped_blocks(block, arm, other, covariate, weight)
    np.testing.assert_array_equal(found.means[:kept], begun.means)
    np.testing.assert_array_equal(found.theta[: kept + 1], changed.theta[: kept + 1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100), shift=st.floats(-1e3, 1e3))
def test_neither_the_unit_of_the_covariate_nor_the_order_of_rows_matters(seed, scale, shift):
    block, arm, value, covariate, weight = _units(seed, unknown=0.2)
    order = np.random.default_rng(seed).permutation(block.size)

    found = cuped_blocks(block, arm, value, covariate, weight)

    moved = cuped_blocks(
        block[order], arm[order], value[order], (scale * covariate + shift)[order], weight[order]
    )
    np.testing.assert_allclose(moved.means, found.means, rtol=1e-7)


def test_the_means_are_weighted_by_the_chances_that_units_had() -> None:
    """The same as least squares by numpy of what has been seen in the block before."""
    block, arm = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1]
    value = np.array([1.0, 2.0, 3.0, 5.0, 4.0, 1.0, 2.0, 6.0])
    known = np.array([0.0, 1.0, 1.0, 4.0, 3.0, 1.0, 2.0, 2.0])
    weight = np.array([2.0, 4.0, 1.0, 3.0, 1.0, 1.0, 1.0, 3.0])

    found = cuped_blocks(block, arm, value, known, weight)

    y, x = [], []  # residuals around the means of each arm, by their share of the weight
    for rows in (slice(0, 2), slice(2, 4)):
        share = weight[rows] / weight[rows].sum()
        y.extend(share * (value[rows] - np.average(value[rows], weights=weight[rows])))
        x.extend(share * (known[rows] - np.average(known[rows], weights=weight[rows])))
    theta = np.linalg.lstsq(np.array(x)[:, None], np.array(y), rcond=None)[0][0]
    usual = np.average(known[4:], weights=weight[4:])
    assert found.theta == pytest.approx([0, theta])
    assert found.plain[1] == pytest.approx([2.5, 5.0])
    assert found.means[1] == pytest.approx([2.5 - theta * (2 - usual), 5 - theta * (2 - usual)])


def test_what_is_not_known_stays_unknown_and_unsettles_no_other_block() -> None:
    block, arm, value, covariate, weight = _units(3)
    value[(block == 2) & (arm == 1)] = np.nan
    without = (block == 4) & (arm == 0)
    block[without] = -1

    found = cuped_blocks(block, arm, value, covariate, weight)

    unknown = np.zeros((BLOCKS, 2), dtype=bool)
    unknown[2, 1] = unknown[4, 0] = True
    np.testing.assert_array_equal(np.isnan(found.means), unknown)
    assert np.isfinite(found.theta).all()
    assert np.isfinite(found.removed)


@pytest.mark.parametrize(
    "covariate",
    [
        pytest.param(np.nan, id="never known"),
        pytest.param(0.1, id="always the same"),
        pytest.param(np.inf, id="no number"),
    ],
)
def test_a_covariate_that_says_nothing_changes_nothing(covariate: float) -> None:
    block, arm, value, _, weight = _units(4)

    found = cuped_blocks(block, arm, value, np.full(block.size, covariate), weight)

    np.testing.assert_array_equal(found.means, found.plain)
    assert found.removed == 0


def test_of_no_rows_nothing_is_known() -> None:
    found = cuped_blocks([], [], [], [], [])

    assert isinstance(found, AdjustedMeans)
    assert found.means.shape == (0, 2)
    assert np.isnan(found.removed)


def test_rows_that_were_not_dealt_are_refused() -> None:
    with pytest.raises(DataError) as no_arm:
        cuped_blocks([0, 0], [0, 2], [1, 1], [1, 1], [1, 1])
    with pytest.raises(DataError) as no_weight:
        cuped_blocks([0, 0], [0, 1], [1, 1], [1, 1], [1, np.inf])
    with pytest.raises(ParameterError):
        cuped_blocks([0, 0], [0], [1, 1], [1, 1], [1, 1])

    assert str(no_arm.value) == (
        "Row 1 met the arm 2.\n"
        "  Fix: Give 0 for the champion and 1 for the challenger, and no other rows."
    )
    assert str(no_weight.value) == (
        "Row 1 has the weight inf.\n"
        "  Fix: Give 1 / propensity; leave out rows that were not dealt with a known chance."
    )
