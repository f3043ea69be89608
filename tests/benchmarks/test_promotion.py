"""The benchmark of false promotions judges as rulings do, and its control can fail."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks._promotion_days import Requests, days_of
from benchmarks._promotion_delays import delayed
from benchmarks._promotion_looks import Share, at_any_look, goal, naive, proofs, seeds
from benchmarks._promotion_nulls import DAYS, KEPT, LOSSES, PROBABILITIES, alike_days, by_luck
from benchmarks._promotion_rulings import agreement


def test_a_day_is_the_mean_advantage_of_its_requests() -> None:
    random = np.random.default_rng(1)
    ours, theirs = random.random((2, 3, 5, 7))
    known = random.random((3, 5, 7)) < 0.8
    requests = Requests(champion=ours, challenger=theirs, outcome=np.zeros_like(ours), known=known)

    days = days_of(requests, LOSSES, keep=1)

    better = np.where(known, ours - theirs, 0.0)
    np.testing.assert_allclose(days.values, better.sum(axis=2) / known.sum(axis=2), rtol=1e-12)
    np.testing.assert_allclose(days.sums, better.sum(axis=2), rtol=1e-12)
    np.testing.assert_array_equal(days.counts, known.sum(axis=2))
    assert [block.z for block in days.blocks[0]] == days.values[0].tolist()


def test_rulings_say_at_every_look_what_the_fast_way_says() -> None:
    def luck(random: np.random.Generator, runs: int) -> np.ndarray:
        return alike_days(random, runs) + 0.35

    days = by_luck(luck)(np.random.default_rng(2), 3)
    looks = proofs(days)

    found = agreement(days, looks, LOSSES, runs=3)

    assert looks.any()
    assert not looks.all()
    assert (found.looks, found.differ) == (3 * (DAYS - 19), 0)


def test_a_fast_way_that_was_wrong_at_one_look_would_be_seen() -> None:
    days = by_luck(alike_days)(np.random.default_rng(3), 1)
    looks = proofs(days)
    looks[0, 50] = ~looks[0, 50]

    assert agreement(days, looks, LOSSES, runs=1).differ == 1


def test_equal_models_with_late_labels_are_promoted_only_by_who_cannot_wait() -> None:
    """False alarm 1 in 1,000 at most: of 100 runs at 5 %, 12 and fewer are promoted."""
    landing = delayed(np.random.default_rng(4), 100)

    assert at_any_look(proofs(landing.mature)).count <= 12
    assert at_any_look(landing.naive).percent > 95
    assert abs(landing.mature.values.mean()) < 0.002
    assert PROBABILITIES.label_window_hours == 21 * 24


def test_the_control_over_requests_promotes_when_days_have_luck() -> None:
    days = by_luck(alike_days)(np.random.default_rng(5), 100)

    assert at_any_look(naive(days)).percent > 40


@pytest.mark.parametrize("count", [0, 1, 100, 122])
def test_the_bound_of_a_share_is_clopper_and_pearson_s(count: int) -> None:
    interval = binomtest(count, 2000).proportion_ci(confidence_level=0.9, method="exact")

    assert Share(count=count, runs=2000).lower == pytest.approx(100 * interval.low, abs=1e-9)


def test_the_goal_is_the_largest_share_that_is_not_above_the_level_beyond_chance() -> None:
    count = round(goal(2000) * 20)

    assert goal(2000) <= 6.1
    assert Share(count=count, runs=2000).lower <= 5
    assert Share(count=count + 1, runs=2000).lower > 5


def test_seeds_are_fixed_or_of_the_commit_and_null() -> None:
    one, other = seeds("iid", 7), seeds("day_clustered", 7)

    assert one == seeds("iid", 7)
    assert one["fixed"] == other["fixed"] == 7
    assert one["commit"] != other["commit"]


def test_kept_blocks_are_those_of_the_first_runs() -> None:
    days = by_luck(alike_days)(np.random.default_rng(6), 60)

    assert len(days.blocks) == KEPT
    for run, blocks in enumerate(days.blocks):
        assert [block.z for block in blocks] == days.values[run].tolist()
