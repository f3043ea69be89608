"""How often guardrails are wrong, and what they find, by simulation; all seeds are fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from serving._sequences import block_sequence
from serving.rollout._check_calibration import is_calibrated
from serving.rollout._check_slices import keeps_slices
from serving.rollout._check_working import works
from serving.rollout._figures_calibration import calibration_of
from serving.rollout._figures_slices import _ever, _now
from serving.rule_guardrails import Calibration, ErrorRate, SliceGap

Vector = npt.NDArray[np.float64]
LOOKS = [*range(100, 2001, 100)]


def found_errors(rate: float, runs: int, guardrail: ErrorRate) -> tuple[int, int]:
    """How many runs of 2,000 answers are rolled back, and by a window of 100 answers."""
    random = np.random.default_rng(1)
    ours = windows = 0
    for _ in range(runs):
        failed = (random.random(2000) < rate).cumsum()
        looks = [{"trials": n, "failures": int(failed[n - 1])} for n in LOOKS]
        ours += any(works(guardrail, look, "m").action == "rollback" for look in looks)
        recent = [int(failed[n - 1] - (failed[n - 101] if n > 100 else 0)) for n in LOOKS]
        windows += max(recent) > 2 * 100 * guardrail.max
    return ours, windows


def test_a_model_at_the_very_limit_is_rolled_back_no_oftener_than_alpha() -> None:
    """With a chance of at most 0.05 each, more than 20 of 200 has one below 0.002.

    The control, more than twice the limit among the newest 100, rolls back most of them.
    """
    ours, windows = found_errors(0.02, 200, ErrorRate(max=0.02, alpha=0.05))

    assert ours <= 20
    assert windows > 100


def test_a_model_that_fails_five_times_as_often_as_it_may_is_found() -> None:
    ours, _ = found_errors(0.05, 50, ErrorRate(max=0.01))

    assert ours == 50


def held(chance: Vector, said: Vector, block: Any, random: Any, least: float) -> tuple[bool, bool]:
    """Whether a model is held for its calibration, and whether its plain error would hold it."""
    outcome = (random.random(chance.size) < chance).astype(float)
    counts = calibration_of(said, outcome, block)
    check = is_calibrated(Calibration(max=least), counts, "m")
    return check.action != "promote", counts["ece"] > least


@pytest.mark.parametrize(
    ("decisions", "of_day", "limit"),
    [
        pytest.param(500, 0.0, 0.05, id="independent"),
        pytest.param(10_000, 0.15, 0.02, id="days share their luck"),
    ],
)
def test_a_perfectly_calibrated_model_is_not_held_by_luck(
    decisions: int, of_day: float, limit: float
) -> None:
    """At most 0.05 may be held at a look: of 150, more than 16 has a chance below 0.002.

    The control is the plain error, which is luck for the most part.
    """
    random = np.random.default_rng(2)
    ours = plain = 0
    block = np.arange(decisions) * 25 // decisions
    for _ in range(150):
        said = random.uniform(0.2, 0.8, decisions)
        chance = said + random.normal(0, of_day, 25)[block] if of_day else said
        one, other = held(np.clip(chance, 0, 1), said, block, random, limit)
        ours, plain = ours + one, plain + other

    assert ours <= 16
    assert plain > 60


def test_a_day_of_luck_would_hold_it_if_decisions_counted_as_independent() -> None:
    """The control of the test above: the same decisions, each a block of its own."""
    random = np.random.default_rng(2)
    wrong = 0
    block = np.arange(10_000) * 25 // 10_000
    for _ in range(100):
        said = random.uniform(0.2, 0.8, 10_000)
        chance = np.clip(said + random.normal(0, 0.15, 25)[block], 0, 1)
        each, _ = held(chance, said, np.arange(10_000), random, 0.02)
        wrong += each

    assert wrong > 30


@pytest.mark.parametrize(("decisions", "found"), [(500, 0.5), (2000, 0.95)])
def test_probabilities_that_are_off_by_a_tenth_are_found(decisions: int, found: float) -> None:
    random = np.random.default_rng(3)
    block = np.arange(decisions) * 25 // decisions
    ours = 0
    for _ in range(60):
        said = random.uniform(0.2, 0.8, decisions)
        chance = said + np.where(said > 0.5, 0.12, -0.12)
        ours += held(chance, said, block, random, 0.04)[0]

    assert ours >= found * 60


def slices_of(harm: Vector, look: int) -> dict[str, Any]:
    """The figures of slices whose harm in each block is given, after some blocks."""
    return {
        "slices": [
            {
                "value": str(at),
                "decisions": 50 * look,
                "blocks": look,
                "mean": float(values[:look].mean()),
                "p": _ever(values[:look], 0.05),
                "p_now": _now(values[:look]),
            }
            for at, values in enumerate(harm)
        ]
    }


def actions(harm: Vector, looks: list[int]) -> list[str]:
    guardrail = SliceGap(by="carrier", max_drop=0.02, on_breach="rollback")
    checks = [keeps_slices(guardrail, slices_of(harm, look), "m") for look in looks]
    return [check.action for check in checks]


def test_eight_slices_at_the_very_limit_are_rarely_found_to_break_it() -> None:
    """At most 0.05 of the runs are ever rolled back: of 60, more than 9 has a chance below 0.002.

    The control asks each slice by itself, at each look, whether it looks worse now.
    """
    random = np.random.default_rng(4)
    ours = naive = held_now = 0
    looks = [20, 25, 30, 40, 50, 60]
    for _ in range(60):
        harm = random.normal(0, 0.1, (8, 60)) + random.normal(0, 0.05, 60)
        done = actions(harm, looks)
        ours += "rollback" in done
        held_now += done[0] == "hold"
        naive += any(_now(values[:look]) < 0.05 for look in looks for values in harm)

    assert ours <= 9
    assert held_now <= 9
    assert naive > 30


def test_slices_whose_days_are_alike_are_rarely_found_to_break_their_limit() -> None:
    """A day resembles the one before by 0.5; of 60 runs, more than 9 has a chance below 0.002.

    The control takes such days for independent ones.
    """
    random = np.random.default_rng(8)
    looks = [20, 30, 40, 60, 90, 120]
    ours = naive = 0
    for _ in range(60):
        harm = random.normal(0, 0.1, (8, 150))
        for day in range(1, 150):
            harm[:, day] += 0.5 * harm[:, day - 1]
        harm = harm[:, 30:]
        ours += "rollback" in actions(harm, looks)
        plain = block_sequence(harm, alpha=0.05, planned=40).log_e
        naive += any(plain[:, look - 1].max() >= np.log(8 / 0.05) for look in looks)

    assert ours <= 9
    assert naive > 9


def test_one_slice_of_eight_that_is_clearly_worse_is_held_at_once_and_proven_in_time() -> None:
    """Its harm is a standard deviation of a block."""
    random = np.random.default_rng(5)
    held_first = proven = 0
    for _ in range(20):
        harm = random.normal(0, 0.1, (8, 60))
        harm[:7] -= 0.05
        harm[7] += 0.1
        first, last = actions(harm, [20, 60])
        held_first += first != "promote"
        proven += last == "rollback"

    assert held_first >= 18
    assert proven >= 18


def test_evidence_at_a_look_is_that_of_the_sequence_up_to_it() -> None:
    values = np.random.default_rng(6).normal(0.05, 0.1, 60)
    known = block_sequence(values, alpha=0.05, planned=40, effective=True)

    found = [_ever(values[:look], 0.05) for look in (19, 20, 40, 60)]

    expected = [min(1.0, float(np.exp(-known.log_e[look - 1]))) for look in (20, 40, 60)]
    assert found == pytest.approx([1.0, *expected])
