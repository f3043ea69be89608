"""Both models are compared on every decision, whoever answered it and however shares changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.judge import judge
from serving.rule import Rule

RULE = Rule(name="r", metric="mse", label_window_hours=2, min_effect=0.1)


def test_what_the_challenger_answered_is_compared_with_the_champions_shadow(log: Any) -> None:
    log.dealt("ours", 1, 3.0, 0.5, "delay/3")
    log.shadowed("ours", 1.0)
    log.dealt("theirs", 2, 1.0, 0.5, "delay/4")
    log.shadowed("theirs", 2.0, model="delay/3")
    log.known("ours", 0.0, 2)
    log.known("theirs", 0.0, 3)

    evidence = log.evidence(RULE)

    (block,) = evidence.blocks
    assert (evidence.champion, evidence.challenger) == ("delay/3", "delay/4")
    assert (block.decisions, block.paired, block.shadow_missing) == (2, 2, 0)
    assert (block.champion_loss, block.challenger_loss) == ((9 + 4) / 2, (1 + 1) / 2)
    assert block.z == pytest.approx(0.9 * 6.5 - 1.0)
    assert evidence.totals.mixed == 0


def test_what_the_champion_did_not_score_is_no_pair_and_is_seen(log: Any) -> None:
    log.dealt("theirs", 2, 1.0, 0.5, "delay/4")
    log.known("theirs", 0.0, 3)

    evidence = log.evidence(RULE, champion="delay/3", challenger="delay/4")

    assert (evidence.totals.paired, evidence.totals.unusable) == (0, 1)
    assert evidence.odd == {"without a score of the champion": 1}


def test_the_champion_is_told_from_the_challenger_that_answers_nearly_all(log: Any) -> None:
    for number in range(10):
        to = "delay/3" if number == 0 else "delay/4"
        log.dealt(f"d{number}", number, 1.0, 0.9, to)
        log.shadowed(f"d{number}", 2.0, model="delay/4" if number == 0 else "delay/3")

    evidence = log.evidence(RULE)

    assert (evidence.champion, evidence.challenger) == ("delay/3", "delay/4")
    assert evidence.totals.mixed == 0


def test_what_a_challenger_was_dealt_and_failed_to_answer_is_a_failure(log: Any) -> None:
    for name, why in (("a", "error"), ("b", "timeout"), ("c", "busy"), ("d", "out")):
        log.dealt(name, 1, 1.0, 0.5, "delay/4", model="delay/3", fallback=why)
        log.shadowed(name, 0.5)
        log.known(name, 0.0, 2)

    totals = log.evidence(RULE).totals

    assert (totals.shadow_tried, totals.shadow_failed, totals.paired) == (4, 2, 2)
    assert (totals.shadow_errors, totals.shadow_missing, totals.mixed) == (2, 0, 0)


def test_each_of_several_challengers_has_its_own_evidence(log: Any) -> None:
    three = {
        "candidates": ["delay/3", "delay/4", "delay/5"],
        "propensities": [0.4, 0.3, 0.3],
        "experiments": ["e1", "e2"],
    }
    scores = {"delay/3": 3.0, "delay/4": 2.0, "delay/5": 1.0}
    for model, score in scores.items():
        log.decided(model, 1, score, model=model, assigned=model, **three)
        log.known(model, 0.0, 2)
    for model, by, experiment in (
        ("delay/3", "delay/4", "e1"),
        ("delay/3", "delay/5", "e2"),
        ("delay/4", "delay/3", "e1"),
        ("delay/4", "delay/5", "e2"),
        ("delay/5", "delay/3", "e2"),
        ("delay/5", "delay/4", "e1"),
    ):
        log.shadowed(model, scores[by], model=by, experiment=experiment)

    first, second = (log.evidence(RULE, experiment=each) for each in ("e1", "e2"))

    assert (first.champion, first.challenger) == ("delay/3", "delay/4")
    assert (second.champion, second.challenger) == ("delay/3", "delay/5")
    for evidence, loss in ((first, 4.0), (second, 1.0)):
        (block,) = evidence.blocks
        assert (block.paired, block.champion_loss, block.challenger_loss) == (3, 9.0, loss)
        assert evidence.totals.mixed == 0


def test_a_model_that_had_no_chance_is_a_stranger(log: Any) -> None:
    log.dealt("ours", 1, 1.0, 0.5, "delay/3")
    log.shadowed("ours", 1.0)
    log.dealt("stranger", 1, 1.0, 0.5, "delay/4", model="delay/9")
    log.shadowed("ours", 1.0, model="delay/8")

    assert log.evidence(RULE).totals.mixed == 2


DECISION = st.fixed_dictionaries(
    {
        "day": st.integers(0, 3),
        "to": st.sampled_from(["delay/3", "delay/4"]),
        "fallback": st.sampled_from([None, None, None, "error", "busy"]),
        "ours": st.sampled_from([0.0, 1.0, 2.5]),
        "theirs": st.sampled_from([0.0, 0.5, None, math.nan]),
        "scored": st.booleans(),
        "outcome": st.sampled_from([0.0, 2.0, None, "none"]),
        "late": st.booleans(),
    }
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(decisions=st.lists(DECISION, min_size=1, max_size=12))
def test_pairs_of_a_ramp_are_those_that_a_loop_finds(
    new_log: Callable[[], Any], decisions: list[dict[str, Any]]
) -> None:
    log = new_log()
    for number, each in enumerate(decisions):
        name, hours = f"d{number:02}", 24 * each["day"] + 1 + number / 100
        to, fallback = each["to"], each["fallback"]
        fallback = fallback if to == "delay/4" else None
        answered = "delay/3" if fallback else to
        own = each["ours"] if answered == "delay/3" else 0.5
        log.dealt(name, hours, own, 0.1 + each["day"] / 10, to, model=answered, fallback=fallback)
        if each["scored"]:
            other, score = (
                ("delay/4", each["theirs"]) if answered == "delay/3" else ("delay/3", each["ours"])
            )
            log.shadowed(name, score, model=other)
        if each["outcome"] != "none":
            log.known(name, each["outcome"], hours + (3 if each["late"] else 1))

    evidence = log.evidence(RULE, champion="delay/3", challenger="delay/4")

    found = {(b.start.day - 1): b for b in evidence.blocks}
    for day in range(4):
        pairs, counts = _by_hand([each for each in decisions if each["day"] == day])
        if not counts["decisions"]:
            assert day not in found
            continue
        block = found[day]
        assert {name: getattr(block, name) for name in counts} == counts
        assert block.paired == len(pairs)
        if pairs:
            ours, theirs = (sum(each) / len(pairs) for each in zip(*pairs, strict=True))
            assert block.champion_loss == pytest.approx(ours)
            assert block.z == pytest.approx(0.9 * ours - theirs)
    assert evidence.from_json(evidence.to_json()) == evidence
    assert judge(RULE, evidence).checks[0].state == "passed"


def _by_hand(decisions: list[dict[str, Any]]) -> tuple[list[tuple[float, float]], dict[str, int]]:
    counts = dict.fromkeys(("decisions", "labelled", "censored", "shadow_errors"), 0)
    counts["shadow_missing"] = 0
    pairs = []
    for each in decisions:
        counts["decisions"] += 1
        fallback = each["fallback"] if each["to"] == "delay/4" else None
        by_challenger = each["to"] == "delay/4" and not fallback
        failed = fallback == "error"
        if by_challenger:
            ours, theirs, there = (each["ours"] if each["scored"] else None), 0.5, True
        else:
            ours, theirs, there = each["ours"], each["theirs"], each["scored"] or failed
        broken = there and (failed or theirs is None or math.isnan(theirs))
        counts["shadow_errors"] += broken
        counts["shadow_missing"] += not there
        in_time = each["outcome"] != "none" and not each["late"]
        counts["censored"] += in_time and each["outcome"] is None
        if not in_time or each["outcome"] is None:
            continue
        counts["labelled"] += 1
        if ours is not None and there and not broken:
            value = each["outcome"]
            pairs.append(((value - ours) ** 2, (value - theirs) ** 2))
    return pairs, counts
