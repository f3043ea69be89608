"""Values of decisions nobody made, on simulated logs whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import DataError, ParameterError
from serving._sequences import block_sequence
from serving.statistics.off_policy import OffPolicyValue, off_policy_value

N, DAYS = 1500, 30
RUNS = {"ips": 20, "snips": 20, "dr": 12}  # models are slow to fit
ASKED: dict[str, Any] = {"min_effective": 100, "alpha": 0.05}


def _earned(x: np.ndarray, action: np.ndarray) -> np.ndarray:
    """Return what an action is expected to earn."""
    return 1 + 2 * x[:, 0] + action * (0.5 - x[:, 1])


def _wanted(x: np.ndarray) -> np.ndarray:
    """Return what the policy in question would do: 1 where the first feature is small."""
    return (x[:, 0] + 0.5 * x[:, 1] < 0).astype(int)


def _log(seed: int, *, n: int = N, days_luck: float = 0.0) -> dict[str, np.ndarray]:
    """Return decisions that were made by chance, most often 1 where the first feature is large."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 2))
    chance = 0.1 + 0.8 / (1 + np.exp(-2.5 * x[:, 0]))
    action = (random.random(n) < chance).astype(int)
    day = np.arange(n) * DAYS // n
    luck = days_luck * random.normal(size=DAYS)[day]
    return {
        "reward": _earned(x, action) + luck * (1 + action) + 0.5 * random.normal(size=n),
        "action": action,
        "propensity": np.where(action == 1, chance, 1 - chance),
        "target": _wanted(x),
        "features": x,
        "block": day,
    }


def _truths() -> tuple[float, float]:
    """Return what the policy in question and what the logged one are worth."""
    x = np.random.default_rng(0).normal(size=(1_000_000, 2))
    chance = 0.1 + 0.8 / (1 + np.exp(-2.5 * x[:, 0]))
    logged = chance * _earned(x, np.ones(len(x))) + (1 - chance) * _earned(x, np.zeros(len(x)))
    return float(_earned(x, _wanted(x)).mean()), float(logged.mean())


TRUTH, LOGGED = _truths()


def _runs(estimator: Any, *, blind: bool = False) -> list[OffPolicyValue]:
    """Value the policy on many logs; `blind` hides all features from the model of the reward.

    What it then knows is the mean reward of each action where the log took it, which is wrong.
    """
    found = []
    for seed in range(RUNS[estimator]):
        log = _log(seed)
        if blind:
            log["features"] = np.zeros((N, 0))
        found.append(off_policy_value(**log, estimator=estimator, **ASKED))
    return found


@pytest.fixture(scope="module")
def by_estimator() -> dict[str, list[OffPolicyValue]]:
    found = {name: _runs(name) for name in ("ips", "snips", "dr")}
    return found | {"dr, blind": _runs("dr", blind=True)}


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "dr, blind"])
def test_the_value_of_a_policy_is_unbiased_and_its_error_is_what_is_said(name, by_estimator):
    """Each line fails by chance less than three times in a thousand."""
    values = np.array([each.value for each in by_estimator[name]])
    errors = np.array([each.value_error for each in by_estimator[name]])

    off = np.abs(values - TRUTH)
    assert abs(values.mean() - TRUTH) < 3.3 * values.std(ddof=1) / math.sqrt(len(values))
    assert 0.6 < errors.mean() / values.std(ddof=1) < 1.7
    assert (off < 2.05 * errors).sum() >= len(values) - 4  # 95 % of the intervals hold the truth


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "dr, blind"])
def test_what_was_earned_the_difference_and_its_bound_are_right(name, by_estimator):
    found = by_estimator[name]
    differences = np.array([each.difference for each in found])

    error = differences.std(ddof=1) / math.sqrt(len(found))
    assert abs(np.mean([each.baseline for each in found]) - LOGGED) < 0.05
    assert abs(differences.mean() - (TRUTH - LOGGED)) < 3.3 * error
    # a bound for any number of looks is below the truth more often than 95 times of 100
    assert sum(each.lower > TRUTH - LOGGED for each in found) <= 1
    assert all(each.lower < each.difference for each in found)
    assert all(each.enough and each.overlaps for each in found)


def test_the_mean_of_the_decisions_that_agree_is_biased() -> None:
    """The control: without weights the value is that of the decisions that were likely anyway."""
    means = []
    for seed in range(20):
        log = _log(seed)
        means.append(log["reward"][log["action"] == log["target"]].mean())

    assert abs(np.mean(means) - TRUTH) > 5 * np.std(means, ddof=1) / math.sqrt(20)


def test_a_model_of_the_reward_makes_the_value_surer_and_a_blind_one_no_worse_than_right(
    by_estimator,
):
    def spread(name: str) -> float:
        return float(np.var([each.value for each in by_estimator[name]]))

    assert spread("dr") < 0.6 * spread("snips")
    assert spread("dr, blind") < 3 * spread("ips")


def test_the_model_does_not_hide_propensities_that_are_wrong() -> None:
    """Weights that are half of what they should be do not add up to the number of decisions."""
    log = _log(1)
    log["propensity"] = np.minimum(1.0, 2 * log["propensity"])

    found = off_policy_value(**log, estimator="snips", **ASKED)

    assert not found.overlaps
    assert found.mean_weight < 0.8


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr"])
def test_a_log_that_never_tried_what_the_policy_would_do_is_told_from_one_that_did(estimator):
    """One model alone answered, as in shadow: where the other decides otherwise nothing is known.

    What agrees earns more than what does not, so that the value is wrong by far, and `enough`
    decisions do not show it.
    """
    x = _log(3)["features"]
    always = {
        "reward": _earned(x, np.ones(N)),
        "action": np.ones(N, dtype=int),
        "propensity": np.ones(N),
        "target": _wanted(x),
        "features": x,
        "block": np.arange(N) * DAYS // N,
    }

    found = off_policy_value(**always, estimator=estimator, **ASKED)
    the_same = off_policy_value(**(always | {"target": always["action"]}), **ASKED)

    assert found.enough
    assert not found.overlaps
    assert the_same.overlaps
    assert the_same.difference == pytest.approx(0, abs=1e-9)


def test_few_decisions_with_large_weights_are_few() -> None:
    log = _log(4)

    found = off_policy_value(**log, estimator="snips", **ASKED)
    asked_more = off_policy_value(**log, estimator="snips", min_effective=N, alpha=0.05)

    weight = (log["action"] == log["target"]) / log["propensity"]
    assert found.matched == int((weight > 0).sum())
    assert found.effective == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert found.effective < 0.8 * found.matched
    assert found.enough
    assert asked_more == replace(found, enough=False)


def _equal(random: np.random.Generator, days: int) -> dict[str, np.ndarray]:
    """Return a log of two decisions that are worth the same, 40 a day that share their luck."""
    n = 40 * days
    day = np.repeat(np.arange(days), 40)
    action, better_on = random.integers(0, 2, n), random.normal(size=days)[day]
    return {
        "reward": better_on * action + random.normal(size=n),
        "action": action,
        "propensity": np.full(n, 0.5),
        "target": np.ones(n),
        "features": np.zeros((n, 0)),
        "block": day,
    }


def test_a_policy_that_is_worth_as_much_rarely_passes_though_one_looks_day_after_day() -> None:
    """120 logs, a look every other day from the 20th to the 60th.

    More than 14 would pass with a chance of about one in a thousand, at 5 % each. The control, the
    bound of one look taken at each, lets far more pass.
    """
    random, passed, naive = np.random.default_rng(12), 0, 0
    for _ in range(120):
        log = _equal(random, 60)
        looks = [
            off_policy_value(
                **{name: values[: 40 * days] for name, values in log.items()},
                estimator="snips",
                **ASKED,
            )
            for days in range(20, 61, 2)
        ]
        passed += any(each.lower > 0 for each in looks)
        naive += any(each.difference > 1.645 * each.difference_error for each in looks)

    assert passed <= 14
    assert naive > 14


def test_the_bound_is_that_of_the_blocks_of_a_promotion() -> None:
    log = _log(13)

    found = off_policy_value(**log, estimator="ips", **ASKED)

    weight = (log["action"] == log["target"]) / log["propensity"]
    gains = (weight * log["reward"] - log["reward"]).reshape(DAYS, -1).mean(axis=1)
    known = block_sequence(gains, alpha=0.05, planned=40, effective=True)
    assert found.difference == pytest.approx(gains.mean())
    assert found.lower == pytest.approx(known.lower[-1], rel=1e-6)


def test_fewer_than_twenty_blocks_have_no_bound() -> None:
    log = _log(14)

    few = off_policy_value(**(log | {"block": log["block"] % 19}), estimator="snips", **ASKED)
    enough = off_policy_value(**(log | {"block": log["block"] % 20}), estimator="snips", **ASKED)

    assert math.isnan(few.lower)
    assert math.isfinite(few.value_error)
    assert math.isfinite(enough.lower)


def test_luck_that_a_day_has_for_all_its_decisions_widens_the_error() -> None:
    log = _log(5, days_luck=1.0)

    by_day = off_policy_value(**log, estimator="snips", **ASKED)
    alone = off_policy_value(**(log | {"block": np.arange(N)}), estimator="snips", **ASKED)

    assert by_day.value == pytest.approx(alone.value)
    assert by_day.value_error > 2 * alone.value_error


def test_a_model_that_knows_every_reward_needs_no_weights() -> None:
    log = _log(15)
    log["reward"] = 3.0 + 2.0 * log["action"]

    robust = off_policy_value(**log, estimator="dr", **ASKED)
    weighed = off_policy_value(**log, estimator="snips", **ASKED)

    expected = 3 + 2 * log["target"].mean()
    assert robust.value == pytest.approx(expected, abs=1e-9)
    assert abs(weighed.value - expected) > 1e-3


def test_the_error_over_blocks_of_one_decision_is_the_textbook_one() -> None:
    log = _log(6) | {"block": np.arange(N)}

    found = off_policy_value(**log, estimator="ips", **ASKED)

    terms = (log["action"] == log["target"]) / log["propensity"] * log["reward"]
    assert found.value == pytest.approx(terms.mean())
    assert found.value_error == pytest.approx(terms.std(ddof=1) / math.sqrt(N))
    assert found.baseline_error == pytest.approx(log["reward"].std(ddof=1) / math.sqrt(N))


@pytest.mark.parametrize("shift", [pytest.param(0.0, id="gains"), pytest.param(-9.0, id="losses")])
def test_a_drop_that_is_allowed_is_a_share_of_what_was_earned_whatever_its_sign(shift) -> None:
    log = _log(7)
    log["reward"] = log["reward"] + shift

    strict = off_policy_value(**log, estimator="snips", **ASKED)
    lenient = off_policy_value(**log, estimator="snips", max_drop=0.2, **ASKED)

    assert strict.baseline * (1 if shift == 0 else -1) > 0
    margin = lenient.lower - strict.lower
    assert margin == pytest.approx(0.2 * abs(strict.baseline), rel=0.25)


def test_the_same_log_gives_the_same_value_to_the_last_digit() -> None:
    log = _log(8, n=600)

    first = off_policy_value(**log, **ASKED)
    again = off_policy_value(**log, **ASKED)
    otherwise = off_policy_value(**log, seed=1, **ASKED)

    assert first == again
    assert first.value != otherwise.value
    assert abs(first.value - otherwise.value) < first.value_error


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-100, 100), scale=st.floats(0.1, 10))
def test_self_normalised_values_follow_the_unit_of_the_reward_and_stay_within_it(
    seed: int, shift: float, scale: float
) -> None:
    log = _log(seed, n=200)

    found = off_policy_value(**log, estimator="snips", **ASKED)
    moved = off_policy_value(
        **(log | {"reward": shift + scale * log["reward"]}), estimator="snips", **ASKED
    )

    assert log["reward"].min() <= found.value <= log["reward"].max()
    assert moved.value == pytest.approx(shift + scale * found.value, rel=1e-6, abs=1e-6)
    assert moved.value_error == pytest.approx(scale * found.value_error, rel=1e-6, abs=1e-6)


def test_decisions_may_have_names_and_more_than_two_kinds_and_features_gaps() -> None:
    random, n = np.random.default_rng(9), 900
    names = np.array(["hold", "call", "write"])
    x = random.normal(size=n)
    chances = np.array([0.5, 0.3, 0.2])
    done = random.choice(3, size=n, p=chances)
    reward = (done == 2) * 1.0 + x + 0.1 * random.normal(size=n)

    found = off_policy_value(
        reward=reward,
        action=names[done],
        propensity=chances[done],
        target=np.full(n, "write"),
        features=np.where(random.random(n) < 0.2, np.nan, x)[:, None],
        block=np.arange(n) // 30,
        **ASKED,
    )

    assert abs(found.value - 1 - x.mean()) < 3.3 * found.value_error
    assert found.lower > 0


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr"])
def test_where_the_log_has_nothing_to_say_there_is_no_value(estimator: Any) -> None:
    log = _log(10, n=200) | {"target": np.full(200, 7)}
    empty = {name: values[:0] for name, values in log.items()}

    for nothing in (log, empty):
        found = off_policy_value(**nothing, estimator=estimator, **ASKED)
        assert math.isnan(found.value)
        assert math.isnan(found.lower)
        assert (found.matched, found.effective) == (0, 0.0)
        assert not found.enough
        assert not found.overlaps


def test_one_block_has_no_error() -> None:
    found = off_policy_value(
        **(_log(11, n=200) | {"block": np.zeros(200)}), estimator="dr", **ASKED
    )

    assert math.isfinite(found.value)
    assert math.isnan(found.value_error)
    assert math.isnan(found.lower)
    assert not found.overlaps


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        pytest.param(
            {"propensity": [0.5, 0.0, -1.0]},
            DataError,
            "The propensity of row 1 is 0, and of 1 more not above 0 and at most 1: what was done "
            "had some chance to be done.\n"
            "  Fix: Leave out decisions that were not dealt with a known chance.",
            id="no chance",
        ),
        pytest.param(
            {"propensity": [0.5, 0.5, np.nan]},
            DataError,
            "The propensity of row 2 is nan, and of 0 more not above 0 and at most 1: what was "
            "done had some chance to be done.\n"
            "  Fix: Leave out decisions that were not dealt with a known chance.",
            id="an unknown chance",
        ),
        pytest.param(
            {"reward": [1.0, np.nan, np.inf]},
            DataError,
            "The reward of row 1 is nan, and of 1 more no finite number.\n"
            "  Fix: Leave decisions without an outcome out, or give them the value they stand for.",
            id="an unknown reward",
        ),
        pytest.param(
            {"estimator": "doubly"},
            ParameterError,
            "A policy cannot be valued by 'doubly'. Known: 'dr', 'ips', 'snips'.\n"
            "  Fix: Give 'ips', 'snips' or 'dr'.",
            id="an estimator there is not",
        ),
        pytest.param(
            {"alpha": 0.5},
            ParameterError,
            "A bound cannot be wrong with a chance of 0.5.\n"
            "  Fix: Give an alpha above 0 and below 0.5, such as 0.05.",
            id="a bound that is no bound",
        ),
        pytest.param(
            {"target": [1, 0]},
            ParameterError,
            "The arrays do not have one value for each row: 'reward' (3,), 'action' (3,), "
            "'propensity' (3,), 'target' (2,), 'features' (3, 1), 'block' (3,).\n"
            "  Fix: Give arrays of the same length.",
            id="a decision too few",
        ),
    ],
)
def test_a_log_that_cannot_be_is_refused(change, kind, message) -> None:
    log = {
        "reward": [1.0, 2.0, 3.0],
        "action": [1, 0, 1],
        "propensity": [0.5, 0.5, 0.5],
        "target": [1, 1, 1],
        "features": [[0.0], [1.0], [2.0]],
        "block": [0, 1, 2],
    }

    with pytest.raises(kind) as refused:
        off_policy_value(**(log | ASKED | change))

    assert str(refused.value) == message
