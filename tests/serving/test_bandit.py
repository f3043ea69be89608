"""Thompson sampling: what outcomes make of shares, and what shares make of outcomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ParameterError
from serving.bandit import Counts, dealt, moved, posteriors
from serving.traffic import BUCKETS, Traffic, redealt

A, B, C = "flight_delay/1", "flight_delay/2", "flight_delay/3"
FLOOR = 0.05


def counted(values: Sequence[float]) -> Counts:
    counts = Counts()
    for value in values:
        counts = counts.added(value)
    return counts


def rate(number: int, ones: int) -> Counts:
    """The counts of so many outcomes, of which so many are 1."""
    return Counts(number=number, mean=ones / number, squares=ones * (1 - ones / number))


def best(direction: str = "up", **counts: Counts) -> dict[str, float]:
    found = posteriors(counts, direction="down" if direction == "down" else "up", salt="s")
    return {model: each.best for model, each in found.items()}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.data())
def test_counts_are_the_mean_and_the_squares_and_an_outcome_can_be_taken_back(values, data):
    taken = data.draw(st.integers(0, len(values) - 1))

    counts = counted(values)
    less = counts.without(values[taken])

    rest = values[:taken] + values[taken + 1 :]
    size = max(map(abs, values)) + 1
    assert counts.number == len(values)
    assert math.isclose(counts.mean, float(np.mean(values)), rel_tol=1e-9, abs_tol=1e-9 * size)
    assert math.isclose(
        counts.squares, float(np.var(values)) * len(values), rel_tol=1e-6, abs_tol=1e-6 * size**2
    )
    assert less.number == len(rest)
    assert less.others == sum(value not in (0.0, 1.0) for value in rest)
    if rest:
        assert math.isclose(less.mean, float(np.mean(rest)), rel_tol=1e-6, abs_tol=1e-6 * size)


def test_outcomes_that_are_0_or_1_are_believed_by_a_beta_distribution():
    found = posteriors({A: rate(10, 2), B: rate(10, 7)}, direction="up", salt="s")

    assert found[A].family == "beta"
    assert found[A].parameters == pytest.approx((3, 9))
    assert found[B].parameters == pytest.approx((8, 4))
    # by the exact integral over both distributions
    assert found[B].best == pytest.approx(0.9804, abs=0.005)
    assert found[A].best + found[B].best == pytest.approx(1)


def test_any_other_outcome_makes_it_normal_in_the_unit_of_the_outcomes():
    minutes = {A: counted([10, 14, 12, 9, 15] * 8), B: counted([11, 13, 7, 9, 10] * 8)}
    seconds = {
        model: Counts(
            number=each.number,
            mean=60 * each.mean,
            squares=3600 * each.squares,
            others=each.others,
        )
        for model, each in minutes.items()
    }

    found = {
        unit: posteriors(counts, direction="down", salt="s")
        for unit, counts in {"minutes": minutes, "seconds": seconds}.items()
    }

    assert {each.family for each in found["minutes"].values()} == {"normal-inverse-gamma"}
    assert found["minutes"][B].best > 0.95  # fewer minutes are better
    assert found["seconds"][B].best == pytest.approx(found["minutes"][B].best, abs=0.02)


def test_the_same_counts_give_the_same_shares_and_any_other_salt_other_draws():
    counts = {A: rate(40, 20), B: rate(40, 22)}

    found = [posteriors(counts, direction="up", salt=salt) for salt in ("s", "s", "t")]

    assert found[0] == found[1]
    assert found[0] != found[2]
    assert found[0][B].best == pytest.approx(found[2][B].best, abs=0.03)


def test_what_nobody_knows_anything_of_is_as_likely_best_as_any_other():
    nothing = best(a=Counts(), b=Counts(), c=Counts())
    alike = best(a=counted([2.5] * 9), b=counted([2.5] * 9))

    assert list(nothing.values()) == pytest.approx([1 / 3] * 3, abs=0.02)
    assert alike["a"] == pytest.approx(0.5, abs=0.02)


def test_less_is_better_where_that_is_said():
    counts = {"a": rate(100, 30), "b": rate(100, 60)}

    assert best("up", **counts)["b"] > 0.99
    assert best("down", **counts)["a"] > 0.99


def test_without_a_model_there_is_nothing_to_sample():
    with pytest.raises(ParameterError) as told:
        posteriors({}, direction="up", salt="s")

    assert str(told.value) == (
        "Thompson sampling was given no model.\n  Fix: Give the champion and its challengers."
    )


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=8).filter(lambda found: sum(found) > 0),
    st.floats(0.0001, 0.5),
)
def test_shares_are_whole_buckets_that_add_up_and_nobody_is_below_the_floor(weights, floor):
    chances = {f"m/{n + 1}": weight / sum(weights) for n, weight in enumerate(weights)}

    shares = dealt(chances, floor=floor)

    buckets = {model: share * BUCKETS for model, share in shares.items()}
    assert all(abs(count - round(count)) < 1e-6 for count in buckets.values())
    assert sum(round(count) for count in buckets.values()) == BUCKETS
    assert min(shares.values()) >= min(floor, 1 / len(shares) - 1 / BUCKETS) - 1e-9
    order = sorted(chances, key=chances.__getitem__)
    assert all(buckets[a] <= buckets[b] + 1 + 1e-6 for a, b in pairwise(order))


def test_shares_can_be_dealt_as_they_are():
    shares = dealt({A: 0.123, B: 0.456, C: 0.421}, floor=FLOOR)

    traffic = Traffic(design="ab", salt="s")
    given_ = redealt(traffic, {B: shares[B], C: shares[C]}).shares()

    assert given_ == {B: shares[B], C: shares[C]}
    assert shares[A] == pytest.approx(1 - sum(given_.values()))


@pytest.mark.parametrize(
    ("wanted", "is_worth_it"),
    [
        pytest.param({A: 0.5, B: 0.5}, False, id="as it is"),
        pytest.param({A: 0.5099, B: 0.4901}, False, id="less than a point"),
        pytest.param({A: 0.51, B: 0.49}, True, id="a point"),
        pytest.param({A: 1.0}, True, id="one is gone"),
    ],
)
def test_a_share_moves_by_a_point_or_stays(wanted, is_worth_it):
    assert moved({A: 0.5, B: 0.5}, wanted) is is_worth_it


# --- what it comes to: seeded runs of 60 rounds of 200 decisions each ---

RATES = {A: 0.30, B: 0.36, C: 0.24}
Deal = Callable[[dict[str, Counts]], dict[str, float]]


def thompson(counts: dict[str, Counts]) -> dict[str, float]:
    found = posteriors(counts, direction="up", salt="s")
    return dealt({model: each.best for model, each in found.items()}, floor=FLOOR)


def greedy(counts: dict[str, Counts]) -> dict[str, float]:
    """All traffic to whoever looks best now, and none to anybody else: the control."""
    tried = {m: each.mean for m, each in counts.items() if each.number}
    first = max(tried, key=tried.__getitem__) if len(tried) == len(counts) else None
    return {m: 1 / len(counts) if first is None else float(m == first) for m in counts}


def uniform(counts: dict[str, Counts]) -> dict[str, float]:
    return dict.fromkeys(counts, 1 / len(counts))


def run(deal: Deal, seed: int, *, rounds: int = 60, size: int = 200) -> tuple[float, list[float]]:
    """Return the regret, in ones that were missed, and the share of the best model by round."""
    random = np.random.default_rng(seed)
    counts = {model: Counts() for model in RATES}
    regret, shares_of_best = 0.0, []
    for _ in range(rounds):
        shares = deal(counts)
        shares_of_best.append(shares[B])
        many = random.multinomial(size, list(shares.values()))
        for (model, chance), number in zip(RATES.items(), many.tolist(), strict=True):
            ones = int(random.binomial(number, chance))
            all_of, before = number + counts[model].number, counts[model]
            if all_of:
                counts[model] = rate(all_of, ones + round(before.mean * before.number))
            regret += number * (RATES[B] - chance)
    return regret, shares_of_best


def test_the_better_model_gets_most_of_the_traffic_and_little_is_missed():
    sampled = [run(thompson, seed) for seed in range(12)]
    equal = [run(uniform, seed)[0] for seed in range(12)]

    regret = float(np.mean([each for each, _ in sampled])) / float(np.mean(equal))
    at_the_end = [shares[-1] for _, shares in sampled]
    assert regret < 0.45
    assert float(np.median(at_the_end)) > 0.85
    # the best one cannot have more than what the floors of the other two leave
    assert max(max(shares) for _, shares in sampled) <= 1 - 2 * FLOOR + 1e-9
    assert min(min(shares) for _, shares in sampled) >= FLOOR


def test_greed_without_a_floor_stays_with_a_worse_model_in_a_share_of_runs():
    stuck = [run(greedy, seed)[1][-1] == 0 for seed in range(60)]
    sampled = [run(thompson, seed, rounds=30)[1][-1] < FLOOR + 0.01 for seed in range(12)]

    assert sum(stuck) >= 6
    assert not any(sampled)
