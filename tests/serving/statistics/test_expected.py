"""When a verdict is expected is said from what there is, and right where nothing changes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from serving._sequences import block_sequence
from serving.statistics.expected import blocks_to_verdict

ALPHA, PLANNED = 0.05, 40


def _proved(values: np.ndarray) -> np.ndarray:
    known = block_sequence(values, alpha=ALPHA, planned=PLANNED, effective=True)
    return known.log_e >= -math.log(ALPHA)


@pytest.mark.parametrize("shift", [0.2, 0.3, 0.5])
def test_the_same_blocks_again_bring_the_verdict_when_it_was_expected(shift: float) -> None:
    """Blocks that repeat have the same mean and spread; only their last round is not whole."""
    pattern = np.tile([1.0, -1.0, 0.5, -0.5], 300) + shift
    have = 20

    more = blocks_to_verdict(pattern[:have], alpha=ALPHA, planned=PLANNED, most=1000)

    first = int(np.argmax(_proved(pattern)[have - 1 :]))
    assert more is not None
    assert more == pytest.approx(first, rel=0.15, abs=2)


def test_about_half_of_the_experiments_are_done_by_then() -> None:
    random = np.random.default_rng(1)
    done = []
    for _ in range(300):
        values = random.normal(0.3, 1, size=30)
        more = blocks_to_verdict(values, alpha=ALPHA, planned=PLANNED, most=400)
        if more:
            # what comes has the mean and spread of what was
            next_ones = random.normal(values.mean(), values.std(ddof=1), size=more)
            done.append(bool(_proved(np.append(values, next_ones))[30:].any()))

    assert len(done) > 100
    assert 0.35 < np.mean(done) < 0.75


def test_what_is_proof_needs_no_more() -> None:
    values = np.random.default_rng(2).normal(2, 1, size=25)

    assert _proved(values)[-1]
    assert blocks_to_verdict(values, alpha=ALPHA, planned=PLANNED, most=60) == 0


@pytest.mark.parametrize(
    ("values", "most"),
    [
        pytest.param([0.1, -0.2] * 15, 1000, id="the challenger is behind"),
        pytest.param([0.3, 0.3] * 15, 1000, id="no spread"),
        pytest.param([0.5, 0.6], 1000, id="too few to tell"),
        pytest.param([1.1, -1.0] * 15, 100, id="not by then"),
    ],
)
def test_nobody_can_tell_when(values: list[float], most: int) -> None:
    found = blocks_to_verdict(np.array(values), alpha=ALPHA, planned=PLANNED, most=most)

    assert found is None
