"""What holds of every rule: it reads back as it was written, and its hash knows every field."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from headrace.errors import ParameterError
from serving.rule import _LATER, Rule, read_rule
from serving.rule_guardrails import (
    Calibration,
    ErrorRate,
    FeatureDrift,
    LabelCoverage,
    Latency,
    SampleRatio,
    SliceGap,
)
from serving.rule_stages import Approval, Gate, Ramp, Watch

VALIDATOR = jsonschema.Draft202012Validator(Rule.model_json_schema())
PAIRED = Rule(name="d", metric="log_loss", label_window_hours=48)
RANDOMISED = Rule(
    name="d", metric="outcome", direction="higher", design="randomised", label_window_hours=48
)
FEW = settings(max_examples=30, deadline=None)
NAMES = st.lists(st.text(min_size=1, max_size=8), max_size=3, unique=True).map(tuple)
SHARES = st.floats(min_value=0.001, max_value=0.999)
ALPHAS = st.floats(min_value=1e-9, max_value=0.2)
COUNTS = st.integers(min_value=1000, max_value=10**9)
MARGINS = st.floats(min_value=0.0, max_value=0.99)
STEPS = (
    st.lists(st.integers(min_value=1, max_value=9_999), min_size=1, max_size=6, unique=True)
    .map(sorted)
    .map(lambda steps: (*(step / 10_000 for step in steps), 1.0))
)
ANY_GUARDRAILS = st.lists(
    st.one_of(
        st.builds(ErrorRate, max=SHARES, alpha=ALPHAS),
        st.builds(Latency, max_ms=st.floats(0.1, 1e6), quantile=SHARES),
        st.builds(Calibration, max=SHARES, min_decisions=COUNTS),
        st.builds(SliceGap, by=st.text(min_size=1, max_size=8), max_drop=SHARES),
        st.builds(FeatureDrift, max=SHARES, features=NAMES),
        st.builds(LabelCoverage, max_gap=SHARES),
        st.builds(SampleRatio, alpha=ALPHAS),
    ),
    max_size=4,
    unique_by=lambda each: each.metric,
).map(tuple)
PAIRED_RULES = st.builds(
    Rule,
    name=st.text(min_size=1, max_size=20),
    metric=st.sampled_from(["log_loss", "brier"]),
    label_window_hours=st.floats(0, 8760),
    min_effect=MARGINS,
    alpha=st.floats(1e-4, 0.2),
    timezone=st.sampled_from(["UTC", "America/New_York"]),
    min_blocks=st.integers(20, 10_000),
    clip=st.none() | st.floats(min_value=1e-6, max_value=1e6),
    outcome=st.text(max_size=8),
    tries=st.sampled_from(["champion", "each"]),
    guardrails=ANY_GUARDRAILS,
    ramp=st.builds(Ramp, steps=STEPS, unit=NAMES, hold_hours=st.floats(0, 8760)),
    approval=st.none() | st.builds(Approval, by=NAMES),
    watch=st.none() | st.builds(Watch, blocks=st.integers(1, 10_000), max_drop=MARGINS),
)
# of every field a value that is not the default, on a rule that it fits
OTHER: dict[str, tuple[Rule, Any]] = {
    "name": (PAIRED, "e"),
    "metric": (PAIRED, "brier"),
    "label_window_hours": (PAIRED, 47.0),
    "min_effect": (PAIRED, 0.01),
    "alpha": (PAIRED, 0.04),
    "block": (PAIRED, "week"),
    "timezone": (PAIRED, "Europe/Paris"),
    "missing_outcomes": (PAIRED, "zero"),
    "min_coverage": (PAIRED, 0.8),
    "min_shadow_coverage": (PAIRED, 0.8),
    "min_blocks": (PAIRED, 21),
    "min_decisions": (PAIRED, 999),
    "max_error_rate": (PAIRED, 0.02),
    "error_alpha": (PAIRED, 0.01),
    "max_age_hours": (PAIRED, 24.0),
    "clip": (PAIRED, 4.6),
    "outcome": (PAIRED, "landed"),
    "design": (PAIRED, "randomised"),
    "direction": (RANDOMISED, "lower"),
    "effect": (PAIRED, "absolute"),
    "quantile": (PAIRED.model_copy(update={"metric": "pinball", "quantile": 0.5}), 0.9),
    "unit": (RANDOMISED, ("tail",)),
    "covariate": (RANDOMISED, "gust"),
    "block_size": (PAIRED.model_copy(update={"block": "count", "block_size": 100}), 200),
    "tries": (PAIRED, "each"),
    "test": (PAIRED, "group_sequential"),
    "looks": (PAIRED, 4),
    "max_blocks": (PAIRED, 60),
    "min_days": (PAIRED, 7.0),
    "max_days": (PAIRED, 90.0),
    "on_expiry": (PAIRED.model_copy(update={"max_days": 90.0}), "withdraw"),
    "guardrails": (PAIRED, (ErrorRate(max=0.01),)),
    "ramp": (PAIRED, Ramp(steps=(0.1, 1.0))),
    "approval": (PAIRED, Approval()),
    "watch": (PAIRED, Watch()),
    "gate": (
        RANDOMISED.model_copy(update={"ramp": Ramp(steps=(0.1, 1.0), begins="at_once")}),
        Gate(),
    ),
}
TOGETHER = {"test": {"looks": 4, "max_blocks": 60}}
TOGETHER |= {
    "looks": {"test": "group_sequential", "max_blocks": 60},
    "max_blocks": {"test": "group_sequential", "looks": 4},
}


@FEW
@given(rule=PAIRED_RULES)
def test_a_rule_reads_back_as_it_was_written(rule: Rule) -> None:
    written = rule.document()

    assert Rule(**written) == rule
    assert Rule(**json.loads(json.dumps(written))).hash == rule.hash
    assert read_rule(yaml.safe_dump(written)).document() == written
    assert Rule(**rule.model_dump(mode="json")).hash == rule.hash  # defaults in full are the same


@FEW
@given(rule=PAIRED_RULES)
def test_every_rule_says_itself_without_an_error(rule: Rule) -> None:
    said = rule.english()

    assert said.startswith(f"Rule '{rule.name}':\n")
    assert said.count("Guardrail: ") >= len(rule.guardrails)


@FEW
@given(rule=PAIRED_RULES, step=st.floats(allow_nan=True, allow_infinity=True))
def test_steps_are_shares_that_end_with_everything_or_are_refused(rule: Rule, step: float) -> None:
    assert rule.ramp is not None
    steps = [*rule.document()["ramp"]["steps"][:-1], step]
    is_ramp = step == 1.0

    if is_ramp:
        assert rule.model_copy(update={"ramp": rule.document()["ramp"] | {"steps": steps}})
    else:
        with pytest.raises(ParameterError):
            rule.model_copy(update={"ramp": rule.document()["ramp"] | {"steps": steps}})


@pytest.mark.parametrize("field", Rule.model_fields)
def test_the_hash_and_the_document_know_every_field(field: str) -> None:
    rule, other = OTHER[field]

    changed = rule.model_copy(update={field: other} | TOGETHER.get(field, {}))

    assert getattr(changed, field) == other
    assert field in changed.document()
    assert changed.hash != rule.hash
    assert Rule(**changed.document()).hash == changed.hash


def test_the_hash_knows_every_field_of_every_part() -> None:
    ramped = RANDOMISED.model_copy(
        update={"ramp": Ramp(steps=(0.1, 1.0), begins="at_once"), "gate": Gate()}
    )
    parts: list[tuple[Rule, str, BaseModel, dict[str, Any]]] = [
        (PAIRED, "ramp", Ramp(steps=(0.1, 1.0)), {
            "steps": (0.2, 1.0), "hold_hours": 1.0, "min_decisions": 1, "begins": "at_once",
            "unit": ("tail",), "patience_ms": 5.0,
        }),
        (PAIRED.model_copy(update={"ramp": Ramp(steps=(0.1, 1.0))}), "approval", Approval(), {
            "by": ("ann",), "before": "ramp",
        }),
        (PAIRED, "watch", Watch(), {"blocks": 30, "max_drop": 0.1, "alpha": 0.05}),
        (ramped, "gate", Gate(), {
            "estimator": "snips", "threshold": 0.4, "min_effective": 500, "max_drop": 0.1,
            "alpha": 0.01,
        }),
    ]  # fmt: skip

    for rule, name, part, others in parts:
        assert set(others) == set(type(part).model_fields)
        plain = rule.model_copy(update={name: part})
        hashes = {
            rule.model_copy(update={name: part.model_copy(update={field: value})}).hash
            for field, value in others.items()
        }
        assert len(hashes - {plain.hash}) == len(others)


def test_fields_that_came_later_are_left_out_at_their_default() -> None:
    assert set(PAIRED.document()) == set(Rule.model_fields) - set(_LATER)
    assert {name: PAIRED.model_dump(mode="json")[name] for name in _LATER} == dict(_LATER)
    # as it was before there were designs, guardrails and stages
    assert PAIRED.hash == "5426e061e56e4da48da7d937b738f637f874d84f25ecd01e83e847198206f38f"


@FEW
@given(rule=PAIRED_RULES)
def test_the_schema_takes_what_is_a_rule(rule: Rule) -> None:
    VALIDATOR.validate(rule.document())


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0.5},
        {"metrik": "brier"},
        {"guardrails": [{"metric": "errors", "max": 0.1}]},
        {"guardrails": [{"max": 0.1}]},
        {"ramp": {"steps": [1.0]}},
        {"watch": {"blocks": 0}},
    ],
)
def test_the_schema_refuses_what_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(PAIRED.document() | wrong)
