"""An independent library, ville, computes the same sequences and e-processes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta
from ville import AsymptoticCS, BernoulliTest, normal_mixture

from serving._sequences import block_sequence, log_e_of_errors
from serving.statistics.boundaries import boundary_scores

ALPHA, PLANNED = 0.05, 40


def _without_corrections(seed: int) -> np.ndarray:
    """Return values that have nothing to correct for: good ones stand out, and they alternate."""
    random = np.random.default_rng(seed)
    sizes = 0.2 + random.exponential(size=80)
    return np.where(np.arange(80) % 2, 0.6 * sizes, -0.45 * sizes.clip(max=1)) + 0.1


def _precision() -> float:
    size = -2 * math.log(2 * ALPHA)
    return PLANNED / (size + math.log(size + 1))


def test_the_boundary_is_the_one_sided_normal_mixture() -> None:
    n = np.arange(1, 200, dtype=np.float64)

    ours = boundary_scores(alpha=ALPHA, planned=PLANNED, n=n)

    theirs = normal_mixture(n, ALPHA, _precision(), one_sided=True)
    np.testing.assert_allclose(ours * np.sqrt(n), theirs, rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_the_asymptotic_confidence_sequence_where_nothing_is_to_correct(seed) -> None:
    values = _without_corrections(seed)
    theirs = AsymptoticCS(alpha=ALPHA, t_opt=PLANNED, min_samples=2).fit(values)
    n = np.arange(1, values.size + 1, dtype=np.float64)

    ours = block_sequence(values, alpha=ALPHA, planned=PLANNED)

    # theirs is two-sided: their spread, taken from its width, and their one-sided boundary
    two_sided = normal_mixture(n, ALPHA, theirs.rho_) / n
    spread = (theirs.estimate_ - theirs.lower_) / two_sided
    one_sided = normal_mixture(n, ALPHA, _precision(), one_sided=True) / n
    np.testing.assert_allclose(ours.mean, theirs.estimate_, rtol=1e-12)
    np.testing.assert_allclose(ours.deviation[19:], spread[19:], rtol=1e-9)
    np.testing.assert_allclose(
        ours.lower[19:], (theirs.estimate_ - spread * one_sided)[19:], rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_is_about_that_of_a_two_sided_sequence_at_twice_the_level(seed: int) -> None:
    values = _without_corrections(seed)

    ours = block_sequence(values, alpha=ALPHA, planned=PLANNED).lower[19:]
    theirs = AsymptoticCS(alpha=2 * ALPHA, t_opt=PLANNED, min_samples=2).fit(values)

    margin = (theirs.estimate_ - theirs.lower_)[19:]
    assert np.abs(ours - theirs.lower_[19:]).max() < 0.05 * margin.min()


@pytest.mark.parametrize("limit", [0.01, 0.1])
def test_the_evidence_of_errors_is_the_beta_mixture_above_the_limit(limit: float) -> None:
    """Theirs averages over all rates; ours over those above: the rest is the Beta's own share."""
    failed = (np.random.default_rng(6).random(400) < 2 * limit).astype(np.float64)
    theirs = BernoulliTest(limit).fit(failed).log_e_values_

    n, failures = np.arange(1, 401), np.cumsum(failed).astype(int)
    ours = [log_e_of_errors(int(s), int(t), limit) for s, t in zip(failures, n, strict=True)]

    above = beta.logsf(limit, failures + 1, n - failures + 1) - math.log1p(-limit)
    np.testing.assert_allclose(ours, theirs + above, rtol=1e-8, atol=1e-8)
