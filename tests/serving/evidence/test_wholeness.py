"""Evidence whose figures are not those of its decisions, or of the rule, promotes nothing."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from serving._wholeness import is_whole
from serving.evidence import Arm, Evidence
from serving.rule import Rule

RULE = Rule(
    name="r",
    metric="outcome",
    direction="higher",
    design="randomised",
    label_window_hours=1,
    missing_outcomes="zero",
)


@pytest.fixture
def evidence(log: Any) -> Evidence:
    """Two days of outcomes below zero; on the second the challenger has no unit."""
    for name, hours, to in (("a", 1, "delay/3"), ("b", 1, "delay/4"), ("c", 25, "delay/3")):
        log.dealt(name, hours, 0.5, 0.5, to)
        log.known(name, -2.0, hours + 0.5)
    log.dealt("d", 2, 0.5, 0.5, "delay/4")
    found: Evidence = log.evidence(RULE)
    return found


def _first(evidence: Evidence, **changes: Any) -> Evidence:
    first, *rest = evidence.blocks
    return dataclasses.replace(evidence, blocks=(dataclasses.replace(first, **changes), *rest))


def test_outcomes_may_be_below_zero_and_an_arm_may_be_empty(evidence: Evidence) -> None:
    assert [(b.champion_loss, b.challenger_loss, b.z) for b in evidence.blocks] == [
        (-2.0, -1.0, 1.0),
        (-2.0, None, None),
    ]
    assert is_whole(RULE, evidence).state == "passed"
    assert Evidence.from_json(evidence.to_json()) == evidence


def test_what_is_not_so_is_found(evidence: Evidence) -> None:
    ours, theirs = evidence.arms
    one_more = dataclasses.replace(ours, decisions=ours.decisions + 1)
    for changed, problem in (
        (_first(evidence, z=1.5), "a difference that its losses do not have"),
        (_first(evidence, z=None), "a loss that is not a finite number"),
        (_first(evidence, challenger_loss=math.nan), "a loss that is not a finite number"),
        (_first(evidence, filled=9), "fills in outcomes that it may not"),
        (_first(evidence, filled=0), "'filled' do not add up"),
        (_first(evidence, filled=None), "a 'filled' that is no count"),
        (dataclasses.replace(evidence, arms=(ours,)), "neither two arms nor none"),
        (dataclasses.replace(evidence, arms=(one_more, theirs)), "arms do not add up"),
        (
            dataclasses.replace(evidence, arms=(ours, dataclasses.replace(theirs, known=99))),
            "more outcomes or covariates than there are",
        ),
        (dataclasses.replace(evidence, odd={"not dealt": -1}), "odd about it has no counts"),
        (dataclasses.replace(evidence, removed=math.inf), "covariate removed is no finite number"),
    ):
        check = is_whole(RULE, changed)

        assert check.state == "unknown"
        assert problem in check.sentence


@pytest.mark.parametrize(
    ("metric", "figures", "problem"),
    [
        ("mse", (-1.0, 0.0, -1.0), "has a loss below 0"),
        ("auc", (1.5, 1.0, -0.5), "has a figure that is no share"),
        ("auc", (None, 0.5, None), "has a loss that is not a finite number"),
        ("mse", (None, None, None), "has a loss that is not a finite number"),
    ],
)
def test_figures_are_of_the_metric(
    log: Any, metric: Any, figures: tuple[Any, Any, Any], problem: str
) -> None:
    rule = Rule(name="r", metric=metric, label_window_hours=1)
    for name, value in (("a", 1.0), ("b", 0.0)):
        log.decided(name, 1, 0.5)
        log.shadowed(name, 0.5)
        log.known(name, value, 1.5)
    evidence = log.evidence(rule)
    assert is_whole(rule, evidence).state == "passed"

    names = ("champion_loss", "challenger_loss", "z")
    changed = _first(evidence, **dict(zip(names, figures, strict=True)))

    assert problem in is_whole(rule, changed).sentence


def test_a_block_of_auc_without_a_class_may_lack_figures(log: Any) -> None:
    rule = Rule(name="r", metric="auc", label_window_hours=1)
    log.decided("a", 1, 0.5)
    log.shadowed("a", 0.5)
    log.known("a", 1.0, 1.5)

    evidence = log.evidence(rule)

    assert evidence.blocks[0].paired == 1
    assert is_whole(rule, evidence).state == "passed"


def test_arms_are_of_randomised_rules_alone(log: Any) -> None:
    rule = Rule(name="r", metric="mse", label_window_hours=1)
    arm = Arm(model="delay/3", decisions=0, units=0, known=0, counted=0)

    changed = dataclasses.replace(log.evidence(rule), arms=(arm, arm))

    assert "has arms, and the rule compares in pairs" in is_whole(rule, changed).sentence


def test_fields_that_came_later_are_left_out_at_their_default(log: Any) -> None:
    rule = Rule(name="r", metric="mse", label_window_hours=1)
    log.decided("a", 1, 0.5)
    log.shadowed("a", 0.5)
    log.known("a", 1.0, 1.5)

    document = log.evidence(rule).to_json()

    assert set(document) == {
        "format", "experiment", "endpoint", "champion", "challenger", "rule", "as_of", "newest",
        "totals", "design", "blocks",
    }  # fmt: skip
    assert "filled" not in document["totals"]
    assert "filled" not in document["blocks"][0]
