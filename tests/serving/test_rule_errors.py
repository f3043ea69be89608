"""What is wrong with a rule, or with a part of it, is named where it is, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from headrace.errors import ParameterError
from serving.rule import Rule, read_rule
from serving.rule_guardrails import ErrorRate, FeatureDrift, LabelCoverage, Latency, SliceGap
from serving.rule_stages import Approval, Gate, Ramp, Watch

PAIRED: dict[str, Any] = {"name": "d", "metric": "log_loss", "label_window_hours": 48}
RANDOMISED: dict[str, Any] = {
    "name": "d", "metric": "outcome", "direction": "higher", "design": "randomised",
    "label_window_hours": 24,
}  # fmt: skip
CLIMBED = {"steps": [0.1, 1.0], "begins": "at_once"}
ERRORS = {"metric": "error_rate", "max": 0.01}
GUARDRAILS = (
    "Known: 'calibration', 'error_rate', 'feature_drift', 'label_coverage', 'latency', "
    "'sample_ratio', 'slice_gap'."
)
STEPS = "a list of at least two growing shares above 0, the last one 1"


def refusal(fields: dict[str, Any]) -> str:
    with pytest.raises(ParameterError) as caught:
        Rule(**fields)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said", "remedy"),
    [
        pytest.param(
            {"guardrails": [ERRORS, {"metric": "latency", "max_ms": -5.0}]},
            "field 'guardrails[1].max_ms' is -5.0 (float); expected milliseconds above 0.",
            "Set 'guardrails[1].max_ms' to milliseconds above 0.",
            id="a value of a guardrail",
        ),
        pytest.param(
            {"guardrails": [{"metric": "error_rate", "mx": 0.01, "max": 0.01}]},
            "there is no field 'guardrails[0].mx' (it is 0.01). Did you mean 'max'?",
            "Remove or rename the field.",
            id="a field of a guardrail",
        ),
        pytest.param(
            {"guardrails": [{"metric": "error_rate"}]},
            "field 'guardrails[0].max' is missing; expected a share above 0 and below 1.",
            "Set 'guardrails[0].max' to a share above 0 and below 1.",
            id="nothing said of a guardrail",
        ),
        pytest.param(
            {"guardrails": [{"metric": "eror_rate", "max": 0.01}]},
            "field 'guardrails[0].metric' is 'eror_rate' (str); expected the name of a guardrail. "
            "Did you mean 'error_rate'?",
            "Set 'guardrails[0].metric' to the name of a guardrail.",
            id="a guardrail that nobody knows",
        ),
        pytest.param(
            {"guardrails": [{"max": 0.01}]},
            "field 'guardrails[0].metric' is missing; expected the name of a guardrail. "
            + GUARDRAILS,
            "Set 'guardrails[0].metric' to the name of a guardrail.",
            id="a guardrail without its name",
        ),
        pytest.param(
            {"guardrails": [{"metric": "error_rate", "max": 0.01, "on_breach": "rolback"}]},
            "field 'guardrails[0].on_breach' is 'rolback' (str); expected 'rollback' or 'hold'. "
            "Did you mean 'rollback'?",
            "Set 'guardrails[0].on_breach' to 'rollback' or 'hold'.",
            id="what a guardrail does",
        ),
        pytest.param(
            {"guardrails": [5]},
            "field 'guardrails[0]' is 5 (int); 'guardrails' takes a list of guardrails.",
            "Set 'guardrails' to a list of guardrails.",
            id="no guardrail",
        ),
        pytest.param(
            {"guardrails": ERRORS},
            "field 'guardrails' is {'metric': 'error_rate', 'max': 0.01} (dict); expected a list "
            "of guardrails.",
            "Set 'guardrails' to a list of guardrails.",
            id="one guardrail, and no list",
        ),
        pytest.param(
            {"ramp": {"step": [0.1, 1]}},
            "\n"
            f"  - field 'ramp.steps' is missing; expected {STEPS}.\n"
            "  - there is no field 'ramp.step' (it is [0.1, 1]). Did you mean 'steps'?",
            f"Set 'ramp.steps' to {STEPS}.",
            id="a field of the ramp",
        ),
        pytest.param(
            {"ramp": 0.1},
            "field 'ramp' is 0.1 (float); expected a ramp with its `steps`, or null.",
            "Set 'ramp' to a ramp with its `steps`, or null.",
            id="no ramp",
        ),
        pytest.param(
            {"ramp": {"steps": ["5%", 1.0]}},
            f"field 'ramp.steps[0]' is '5%' (str); 'ramp.steps' takes {STEPS}.",
            f"Set 'ramp.steps' to {STEPS}.",
            id="a step that is text",
        ),
        pytest.param(
            {"approval": {"by": ["ann", "ann"]}},
            "field 'approval.by' is ['ann', 'ann'] (list); expected a list of different names of "
            "people.",
            "Set 'approval.by' to a list of different names of people.",
            id="somebody twice",
        ),
        pytest.param(
            {"min_effect": -0.01},
            "field 'min_effect' is -0.01 (float); expected a number of at least 0. A margin has no "
            "sign: which direction is better is said by the metric.",
            "Set 'min_effect' to a number of at least 0.",
            id="a margin with the wrong sign",
        ),
        pytest.param(
            {"watch": {"max_drop": -0.1}},
            "field 'watch.max_drop' is -0.1 (float); expected a number of at least 0. A margin has "
            "no sign: which direction is better is said by the metric.",
            "Set 'watch.max_drop' to a number of at least 0.",
            id="a margin of a part with the wrong sign",
        ),
        pytest.param(
            {"name": "d", "ramp": {5: 1, "steps": [0.1, 1.0]}},
            "there is no field 'ramp.5' (it is 5). Known: 'begins', 'hold_hours', "
            "'min_decisions', 'patience_ms', 'steps', 'unit'.",
            "Remove or rename the field.",
            id="a key that is no text",
        ),
    ],
)
def test_what_is_wrong_within_a_part_is_named_where_it_is(fields, said, remedy) -> None:
    assert refusal(PAIRED | fields) == f"The rule 'd' is wrong: {said}\n  Fix: {remedy}"


def test_all_parts_are_looked_at_at_once() -> None:
    assert refusal(
        PAIRED
        | {
            "alpha": 5,
            "guardrails": [{"metric": "latency"}, {"metric": "slice_gap", "max_drop": 0.1}],
            "watch": {"block": 3},
        }
    ) == (
        "The rule 'd' is wrong: \n"
        "  - field 'alpha' is 5 (int); expected a probability from 0.0001 to 0.2.\n"
        "  - field 'guardrails[0].max_ms' is missing; expected milliseconds above 0.\n"
        "  - field 'guardrails[1].by' is missing; expected the name of a column.\n"
        "  - there is no field 'watch.block' (it is 3). Did you mean 'blocks'?\n"
        "  Fix: Set 'alpha' to a probability from 0.0001 to 0.2."
    )


def test_a_very_long_value_is_shown_in_part() -> None:
    said = refusal(PAIRED | {"timezone": "x" * 5_000})

    assert len(said) < 500
    assert "'timezone' is 'xxx" in said
    assert "… (str)" in said


@pytest.mark.parametrize(
    ("steps", "problem", "remedy"),
    [
        pytest.param(
            [5.0, 25.0, 100.0],
            "the steps 5, 25, 100 are no shares, which are at most 1",
            "Write a share as a part of one: 0.05 for 5 %.",
            id="percents",
        ),
        pytest.param(
            [0.0, 0.5, 1.0],
            "the steps 0, 0.5, 1 go below 0.0001, the smallest share that can be dealt",
            "Begin with at least 0.0001; a challenger is in shadow before.",
            id="begins with nothing",
        ),
        pytest.param(
            [0.5, 0.1, 1.0],
            "the steps 0.5, 0.1, 1 do not grow by at least 0.0001 each",
            "Give each share once, the smallest first.",
            id="goes down",
        ),
        pytest.param(
            [0.1, 0.10004, 1.0],
            "the steps 0.1, 0.10004, 1 do not grow by at least 0.0001 each",
            "Give each share once, the smallest first.",
            id="two shares that are dealt alike",
        ),
        pytest.param(
            [0.1, 0.5],
            "the steps 0.1, 0.5 do not end with 1, so nothing is ever promoted",
            "End them with 1: the promotion.",
            id="never ends",
        ),
    ],
)
def test_an_impossible_ramp_is_refused(steps, problem, remedy) -> None:
    said = f"is wrong: field '{{}}' does not fit: {problem}.\n  Fix: {remedy}"

    assert refusal(PAIRED | {"ramp": {"steps": steps}}) == f"The rule 'd' {said}".format(
        "ramp.steps"
    )
    with pytest.raises(ParameterError) as caught:
        Ramp(steps=steps)
    assert str(caught.value) == f"The ramp {said}".format("steps")


@pytest.mark.parametrize(
    ("fields", "field", "problem", "remedy"),
    [
        pytest.param(
            RANDOMISED | {"direction": None},
            "direction",
            "the metric 'outcome' does not say by itself what is better",
            "Set 'direction' to 'higher' or 'lower'.",
            id="an outcome without a direction",
        ),
        pytest.param(
            PAIRED | {"direction": "higher"},
            "direction",
            "it is 'higher', but 'log_loss' says by itself what is better",
            "Leave 'direction' out.",
            id="a loss that is to be higher",
        ),
        pytest.param(
            PAIRED | {"metric": "pinball"},
            "quantile",
            "the metric 'pinball' needs to know which quantile is estimated",
            "Set 'quantile', such as 0.9.",
            id="no quantile",
        ),
        pytest.param(
            PAIRED | {"quantile": 0.9},
            "quantile",
            "it is 0.9, but 'log_loss' is of no quantile",
            "Leave 'quantile' out, or set 'metric' to 'pinball'.",
            id="a quantile of nothing",
        ),
        pytest.param(
            PAIRED | {"metric": "auc", "clip": 2.0},
            "clip",
            "it is 2, but 'auc' is made of ranks, which have no bound",
            "Leave 'clip' out.",
            id="clipped ranks",
        ),
        pytest.param(
            PAIRED | {"metric": "ndcg"},
            "block",
            "it is 'day', but 'ndcg' is compared over blocks of so many lists",
            "Set 'block' to 'count', and 'block_size'.",
            id="days of lists",
        ),
        pytest.param(
            PAIRED | {"missing_outcomes": "zero", "label_window_hours": 0},
            "missing_outcomes",
            "it is 'zero' with a label window of 0 hours, in which nothing can happen",
            "Set 'label_window_hours' to the time in which an outcome comes.",
            id="all is missing at once",
        ),
        pytest.param(
            PAIRED | {"min_effect": 5},
            "min_effect",
            "it is 5, but the effect is 'relative': a share of the champion's figure, below 1",
            "Write 0.05 for 5 %, or set 'effect' to 'absolute'.",
            id="five for five percent",
        ),
        pytest.param(
            PAIRED | {"guardrails": [{"metric": "slice_gap", "by": "tail", "max_drop": 2}]},
            "guardrails[0].max_drop",
            "it is 2, but the effect is 'relative': a share of the champion's figure, below 1",
            "Write 0.05 for 5 %, or set 'effect' to 'absolute'.",
            id="two for two percent, in slices",
        ),
        pytest.param(
            PAIRED | {"watch": {"max_drop": 1}},
            "watch.max_drop",
            "it is 1, but the effect is 'relative': a share of the champion's figure, below 1",
            "Write 0.05 for 5 %, or set 'effect' to 'absolute'.",
            id="a watch that sees nothing",
        ),
        pytest.param(
            RANDOMISED | {"design": "paired_shadow"},
            "design",
            "it is 'paired_shadow', but an 'outcome' is the same whichever model is asked in "
            "shadow",
            "Set 'design' to 'randomised': only those that each model answers can tell.",
            id="an outcome in shadow",
        ),
        pytest.param(
            PAIRED | {"unit": ["tail"]},
            "unit",
            "it is for a 'randomised' design, and the rule's is 'paired_shadow'",
            "Leave 'unit' out, or set 'design' to 'randomised'.",
            id="a unit in shadow",
        ),
        pytest.param(
            PAIRED | {"metric": "auc", "design": "randomised"},
            "metric",
            "it is 'auc', which compares rankings of the same decisions, and a 'randomised' design "
            "has none",
            "Set 'design' to 'paired_shadow', or choose another metric.",
            id="rankings of different decisions",
        ),
        pytest.param(
            RANDOMISED | {"covariate": "before"},
            "covariate",
            "it is 'before', what a unit's outcomes were, but the rule has no 'unit'",
            "Set 'unit' to the columns that make one.",
            id="before without units",
        ),
        pytest.param(
            RANDOMISED | {"metric": "mae", "direction": None, "gate": {}, "ramp": CLIMBED},
            "gate",
            "it estimates the mean outcome, but the rule goes by 'mae'",
            "Leave 'gate' out, or set 'metric' to 'outcome'.",
            id="a gate for a loss",
        ),
        pytest.param(
            RANDOMISED | {"gate": {}},
            "gate",
            "it comes before a ramp, and the rule has none",
            "Set 'ramp'.",
            id="a gate to nowhere",
        ),
        pytest.param(
            PAIRED | {"block": "count"},
            "block_size",
            "blocks by 'count' need to know how many decisions make one",
            "Set 'block_size', such as 500.",
            id="no size",
        ),
        pytest.param(
            PAIRED | {"block_size": 500},
            "block_size",
            "it is 500, but a block is a 'day', of any size",
            "Leave 'block_size' out, or set 'block' to 'count'.",
            id="a day of 500",
        ),
        pytest.param(
            PAIRED | {"test": "group_sequential", "max_blocks": 60},
            "looks",
            "the test 'group_sequential' has to know it beforehand",
            "Set 'looks', such as 4.",
            id="looks that nobody fixed",
        ),
        pytest.param(
            PAIRED | {"max_blocks": 60},
            "max_blocks",
            "it is 60, but the test 'sequence' may be looked at after every block, and has no end",
            "Leave 'max_blocks' out, or set 'test' to 'group_sequential'.",
            id="an end of what has none",
        ),
        pytest.param(
            PAIRED | {"test": "group_sequential", "looks": 4, "max_blocks": 60, "min_blocks": 61},
            "max_blocks",
            "it is 60, fewer than the 61 of 'min_blocks'",
            "Set 'max_blocks' to at least 61.",
            id="ends before it begins",
        ),
        pytest.param(
            PAIRED | {"test": "group_sequential", "looks": 21, "max_blocks": 20},
            "looks",
            "it is 21, more than the 20 blocks of 'max_blocks'",
            "Set 'looks' to at most 20.",
            id="more looks than blocks",
        ),
        pytest.param(
            PAIRED | {"block": "week", "max_days": 60},
            "max_days",
            "it is 60, but the 20 weeks of 'min_blocks' are mature after 142 days at the earliest",
            "Set 'max_days' to at least 142, or choose shorter blocks.",
            id="blocks longer than the experiment",
        ),
        pytest.param(
            PAIRED | {"test": "group_sequential", "looks": 4, "max_blocks": 60, "max_days": 30},
            "max_days",
            "it is 30, but the 60 days of 'max_blocks' are mature after 62 days at the earliest",
            "Set 'max_days' to at least 62, or choose shorter blocks.",
            id="the last look comes too late",
        ),
        pytest.param(
            PAIRED | {"block": "hour", "min_days": 30, "max_days": 20},
            "max_days",
            "it is 20, fewer than the 30 of 'min_days'",
            "Set 'max_days' to at least 30.",
            id="over before it may end",
        ),
        pytest.param(
            RANDOMISED | {"block": "hour", "max_days": 5, "ramp": CLIMBED | {"hold_hours": 240.0}},
            "max_days",
            "it is 5, but the ramp takes 10 days at least",
            "Set 'max_days' to at least 10, or shorten the ramp.",
            id="over before the ramp is climbed",
        ),
        pytest.param(
            PAIRED | {"on_expiry": "withdraw"},
            "on_expiry",
            "it is 'withdraw', but without 'max_days' no experiment expires",
            "Set 'max_days', or leave 'on_expiry' out.",
            id="never expires",
        ),
        pytest.param(
            PAIRED | {"guardrails": [ERRORS, ERRORS]},
            "guardrails[1]",
            "'error_rate' is there twice",
            "Keep one of them.",
            id="a guardrail twice",
        ),
        pytest.param(
            PAIRED | {"guardrails": [{"metric": "slice_gap", "by": "tail", "max_drop": 0.1}] * 2},
            "guardrails[1]",
            "'slice_gap' by tail is there twice",
            "Keep one of them.",
            id="slices twice",
        ),
        pytest.param(
            PAIRED | {"metric": "mae", "guardrails": [{"metric": "calibration", "max": 0.1}]},
            "guardrails[0]",
            "'calibration' is of probabilities, and 'mae' has none",
            "Leave it out.",
            id="calibrated estimates",
        ),
        pytest.param(
            PAIRED
            | {
                "metric": "auc",
                "guardrails": [{"metric": "slice_gap", "by": "tail", "max_drop": 0.1}],
            },
            "guardrails[0]",
            "'slice_gap' compares what each decision counts, and 'auc' ranks many",
            "Leave it out, or compare by a loss.",
            id="slices of ranks",
        ),
        pytest.param(
            PAIRED | {"guardrails": [{"metric": "sample_ratio"}]},
            "guardrails[0]",
            "'sample_ratio' compares arms of traffic, and in shadow there are none",
            "Leave it out, or give the rule a 'ramp'.",
            id="arms in shadow",
        ),
        pytest.param(
            PAIRED | {"approval": {"before": "ramp"}},
            "approval",
            "it comes before a ramp, and the rule has none",
            "Set 'ramp', or 'approval.before' to 'promotion'.",
            id="approves no ramp",
        ),
        pytest.param(
            RANDOMISED | {"ramp": {"steps": [0.1, 1.0]}},
            "ramp.begins",
            "it is 'won', but a 'randomised' experiment cannot be won in shadow",
            "Set 'ramp.begins' to 'at_once'.",
            id="won in shadow",
        ),
        pytest.param(
            RANDOMISED | {"unit": ["tail", "origin"], "ramp": CLIMBED},
            "ramp.unit",
            "the ramp deals traffic by single decisions, and the rule compares by 'tail' and "
            "'origin'",
            "Give both the same columns, in the same order.",
            id="two sorts of units",
        ),
        pytest.param(
            RANDOMISED | {"watch": {}, "guardrails": [{"metric": "sample_ratio"}]},
            "watch",
            "an 'outcome' cannot be compared in reverse shadow, and the rule has no guardrail that "
            "rolls back, so nothing would be watched",
            "Add one, such as {metric: error_rate, max: 0.01}, or leave 'watch' out.",
            id="watches nothing",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields, field, problem, remedy) -> None:
    assert refusal(fields) == (
        f"The rule 'd' is wrong: field '{field}' does not fit: {problem}.\n  Fix: {remedy}"
    )


def test_all_that_does_not_fit_is_named_at_once() -> None:
    assert refusal(PAIRED | {"quantile": 0.5, "block_size": 100}) == (
        "The rule 'd' is wrong: \n"
        "  - field 'quantile' does not fit: it is 0.5, but 'log_loss' is of no quantile.\n"
        "  - field 'block_size' does not fit: it is 100, but a block is a 'day', of any size.\n"
        "  Fix: Leave 'quantile' out, or set 'metric' to 'pinball'."
    )


def test_an_absolute_effect_is_in_the_unit_of_the_metric() -> None:
    rule = Rule(**PAIRED | {"metric": "mae", "effect": "absolute", "min_effect": 2.5})

    assert rule.min_effect == 2.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda: ErrorRate(max=2.0),
            "The guardrail 'error_rate' is wrong: field 'max' is 2.0 (float); expected a share "
            "above 0 and below 1.\n  Fix: Set 'max' to a share above 0 and below 1.",
            id="a guardrail",
        ),
        pytest.param(
            lambda: Latency(max_m=5.0),  # type: ignore[call-arg]
            "The guardrail 'latency' is wrong: \n"
            "  - field 'max_ms' is missing; expected milliseconds above 0.\n"
            "  - there is no field 'max_m' (it is 5.0). Did you mean 'max_ms'?\n"
            "  Fix: Set 'max_ms' to milliseconds above 0.",
            id="a field",
        ),
        pytest.param(
            lambda: Gate(estimator="ips"),  # type: ignore[arg-type]
            "The gate is wrong: field 'estimator' is 'ips' (str); expected 'snips' or 'dr'. Did "
            "you mean 'snips'?\n  Fix: Set 'estimator' to 'snips' or 'dr'.",
            id="a gate",
        ),
        pytest.param(
            lambda: FeatureDrift(features={"a"}),  # type: ignore[arg-type]
            "The guardrail 'feature_drift' is wrong: field 'features' is {'a'} (set); expected a "
            "list of different names of features.\n  Fix: Set 'features' to a list of different "
            "names of features.",
            id="a set has no order",
        ),
    ],
)
def test_a_part_made_by_itself_is_refused_likewise(
    make: Callable[[], BaseModel], message: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        make()

    assert str(caught.value) == message


def test_parts_may_be_made_by_themselves() -> None:
    rule = Rule(
        **PAIRED,
        guardrails=(ErrorRate(max=0.01), SliceGap(by="tail", max_drop=0.1), LabelCoverage()),
        ramp=Ramp(steps=(0.1, 1.0)),
        approval=Approval(by=("ann",)),
        watch=Watch(blocks=30),
    )

    assert rule == Rule(**rule.document())


def test_text_says_where_it_is_wrong_too() -> None:
    with pytest.raises(ParameterError) as caught:
        read_rule(
            "name: d\nmetric: log_loss\nlabel_window_hours: 48\n"
            "guardrails:\n  - metric: latency\n    max_ms: fast\n"
        )

    assert str(caught.value) == (
        "The rule 'd' is wrong: field 'guardrails[0].max_ms' is 'fast' (str); expected "
        "milliseconds above 0.\n  Fix: Set 'guardrails[0].max_ms' to milliseconds above 0."
    )
