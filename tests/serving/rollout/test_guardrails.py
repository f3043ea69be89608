"""Guardrails act on what is proven, hold on what looks wrong or is not known, and never fail."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving._check import Check
from serving.rollout._check_gate import may_answer
from serving.rollout.gathered import Figures, Gathered
from serving.rollout.guardrails import guardrail_checks
from serving.rollout.state import RolloutState
from serving.rule import Rule, read_rule
from serving.rule_stages import Gate

NOW = datetime(2026, 8, 1, tzinfo=UTC)
STATE = RolloutState(
    endpoint="late",
    generation=3,
    champion="late/1",
    challenger="late/2",
    experiment="e1",
    stage="traffic",
    share=0.3,
    design="ramp",
    began=NOW,
    since=NOW,
)
GUARDRAILS: dict[str, dict[str, Any]] = {
    "error_rate": {"metric": "error_rate", "max": 0.01},
    "latency": {"metric": "latency", "max_ms": 50.0},
    "calibration": {"metric": "calibration", "max": 0.05},
    "slice_gap": {"metric": "slice_gap", "by": "carrier", "max_drop": 0.02},
    "feature_drift": {"metric": "feature_drift"},
    "label_coverage": {"metric": "label_coverage"},
    "sample_ratio": {"metric": "sample_ratio"},
}
GOOD: dict[str, dict[str, Any]] = {
    "error_rate": {"trials": 1000, "failures": 3},
    "latency": {"trials": 1000, "slow": 3, "max_ms": 50.0, "quantile": 0.99},
    "calibration": {
        "decisions": 1000,
        "ece": 0.02,
        "bins": [
            {"n": 500, "mean": 0.25, "observed": 0.23},
            {"n": 500, "mean": 0.75, "observed": 0.77},
        ],
    },
    "slice_gap": {
        "slices": [
            {"value": "AA", "decisions": 900, "blocks": 30, "mean": -0.01, "p": 1.0},
            {"value": "B6", "decisions": 90, "blocks": 30, "mean": None, "p": None},
        ]
    },
    "feature_drift": {"decisions": 900, "features": [{"name": "wind", "psi": 0.03}]},
    "label_coverage": {
        "arms": [
            {"model": "late/1", "decisions": 900, "known": 800},
            {"model": "late/2", "decisions": 300, "known": 270},
        ],
        "log_e": -1.5,
    },
    "sample_ratio": {
        "arms": [
            {"model": "late/1", "units": 700, "expected": 690.0},
            {"model": "late/2", "units": 290, "expected": 300.0},
        ],
        "log_e": -2.0,
    },
}


def ruled(*guardrails: dict[str, Any], **fields: Any) -> Rule:
    given_fields: dict[str, Any] = {"name": "r", "metric": "brier", "label_window_hours": 24.0}
    given_fields |= {"ramp": {"steps": [0.3, 1.0], "begins": "at_once"}}
    return Rule(**(given_fields | fields | {"guardrails": list(guardrails)}))


def checked(metric: str, counts: Any, **guardrail: Any) -> Check:
    rule = ruled(GUARDRAILS[metric] | guardrail)
    of = "carrier" if metric == "slice_gap" else ""
    figures = (Figures(metric=metric, of=of, counts=counts),)
    (check,) = guardrail_checks(rule, Gathered(as_of=NOW, primary=None, figures=figures), STATE)
    return check


@pytest.mark.parametrize("metric", list(GOOD))
def test_good_figures_pass(metric: str) -> None:
    check = checked(metric, GOOD[metric])

    assert (check.state, check.action) == ("passed", "promote")
    assert check.name == f"guardrail {metric}{' carrier' * (metric == 'slice_gap')}"


SENTENCES = [
    pytest.param(
        "error_rate",
        {"trials": 1000, "failures": 200},
        "rollback",
        "200 of 1,000 answers of late/2 (20.000%) failed; 0.01 is allowed, and this is beyond "
        "chance at the level 0.001.",
        id="errors beyond chance",
    ),
    pytest.param(
        "error_rate",
        {"trials": 1000, "failures": 12},
        "hold",
        "12 of 1,000 answers of late/2 (1.200%) failed; 0.01 is allowed, though this may still be "
        "chance.",
        id="errors within chance",
    ),
    pytest.param(
        "error_rate",
        {"trials": 100_000, "failures": 600, "since": [[7, 600, 300]]},
        "rollback",
        "600 of 100,000 answers of late/2 (0.600%) failed; 0.01 is allowed, and this is beyond "
        "chance at the level 0.001 of late.",
        id="errors of late",
    ),
    pytest.param(
        "latency",
        {"trials": 1000, "slow": 100, "max_ms": 50.0, "quantile": 0.99},
        "rollback",
        "100 of 1,000 calls of late/2 (10.000%) took more than 50 ms; 0.01 may, for the 0.99 "
        "quantile to be within it, and this is beyond chance at the level 0.001.",
        id="slow",
    ),
    pytest.param(
        "label_coverage",
        GOOD["label_coverage"] | {"log_e": 9.0},
        "hold",
        "Outcomes are known for 88.89% of 900 mature decisions of late/1 and 90.00% of 300 mature "
        "decisions of late/2; a gap of 0.02 is allowed, and this one is beyond chance at the level "
        "0.001.",
        id="coverage",
    ),
    pytest.param(
        "sample_ratio",
        GOOD["sample_ratio"] | {"log_e": "inf"},
        "invalidate",
        "late/1 met 700 units, of 690.0 expected and late/2 met 290 units, of 300.0 expected; this "
        "is beyond chance at the level 0.001: what lies between the dealing and the log prefers an "
        "arm.",
        id="ratio",
    ),
    pytest.param(
        "feature_drift",
        {"decisions": 900, "features": [{"name": "wind", "psi": 0.3}, {"name": "gust", "psi": 0}]},
        "hold",
        "The population stability index of 'wind' (0.300) is too large over 900 decisions; 0.2 is "
        "allowed: late/2 was trained on another distribution.",
        id="drift",
    ),
    pytest.param(
        "slice_gap",
        {
            "slices": [
                {"value": "AA", "decisions": 900, "blocks": 30, "mean": 0.02, "p": 1, "p_now": 0.3},
                {"value": "B6", "decisions": 900, "blocks": 30, "mean": 0.1, "p": 1, "p_now": 0.01},
            ]
        },
        "hold",
        "In 'B6' (900 decisions) of 2 slices by 'carrier', late/2 looks worse than the other by "
        "more than 0.02 now, at the level 0.05 of a single look; this is no proof yet.",
        id="a slice that looks worse",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "counts", "action", "sentence"), SENTENCES)
def test_a_breach_is_told_with_figures_limit_and_level(
    metric: str, counts: Any, action: str, sentence: str
) -> None:
    check = checked(metric, counts)

    assert check.sentence == sentence
    assert (check.state, check.action) == ("failed", action)


def test_holms_method_is_applied_to_the_slices() -> None:
    """0.02 is below 0.05, and not below 0.05 / 3; the second of two at 0.024 is with the first."""

    def broken(*p_values: float) -> list[str]:
        slices = [
            {"value": str(at), "decisions": 900, "blocks": 30, "mean": 0.1, "p": p, "p_now": 0.01}
            for at, p in enumerate(p_values)
        ]
        found: list[str] = checked("slice_gap", {"slices": slices}).figures.get("broken", [])
        return found

    assert broken(0.02) == ["0"]
    assert broken(0.02, 0.5, 0.5) == []
    assert broken(0.024, 0.04) == ["0", "1"]
    assert broken(0.026, 0.04) == []


@pytest.mark.parametrize("metric", list(GOOD))
@pytest.mark.parametrize("counts", [None, {}, [], "no", 3, {"why": "the log is gone"}])
def test_without_figures_nothing_is_known_and_held(metric: str, counts: Any) -> None:
    check = checked(metric, counts)

    assert (check.state, check.action) == ("unknown", "hold")


def test_a_guardrail_whose_figures_nobody_gathered_holds() -> None:
    rule = ruled(*GUARDRAILS.values())

    for figures in ((), None, [3], (Figures(metric="other"),)):
        gathered = Gathered(as_of=NOW, primary=None, figures=figures)  # type: ignore[arg-type]
        checks = guardrail_checks(rule, gathered, STATE)

        assert [check.state for check in checks] == ["unknown"] * 7


def test_of_live_figures_only_those_are_judged_that_need_no_outcome() -> None:
    rule = ruled(*GUARDRAILS.values())
    figures = (Figures(metric="error_rate", counts={"trials": 10, "failures": 10}),)
    gathered = Gathered(as_of=NOW, scope="live", primary=None, figures=figures)

    checks = guardrail_checks(rule, gathered, STATE)

    assert [(check.name, check.action) for check in checks] == [
        ("guardrail error_rate", "rollback"),
        ("guardrail latency", "hold"),
    ]


def test_the_gate_is_asked_in_shadow_alone() -> None:
    fields: dict[str, Any] = {
        "name": "g",
        "metric": "outcome",
        "direction": "higher",
        "design": "randomised",
        "label_window_hours": 24.0,
        "ramp": {"steps": [0.1, 1.0], "begins": "at_once"},
        "gate": {"estimator": "snips", "min_effective": 100},
    }
    rule = Rule(**fields)
    counts: dict[str, Any] = {"estimator": "snips", "decisions": 900, "effective": 500.0}
    counts |= {"value": 0.31, "baseline": 0.3, "lower": 0.002}
    gathered = Gathered(as_of=NOW, primary=None, figures=(Figures(metric="gate", counts=counts),))
    shadow = RolloutState(**(vars(STATE) | {"stage": "shadow"}))

    (check,) = guardrail_checks(rule, gathered, shadow)

    in_traffic = [each.name for each in guardrail_checks(rule, gathered, STATE)]
    assert in_traffic == ["guardrail label_coverage", "guardrail sample_ratio"]
    assert (check.name, check.state) == ("gate", "passed")
    assert check.sentence == (
        "By 900 logged decisions late/2 would have achieved 0.31, and what was logged did 0.3; the "
        "95% lower confidence bound of the advantage over that, for any number of looks, is 0.002."
    )


NUMBERS = st.one_of(
    st.integers(-5, 2000),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([10**400, -(10**30), 1e308, True, False]),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within a document."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in inner:
            found += places(each, (*path, key))
    return found


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A document with another value at a place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@settings(max_examples=400)
@given(st.data())
def test_absurd_counts_never_fail_and_never_break_a_guardrail_by_an_error(
    data: st.DataObject,
) -> None:
    metric = data.draw(st.sampled_from(list(GOOD)))
    counts: Any = GOOD[metric] | ({"since": [[1, 5, 2]]} if metric == "error_rate" else {})
    for _ in range(data.draw(st.integers(1, 2))):
        there = places(counts)
        if there:
            counts = changed(counts, data.draw(st.sampled_from(there)), data.draw(ANYTHING))

    check = checked(metric, counts)

    assert check.action in ("promote", "hold", "rollback", "invalidate")
    assert (check.state == "passed") == (check.action == "promote")
    assert all(
        not isinstance(each, float) or math.isfinite(each) for each in check.figures.values()
    )


@settings(max_examples=200)
@given(
    metric=st.sampled_from(["error_rate", "latency"]),
    trials=NUMBERS,
    broken=NUMBERS,
)
def test_only_counts_within_the_limit_pass(metric: str, trials: Any, broken: Any) -> None:
    name = "failures" if metric == "error_rate" else "slow"

    check = checked(metric, GOOD[metric] | {"trials": trials, name: broken})

    is_count = type(trials) is int and type(broken) is int and 0 <= broken <= trials
    assert (check.state == "passed") <= (is_count and trials > 0 and 100 * broken <= trials)
    assert is_count or check.state == "unknown"


GATE: Any = {"estimator": "dr", "decisions": 5000, "effective": 2000.0}
GATE |= {"value": 0.31, "baseline": 0.3, "lower": 0.002}


@settings(max_examples=200)
@given(st.sampled_from(list(GATE)), ANYTHING)
def test_absurd_figures_never_open_the_gate_but_by_a_lower_bound_above_0(
    name: str, value: Any
) -> None:
    check = may_answer(Gate(), GATE | {name: value}, "late/2")

    assert may_answer(Gate(), GATE, "late/2").state == "passed"
    assert check.action in ("promote", "hold")
    if check.action == "promote" and name not in ("estimator", "value", "baseline"):
        assert type(value) in (int, float)
        assert value > 0


@given(ANYTHING)
def test_any_figures_at_all_hold(counts: Any) -> None:
    for metric in GOOD:
        assert checked(metric, counts).state == "unknown"


GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "guardrails.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_guides_examples_are_rules(block: str) -> None:
    if block.startswith("- "):
        head = "name: r\nmetric: brier\nlabel_window_hours: 24\nramp: {steps: [0.1, 1]}\n"
        block = f"{head}guardrails:\n{block}"

    rule = read_rule(block)

    assert rule.guardrails or rule.gate


def test_the_guide_has_an_example_of_every_guardrail() -> None:
    shown = {line.split(",")[0].strip("- {}\n") for block in BLOCKS for line in block.splitlines()}

    assert {f"metric: {metric}" for metric in GOOD} <= shown
