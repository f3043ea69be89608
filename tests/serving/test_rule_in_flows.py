"""A rule may be a parameter of a flow: a form shows it, and equal rules have the same key."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.utilities.schema_tools import ValidationError, validate

from flows.runtime import prefect_flow
from headrace import Report, flow, operator
from headrace.errors import ParameterError
from headrace.identity import identify, key_of
from serving.rule import Rule
from serving.rule_guardrails import ErrorRate
from serving.rule_stages import Ramp

RULE = Rule(
    name="d",
    metric="log_loss",
    label_window_hours=24,
    guardrails=(ErrorRate(max=0.01),),
    ramp=Ramp(steps=(0.1, 1.0)),
)


@operator()
def say(*, rule: Rule) -> Report:
    """Say a rule in English."""
    return Report.of({"said": rule.english()})


@flow
def judged(rule: Rule = RULE) -> Report:
    """Say a rule.

    Args:
        rule: The rule.
    """
    return say(rule=rule)


def wrong(**fields: Any) -> dict[str, Any]:
    return {"rule": RULE.document() | fields}


def test_the_form_of_a_deployment_takes_a_rule_and_refuses_what_is_none() -> None:
    schema = prefect_flow(judged).parameters.model_dump()

    validate({"parameters": {"rule": RULE.document()}}, schema, raise_on_error=True)
    for fields in ({"alpha": 3.0}, {"guardrails": [{"metric": "errors"}]}, {"alhpa": 0.1}):
        with pytest.raises(ValidationError):
            validate({"parameters": wrong(**fields)}, schema, raise_on_error=True)


def test_a_form_says_of_each_field_what_it_is_and_what_is_expected() -> None:
    made = prefect_flow(judged).parameters.model_dump()["definitions"]

    assert made["Rule"]["properties"]["alpha"]["description"] == (
        "How likely an equal challenger may be promoted, however often one looks. Expected: a "
        "probability from 0.0001 to 0.2."
    )
    assert {"Ramp", "Approval", "Watch", "Gate", "SliceGap", "SampleRatio"} <= set(made)
    items = made["Rule"]["properties"]["guardrails"]["items"]
    assert list(items) == ["anyOf"]  # the form knows no "one of"
    assert all(
        "metric" in made[each["$ref"].rpartition("/")[2]]["required"] for each in items["anyOf"]
    )


def test_a_flow_takes_a_rule_as_json_and_says_what_is_wrong_with_it() -> None:
    assert judged.parameters.check({"rule": RULE.document()}) == {"rule": RULE}
    with pytest.raises(ParameterError) as caught:
        judged.parameters.check(wrong(guardrails=[{"metric": "eror_rate", "max": 0.1}]))

    assert str(caught.value) == (
        "The rule 'd' is wrong: field 'guardrails[0].metric' is 'eror_rate' (str); expected the "
        "name of a guardrail. Did you mean 'error_rate'?\n"
        "  Fix: Set 'guardrails[0].metric' to the name of a guardrail."
    )


def test_equal_rules_have_one_key_however_they_were_written() -> None:
    def key(rule: Rule) -> str | None:
        made = key_of(
            identify(say.body), schemas={}, parameters={"rule": rule}, inputs={}, seed=None
        )
        assert made.unresolved == ()
        return made.digest

    in_full = Rule(**RULE.model_dump(mode="json"))

    assert key(in_full) == key(RULE) == key(judged.parameters.check({"rule": RULE})["rule"])
    assert key(RULE.model_copy(update={"ramp": {"steps": [0.2, 1]}})) != key(RULE)


def test_a_flow_with_a_rule_is_planned() -> None:
    plan = judged.plan(rule=RULE)

    assert plan.node("say").parameters["rule"] == RULE
