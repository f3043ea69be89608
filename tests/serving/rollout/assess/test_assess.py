"""A challenger goes from shadow to champion step by step, and the worst check wins."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from serving.rollout.assess import assess
from serving.rollout.ruling import Ruling
from serving.rollout.state import Said
from serving.rule import Rule

HOUR = timedelta(hours=1)
RAMP = {"steps": [0.05, 0.25, 1], "hold_hours": 24, "min_decisions": 1000}
AT_ONCE: dict[str, Any] = {"ramp": RAMP | {"begins": "at_once"}}
ERRORS = {"guardrails": [{"metric": "error_rate", "max": 0.01}]}


def _check(ruling: Ruling, name: str) -> Any:
    return next(check for check in ruling.checks if check.name == name)


def _holding(ruling: Ruling) -> list[str]:
    return [check.name for check in ruling.checks if check.action == "hold"]


def test_a_challenger_that_won_is_promoted(made) -> None:
    rule = made.rule()

    ruling = assess(rule, made.gathered(rule, made.gains(25)), made.state())

    assert (ruling.action, ruling.share, ruling.expected) == ("promote", None, {})
    assert {check.state for check in ruling.checks} == {"passed"}
    assert ruling.crossed is not None
    assert len(ruling.bounds) == 6


@pytest.mark.parametrize(
    ("share", "action", "given"),
    [
        pytest.param(0.0, "ramp", 0.05, id="from shadow"),
        pytest.param(0.05, "ramp", 0.25, id="from the first step"),
        pytest.param(0.1, "ramp", 0.25, id="from a share of somebody's hand"),
        pytest.param(0.25, "promote", None, id="the last step is the promotion"),
        pytest.param(0.9, "promote", None, id="from a share above all steps"),
    ],
)
@pytest.mark.parametrize("begins", ["won", "at_once"])
def test_a_ramp_is_climbed_step_by_step(made, share, action, given, begins) -> None:
    rule = made.rule(ramp=RAMP | {"begins": begins})
    state = made.traffic(share) if share else made.state()

    ruling = assess(rule, made.gathered(rule, made.gains(25)), state)

    assert (ruling.action, ruling.share) == (action, given)


@pytest.mark.parametrize(
    ("begins", "share", "action"),
    [
        ("won", 0.0, "hold"),
        ("won", 0.05, "ramp"),
        ("won", 0.25, "hold"),
        ("at_once", 0.0, "ramp"),
        ("at_once", 0.05, "ramp"),
        ("at_once", 0.25, "hold"),
    ],
)
def test_only_some_steps_need_a_won_comparison(made, begins, share, action) -> None:
    rule = made.rule(ramp=RAMP | {"begins": begins})
    state = made.traffic(share) if share else made.state()

    as_good = assess(rule, made.gathered(rule, made.gains(25, 0.0)), state)
    too_few = assess(rule, made.gathered(rule, made.gains(3)), state)

    assert as_good.action == action
    assert too_few.action == action


def test_a_ramp_goes_on_without_a_win_but_not_when_it_is_lost(made) -> None:
    rule = made.rule(**AT_ONCE)

    ruling = assess(rule, made.gathered(rule, made.gains(40, -0.02)), made.traffic(0.05))

    assert ruling.action == "hold"
    assert _holding(ruling) == ["challenger is no worse"]


@pytest.mark.parametrize(
    ("changes", "since", "name"),
    [
        pytest.param({"answered": 999}, 24, "step has answers", id="too few answers"),
        pytest.param({"answered": None}, 24, "step has answers", id="answers nobody counted"),
        pytest.param({}, 23, "step is old enough", id="too early"),
    ],
)
def test_a_step_is_held_as_long_as_the_ramp_says(made, changes, since, name) -> None:
    rule = made.rule(ramp=RAMP)
    gathered = made.gathered(rule, made.gains(25), **changes)
    state = made.traffic(0.05, since=gathered.as_of - since * HOUR)

    ruling = assess(rule, gathered, state)

    assert ruling.action == "hold"
    assert _holding(ruling) == [name]


def test_when_a_step_is_over_is_said_beforehand(made) -> None:
    rule = made.rule(ramp=RAMP)
    gathered = made.gathered(rule, made.gains(25))

    ruling = assess(rule, gathered, made.traffic(0.05, since=gathered.as_of - HOUR))

    assert ruling.expected["at"] == (gathered.as_of + 23 * HOUR).isoformat()


@pytest.mark.parametrize("design", ["ab", "canary", "thompson", None])
def test_traffic_that_was_dealt_otherwise_is_not_moved_by_a_ramp(made, design) -> None:
    rule = made.rule(ramp=RAMP)

    ruling = assess(rule, made.gathered(rule, made.gains(25)), made.traffic(0.05, design=design))

    assert (ruling.action, _holding(ruling)) == ("hold", ["traffic is a ramp"])


def test_a_ramp_begins_at_once_only_with_a_challenger_that_was_tried(made) -> None:
    rule = made.rule(**AT_ONCE)
    gathered = made.gathered(rule, [])
    totals = dataclasses.replace(gathered.primary.totals, shadow_tried=99)
    primary = dataclasses.replace(gathered.primary, totals=totals)

    few = assess(rule, dataclasses.replace(gathered, primary=primary), made.state())
    enough = assess(rule, gathered, made.state())

    assert (few.action, _holding(few)) == ("hold", ["works in shadow"])
    assert (enough.action, enough.share) == ("ramp", 0.05)


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ({"stage": "shadow"}, "hold"),
        ({"stage": "traffic", "share": 0.5, "design": "ab"}, "promote"),
    ],
)
def test_a_randomised_challenger_wins_by_what_it_answers(made, state, action) -> None:
    rule = made.rule(metric="outcome", direction="higher", design="randomised", unit=("tail",))

    ruling = assess(rule, made.gathered(rule, made.gains(25)), made.state(**state))

    assert ruling.action == action


def test_a_small_arm_whose_outcomes_are_missing_is_not_hidden_by_the_large_one(made) -> None:
    rule = made.rule(metric="outcome", direction="higher", design="randomised", unit=("tail",))
    gathered = made.gathered(rule, made.gains(25))
    large, small = gathered.primary.arms
    arms = (
        dataclasses.replace(large, decisions=2440, known=2410),
        dataclasses.replace(small, decisions=60, known=40),
    )
    primary = dataclasses.replace(gathered.primary, arms=arms)

    ruling = assess(
        rule, dataclasses.replace(gathered, primary=primary), made.traffic(0.5, design="ab")
    )

    assert _holding(ruling) == ["both arms answer"]


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        pytest.param(None, True, id="nobody said anything"),
        pytest.param(("bob", True), False, id="somebody who may"),
        pytest.param(("eve", True), True, id="somebody who may not"),
        pytest.param(("ada", True), True, id="its author"),
        pytest.param(("bob", False), True, id="refused"),
    ],
)
@pytest.mark.parametrize("before", ["promotion", "ramp"])
def test_a_person_who_may_has_to_approve(made, said, holds, before) -> None:
    rule = made.rule(approval={"by": ("bob", "ada"), "before": before}, ramp=RAMP)
    gathered = made.gathered(rule, made.gains(25))
    word = None if said is None else Said(actor=said[0], approved=said[1], at=gathered.as_of)
    refused = said is not None and not said[1]

    first = assess(rule, gathered, made.state(said=word))
    between = assess(rule, gathered, made.traffic(0.05, said=word))
    last = assess(rule, gathered, made.traffic(0.25, said=word))

    assert first.action == ("hold" if holds and (before == "ramp" or refused) else "ramp")
    assert between.action == ("hold" if refused else "ramp")
    assert last.action == ("hold" if holds else "promote")


@pytest.mark.parametrize(("who", "action"), [(" Ada", "hold"), ("adam", "promote")])
def test_another_spelling_of_an_author_is_no_other_person(made, who, action) -> None:
    rule = made.rule(approval={})
    gathered = made.gathered(rule, made.gains(25))

    ruling = assess(
        rule, gathered, made.state(said=Said(actor=who, approved=True, at=gathered.as_of))
    )

    assert ruling.action == action


def test_who_let_a_ramp_begin_has_not_approved_the_promotion(made) -> None:
    rule = made.rule(approval={"before": "ramp"}, ramp=RAMP)
    gathered = made.gathered(rule, made.gains(25))
    said = Said(actor="bob", approved=True, at=gathered.as_of - 48 * HOUR)
    state = made.traffic(0.25, said=said, since=gathered.as_of - 30 * HOUR)

    ruling = assess(rule, gathered, state)

    assert (ruling.action, _holding(ruling)) == ("hold", ["approved"])


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"held": "inventory"}, "nobody holds it"),
        ({"held": 3}, "nobody holds it"),
        ({"experiment": "e2"}, "evidence is of this experiment"),
        ({"champion": "delay/2"}, "evidence is of this experiment"),
        ({"challenger": "delay/5"}, "evidence is of this experiment"),
        ({"share": float("nan")}, "evidence is of this experiment"),
        ({"stage": "traffic"}, "evidence is of this experiment"),
        ({"stage": "elsewhere"}, "evidence is of this experiment"),
        ({"first_try": 0}, "challenger is better"),
        ({"last_try": None}, "challenger is better"),
    ],
)
def test_a_state_that_does_not_fit_holds(made, changes, name) -> None:
    rule = made.rule()

    ruling = assess(rule, made.gathered(rule, made.gains(25)), made.state(**changes))

    assert ruling.action == "hold"
    assert name in _holding(ruling)


@pytest.mark.parametrize("field", ["began", "since"])
def test_a_clock_that_jumped_holds_and_is_said(made, field) -> None:
    rule = made.rule()
    gathered = made.gathered(rule, made.gains(25))

    ruling = assess(rule, gathered, made.state(**{field: gathered.as_of + HOUR}))

    assert _holding(ruling) == ["time goes forward"]
    assert _check(ruling, "time goes forward").sentence.startswith("A clock has jumped: ")


def test_evidence_of_another_rule_or_moment_holds(made) -> None:
    rule = made.rule()
    gathered = made.gathered(rule, made.gains(25))
    later = dataclasses.replace(gathered, as_of=gathered.as_of + HOUR)
    other = made.gathered(made.rule(alpha=0.01), made.gains(25))

    assert _holding(assess(rule, later, made.state())) == ["time goes forward"]
    assert _holding(assess(rule, other, made.state())) == ["evidence is whole"]
    assert assess(rule, dataclasses.replace(gathered, primary=None), made.state()).action == "hold"


def test_a_broken_challenger_of_another_experiment_withdraws_nobody(made) -> None:
    rule = made.rule()
    gathered = made.gathered(rule, made.gains(25))
    totals = dataclasses.replace(gathered.primary.totals, shadow_failed=400)
    broken = dataclasses.replace(
        gathered, primary=dataclasses.replace(gathered.primary, totals=totals)
    )

    assert assess(rule, broken, made.state()).action == "rollback"
    assert assess(rule, broken, made.state(experiment="e2")).action == "hold"


@pytest.mark.parametrize(
    ("fields", "gain", "days", "action"),
    [
        ({"min_days": 30}, 0.02, 25, "hold"),
        ({"min_days": 26}, 0.02, 25, "promote"),  # 25 days, and two until the last is mature
        ({"max_days": 30}, 0.0, 25, "hold"),
        ({"max_days": 30}, 0.0, 40, "hold"),
        ({"max_days": 30, "on_expiry": "withdraw"}, 0.0, 25, "hold"),
        ({"max_days": 30, "on_expiry": "withdraw"}, 0.0, 40, "rollback"),
        ({"max_days": 30, "on_expiry": "withdraw"}, 0.02, 40, "promote"),
        ({"max_days": 30}, 0.02, 40, "promote"),
    ],
)
def test_an_experiment_lasts_as_long_as_the_rule_says(made, fields, gain, days, action) -> None:
    rule = made.rule(**fields)

    assert assess(rule, made.gathered(rule, made.gains(days, gain)), made.state()).action == action


def test_what_wins_when_its_time_is_over_has_not_won(made) -> None:
    rule = made.rule(max_days=30)
    gains = made.gains(100, 0.004)

    late = assess(rule, made.gathered(rule, gains), made.state())
    endless = made.rule()
    control = assess(endless, made.gathered(endless, gains), made.state())

    assert (late.action, control.action) == ("hold", "promote")
    assert _holding(late) == ["still in time"]
    assert _check(late, "still in time").sentence == (
        "102.0 of 30 days have passed, and it had not won by then: no more is looked at."
    )


def test_a_group_sequential_test_is_decided_at_its_looks_alone(made) -> None:
    rule = made.rule(test="group_sequential", looks=2, max_blocks=60)
    gains = made.gains(70)

    found = {n: assess(rule, made.gathered(rule, gains[:n]), made.state()) for n in (29, 30, 35)}
    never = assess(rule, made.gathered(rule, made.gains(70, 0.0)), made.state())

    assert {n: ruling.action for n, ruling in found.items()} == {
        29: "hold",
        30: "promote",
        35: "promote",
    }
    assert found[29].expected["blocks"] == 1
    assert "still in time" in _holding(never)


def test_blocks_that_resemble_their_neighbours_hold(made) -> None:
    rule = made.rule()
    luck = [0.02 + 0.01 * ((at // 6) % 2) for at in range(60)]
    gains = [a + b / 50 for a, b in zip(luck, made.gains(60, 0.0), strict=True)]

    ruling = assess(rule, made.gathered(rule, gains), made.state())

    assert _holding(ruling) == ["blocks are long enough"]
    assert "Declare blocks by 'week'." in _check(ruling, "blocks are long enough").sentence


@pytest.mark.parametrize(
    ("old_gain", "days", "action"),
    [
        pytest.param(0.0, 10, "hold", id="not long enough"),
        pytest.param(0.0, 30, "promote", id="as good as before: confirmed"),
        pytest.param(-0.02, 30, "promote", id="better than before: confirmed"),
        pytest.param(0.02, 30, "rollback", id="worse than before"),
        pytest.param(0.02, 22, "rollback", id="worse than before, and not over yet"),
        pytest.param(0.02, 15, "hold", id="too early to tell"),
    ],
)
def test_a_promotion_is_watched(made, old_gain, days, action) -> None:
    rule = made.rule(watch={"blocks": 30})

    ruling = assess(rule, made.gathered(rule, made.gains(days, old_gain)), made.watch())

    assert ruling.action == action


def test_a_watch_concedes_what_the_rule_says(made) -> None:
    rule = made.rule(watch={"blocks": 30, "max_drop": 0.08})  # of 0.5: 0.04

    ruling = assess(rule, made.gathered(rule, made.gains(30, 0.02)), made.watch())

    assert ruling.action == "promote"


def test_an_old_champion_that_fails_in_shadow_is_no_reason_to_go_back_to_it(made) -> None:
    rule = made.rule(watch={"blocks": 20})
    gathered = made.gathered(rule, made.gains(30, 0.0))
    blocks = [dataclasses.replace(b, shadow_missing=50, paired=46) for b in gathered.primary.blocks]
    totals = dataclasses.replace(
        gathered.primary.totals, shadow_missing=1500, paired=1380, shadow_failed=500
    )
    primary = dataclasses.replace(gathered.primary, blocks=tuple(blocks), totals=totals)

    ruling = assess(rule, dataclasses.replace(gathered, primary=primary), made.watch())

    assert (ruling.action, _holding(ruling)) == ("hold", ["old champion scored"])


def test_a_watch_that_the_rule_does_not_know_is_ended_by_a_person(made) -> None:
    rule = made.rule()

    ruling = assess(rule, made.gathered(rule, made.gains(30)), made.watch())

    assert (ruling.action, _holding(ruling)) == ("hold", ["rule watches"])


@pytest.mark.parametrize("state", ["state", "watch"])
@pytest.mark.parametrize(("failures", "action"), [(0, "hold"), (400, "rollback")])
def test_a_live_look_rolls_back_or_holds(made, state, failures, action) -> None:
    rule = made.rule(**ERRORS)
    gathered = made.gathered(
        rule,
        made.gains(25),
        scope="live",
        figures=(made.figures(rule.guardrails[0], failures),),
    )

    ruling = assess(rule, gathered, getattr(made, state)(began=None, held="inventory"))

    assert (ruling.action, ruling.expected) == (action, {})


@pytest.mark.parametrize("state", [{}, {"stage": "traffic", "share": 0.05, "design": "ramp"}])
def test_the_worst_action_wins(made, state) -> None:
    rule = made.rule(ramp=RAMP, **ERRORS)
    gathered = made.gathered(rule, made.gains(25))
    broken = dataclasses.replace(gathered, figures=(made.figures(rule.guardrails[0], 400),))

    assert assess(rule, gathered, made.state(**state)).action == "ramp"
    assert assess(rule, broken, made.state(**state)).action == "rollback"


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (1, 1, "judged at 0.025: half of 0.05, as the first challenger of this champion"),
        (2, 2, "judged at 0.008333: 1/6 of 0.05, as the second challenger of this champion"),
        (
            1,
            3,
            "judged at 0.0125: 1/4 of 0.05, as one of the first to third challengers of this "
            "champion",
        ),
        (21, 21, "judged at 0.0001082: 1/462 of 0.05, as the 21st challenger of this champion"),
    ],
)
def test_how_many_were_tried_lowers_the_level_and_is_said(made, first, last, words) -> None:
    rule = made.rule()

    ruling = assess(
        rule, made.gathered(rule, made.gains(25)), made.state(first_try=first, last_try=last)
    )

    assert f"It is {words}." in _check(ruling, "challenger is better").sentence
    assert ruling.alpha == pytest.approx(
        rule.alpha * (1 / first - 1 / (last + 1)) / (last - first + 1)
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"metric": "brier"},
        {"metric": "mae"},
        {"metric": "mse"},
        {"metric": "pinball", "quantile": 0.9},
        {"metric": "auc", "block": "count", "block_size": 100},
        {"metric": "ndcg", "block": "count", "block_size": 100},
        {"metric": "log_loss", "block": "hour"},
        {"metric": "log_loss", "block": "week"},
        {"metric": "mae", "effect": "absolute", "min_effect": 0.001},
        {"metric": "brier", "min_effect": 0.01},
    ],
)
def test_every_metric_is_judged_in_its_own_direction(made, fields) -> None:
    rule = made.rule(**fields)

    better = assess(rule, made.gathered(rule, made.gains(25)), made.state())
    worse = assess(rule, made.gathered(rule, made.gains(25, -0.02)), made.state())

    assert (better.action, worse.action) == ("promote", "hold")
    word = rule.is_better
    assert f" {word}" in _check(better, "challenger is better").sentence


def test_outcomes_that_were_all_filled_in_prove_nothing(made) -> None:
    rule = made.rule(missing_outcomes="zero")
    gathered = made.gathered(rule, made.gains(25))
    primary = gathered.primary
    blocks = tuple(dataclasses.replace(b, filled=b.labelled) for b in primary.blocks)
    totals = dataclasses.replace(primary.totals, filled=primary.totals.labelled)
    filled = dataclasses.replace(primary, blocks=blocks, totals=totals)

    ruling = assess(rule, dataclasses.replace(gathered, primary=filled), made.state())

    assert _holding(ruling) == ["outcomes are known"]


@pytest.mark.parametrize(
    ("days", "blocks", "at"),
    [
        pytest.param(12, 8, "2013-07-23T00:00:00+00:00", id="eight more days, and two to mature"),
        pytest.param(0, 20, "2013-07-23T00:00:00+00:00", id="none yet, the first is under way"),
    ],
)
def test_what_is_missing_and_when_it_is_expected_is_said(made, days, blocks, at) -> None:
    rule = made.rule()

    expected = assess(rule, made.gathered(rule, made.gains(days)), made.state()).expected

    assert (expected["blocks"], expected["at"]) == (blocks, at)
    assert expected["sentence"] == (
        f"{blocks} more days have to close. That is expected at {at}, at the earliest."
    )


def test_one_day_that_is_missing_is_told_in_the_singular(made) -> None:
    rule = made.rule()

    expected = assess(rule, made.gathered(rule, made.gains(19)), made.state()).expected

    assert expected["sentence"].startswith("1 more day has to close. ")


def test_a_small_advantage_is_expected_to_take_longer_than_a_large_one(made) -> None:
    rule = made.rule()

    def blocks(mean: float) -> Any:
        gathered = made.gathered(rule, made.gains(25, mean, seed=1))
        return assess(rule, gathered, made.state()).expected["blocks"]

    assert 0 < blocks(0.008) < blocks(0.005)
    assert blocks(-0.01) is None


def test_of_a_challenger_that_is_behind_no_day_is_named(made) -> None:
    rule = made.rule()

    expected = assess(rule, made.gathered(rule, made.gains(25, -0.01, seed=1)), made.state())

    assert expected.expected["sentence"] == ("It is not ahead: more days like these prove nothing.")


def test_a_rule_is_asked_for_and_nothing_is_changed_by_asking(made) -> None:
    rule: Rule = made.rule(watch={"blocks": 20}, ramp=RAMP)
    gathered, state = made.gathered(rule, made.gains(25)), made.traffic(0.25)

    assert assess(rule, gathered, state) == assess(rule, gathered, state)
