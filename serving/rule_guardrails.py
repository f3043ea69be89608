"""This module holds the guardrails of a rule: what a challenger must not break, as typed data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from serving._rule_part import Names, Part

if TYPE_CHECKING:
    from serving.rule import Rule

_ALPHA = "a probability from 1e-9 to 0.2"
_SHARE = "a share above 0 and below 1"


def _alpha(default: float) -> float:
    field: float = Field(default=default, ge=1e-9, le=0.2, description=_ALPHA)
    return field


class ErrorRate(Part):
    """This bounds how many of a model's answers may be errors, no numbers or not in time.

    It is tested after every answer; see `serving._sequences.log_e_of_errors`.

    Args:
        max: Share of the answers that may fail.
        alpha: How likely a model within `max` is ever found to break it.
        on_breach: "rollback" withdraws the model at once; "hold" stops its advance.
    """

    metric: Literal["error_rate"] = Field(default="error_rate", description="'error_rate'")
    max: float = Field(gt=0, lt=1, description=_SHARE)
    alpha: float = _alpha(0.001)
    on_breach: Literal["rollback", "hold"] = Field(
        default="rollback", description="'rollback' or 'hold'"
    )


class Latency(Part):
    """This bounds a quantile of the time that a model takes for its answer.

    "The 99th percentile is at most 50 ms" is "at most 1 % take more than 50 ms", and tested so.

    Args:
        max_ms: The bound, in milliseconds.
        quantile: Which quantile it is.
        alpha: How likely a model within the bound is ever found to break it.
        on_breach: "rollback" withdraws the model at once; "hold" stops its advance.
    """

    metric: Literal["latency"] = Field(default="latency", description="'latency'")
    max_ms: float = Field(gt=0, description="milliseconds above 0")
    quantile: float = Field(default=0.99, gt=0, lt=1, description=_SHARE)
    alpha: float = _alpha(0.001)
    on_breach: Literal["rollback", "hold"] = Field(
        default="rollback", description="'rollback' or 'hold'"
    )


class Calibration(Part):
    """This bounds how far a challenger's probabilities are from what then happened.

    Args:
        max: The largest expected calibration error over ten bins of equal count.
        min_decisions: Fewer labelled decisions are too few to tell: held.
        on_breach: What a breach does.
    """

    metric: Literal["calibration"] = Field(default="calibration", description="'calibration'")
    max: float = Field(gt=0, lt=1, description=_SHARE)
    min_decisions: int = Field(default=500, ge=100, description="a whole number of at least 100")
    on_breach: Literal["hold", "rollback"] = Field(
        default="hold", description="'hold' or 'rollback'"
    )


class SliceGap(Part):
    """This lets no slice of the decisions pay for the gain of the others.

    A slice in which the challenger is shown to be worse than the champion by more than `max_drop`
    is a breach; one in which it only looks so holds. Slices too small to tell are named.

    Args:
        by: Column of the entity or of the features; each of its values is a slice.
        max_drop: How much worse the challenger may be in a slice, as the rule's effect is counted:
            a share of the champion's figure, below 1, or in the unit of the metric.
        min_decisions: Slices with fewer paired decisions are not judged.
        alpha: How likely any slice of a model within the bound is found to break it; shared among
            the slices by Holm's method.
        on_breach: What a breach does.
    """

    metric: Literal["slice_gap"] = Field(default="slice_gap", description="'slice_gap'")
    by: str = Field(min_length=1, description="the name of a column")
    max_drop: float = Field(gt=0, description="a number above 0")
    min_decisions: int = Field(default=500, ge=50, description="a whole number of at least 50")
    alpha: float = _alpha(0.05)
    on_breach: Literal["hold", "rollback"] = Field(
        default="hold", description="'hold' or 'rollback'"
    )


class FeatureDrift(Part):
    """This holds while features are distributed otherwise than the model was trained on.

    Args:
        max: The largest population stability index of any feature, over the bins of its training
            set, ten of equal count.
        features: Which features; none for all that the challenger takes.
        min_decisions: Fewer decisions are too few to tell: held.
        on_breach: What a breach does.
    """

    metric: Literal["feature_drift"] = Field(default="feature_drift", description="'feature_drift'")
    max: float = Field(default=0.2, gt=0, description="a number above 0")
    features: Names = Field(default=(), description="a list of different names of features")
    min_decisions: int = Field(default=500, ge=500, description="a whole number of at least 500")
    on_breach: Literal["hold"] = Field(default="hold", description="'hold'")


class LabelCoverage(Part):
    """This compares how many outcomes are known in each arm: a gap is a bias.

    Args:
        max_gap: By how much the shares of known outcomes may differ between the arms.
        alpha: How likely arms within the gap are ever found to differ by more.
        on_breach: What a breach does.
    """

    metric: Literal["label_coverage"] = Field(
        default="label_coverage", description="'label_coverage'"
    )
    max_gap: float = Field(default=0.02, gt=0, lt=1, description=_SHARE)
    alpha: float = _alpha(0.001)
    on_breach: Literal["hold", "invalidate"] = Field(
        default="hold", description="'hold' or 'invalidate'"
    )


class SampleRatio(Part):
    """This finds arms that do not have the share of the units that was dealt to them.

    Args:
        alpha: How likely arms that are as dealt are ever found not to be.
        on_breach: "invalidate" throws the evidence away; "hold" stops the advance.
    """

    metric: Literal["sample_ratio"] = Field(default="sample_ratio", description="'sample_ratio'")
    alpha: float = _alpha(0.001)
    on_breach: Literal["invalidate", "hold"] = Field(
        default="invalidate", description="'invalidate' or 'hold'"
    )


class _AnyOfThem:
    """This says in a schema "any of" for "one of", which is all that Prefect's form knows."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        made = handler(core_schema)
        made.pop("discriminator", None)
        made["anyOf"] = made.pop("oneOf")
        return made


Guardrail: TypeAlias = Annotated[
    ErrorRate | Latency | Calibration | SliceGap | FeatureDrift | LabelCoverage | SampleRatio,
    Field(discriminator="metric"),
    _AnyOfThem(),
]
LIVE = ("error_rate", "latency")
"""The guardrails that need no outcome: they are judged every second, beside the lane."""


def asked_in_any_case(rule: Rule) -> tuple[LabelCoverage | SampleRatio, ...]:
    """Return the guardrails that a rule need not name: what no comparison of arms goes without.

    Arms of a randomised design are compared as if chance alone had made them. Where units or
    outcomes get lost in one of them, equal models differ. So that is asked while traffic is dealt,
    and holds, unless the rule says itself what becomes of it.

    Args:
        rule: The rule.
    """
    if rule.design != "randomised":
        return ()
    named = {guardrail.metric for guardrail in rule.guardrails}
    always = (LabelCoverage(), SampleRatio(on_breach="hold"))
    return tuple(each for each in always if each.metric not in named)


def guardrails_at(rule: Rule, stage: str) -> tuple[Guardrail, ...]:
    """Return the guardrails that are asked at a stage: a rule's own, then those in any case.

    Args:
        rule: The rule.
        stage: "shadow", "traffic" or "watch".
    """
    return rule.guardrails + (asked_in_any_case(rule) if stage == "traffic" else ())
