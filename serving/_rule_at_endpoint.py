"""This module finds rules that do not fit the endpoint that they are given to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from features.on_demand import OnDemandView
from features.view import FeatureView
from headrace.calls import Finding
from headrace.errors import DefinitionError, HeadraceError, did_you_mean
from headrace.models import ModelCard
from serving.outcome_kinds import UNNAMED, OutcomeKind, require_declared
from serving.rule import Rule
from serving.split import Split

_OF_PROBABILITIES = ("log_loss", "brier", "auc")
_OF_ESTIMATES = ("mae", "mse", "pinball")
_INSTEAD = {
    "classification": "'log_loss', 'brier' or 'auc'",
    "estimation": "'mae', 'mse' or 'pinball'",
}


def planned_problems(
    rule: Rule,
    *,
    views: Iterable[Any],
    outcomes: Sequence[OutcomeKind] | None,
    traffic: Split | None,
) -> Iterator[Finding]:
    """Yield what does not fit, as far as it can be told before there are models.

    Args:
        rule: The rule.
        views: The views that the endpoint reads.
        outcomes: What it declares of outcomes.
        traffic: How it deals traffic to new challengers.
    """
    yield from _of_the_outcome(rule, outcomes)
    yield from _of_the_traffic(rule, traffic)
    keys, computed = key_columns(views), set(_computed(views))
    for column in _units(rule):
        if column in computed and column not in keys:
            yield _found(
                f"its unit '{column}' is a feature of a view, and requests name units in 'entity'."
                f"{did_you_mean(column, keys)}",
                "Name columns that are keys of the views.",
            )


def served_problems(
    rule: Rule, *, cards: Mapping[str, ModelCard], views: Iterable[Any]
) -> Iterator[Finding]:
    """Yield what does not fit the models that are to be served.

    Args:
        rule: The rule.
        cards: The models, by version.
        views: The views that the endpoint reads.
    """
    views = list(views)
    asked = [c.name for v in views if isinstance(v, OnDemandView) for c in v.request_columns]
    yield from deployed_problems(rule, cards=cards, columns=[*key_columns(views), *asked])


def deployed_problems(
    rule: Rule, *, cards: Mapping[str, ModelCard], columns: Iterable[str]
) -> Iterator[Finding]:
    """Yield what does not fit the models that are served.

    Args:
        rule: The rule.
        cards: The models, by version.
        columns: What requests say beside the models' own inputs: keys of views, and what is
            computed of a request.
    """
    for ref, card in cards.items():
        yield from task_problems(rule, ref, card.task)
    taken = {feature.name: feature for card in cards.values() for feature in card.features}
    own = {name for name, feature in taken.items() if feature.source is None}
    entity = {*columns, *own}
    for column in _units(rule):
        if column not in entity:
            yield _unknown(f"its unit '{column}' is no column of the entity", column, entity)
    if rule.covariate not in (None, "before"):
        numbers = [name for name, feature in taken.items() if feature.dtype != "category"]
        if rule.covariate not in numbers:
            what = "is no number" if rule.covariate in taken else "is taken by none of the models"
            yield _unknown(f"its covariate '{rule.covariate}' {what}", str(rule.covariate), numbers)
    for guardrail in rule.guardrails:
        if guardrail.metric == "slice_gap" and guardrail.by not in {*taken, *entity}:
            said = "no column of the entity, and no feature of the models"
            yield _unknown(
                f"it slices by '{guardrail.by}', which is {said}", guardrail.by, {*taken, *entity}
            )
        if guardrail.metric == "feature_drift":
            for name in guardrail.features:
                if name not in taken:
                    yield _unknown(
                        f"it watches the drift of '{name}', which none of the models takes",
                        name,
                        taken,
                    )


def require_fitting(rule: Rule, endpoint: str, found: Iterable[Finding]) -> None:
    """Refuse a rule that does not fit.

    Raises:
        DefinitionError: It does not; every reason is named.
    """
    wrong = [each for each in found if not each.warning]
    if not wrong:
        return
    said = [each.problem for each in wrong]
    listed = said[0] if len(said) == 1 else "".join(f"\n  - {each}" for each in said)
    raise DefinitionError(
        f"The rule '{rule.name}' does not fit the endpoint '{endpoint}': {listed}",
        remedy=wrong[0].remedy,
    )


def named(rule: Rule, found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings with the rule's name, for a plan."""
    for each in found:
        yield Finding(
            problem=f"The rule '{rule.name}' does not fit: {each.problem}",
            remedy=each.remedy,
            rule=each.rule,
            warning=each.warning,
        )


def key_columns(views: Iterable[Any]) -> list[str]:
    """Return the columns by which views are looked up: every request has them."""
    found = [column for v in views if isinstance(v, FeatureView) for column in v.keys]
    return list(dict.fromkeys(found))


def _computed(views: Iterable[Any]) -> Iterator[str]:
    for view in views:
        yield from (column.name for column in view.columns)


def _units(rule: Rule) -> list[str]:
    ramp = () if rule.ramp is None else rule.ramp.unit
    return list(dict.fromkeys((*rule.unit, *ramp)))


def task_problems(rule: Rule, ref: str, task: str) -> Iterator[Finding]:
    """Yield what does not fit what a model is for.

    Args:
        rule: The rule.
        ref: The model, for messages.
        task: What it is for, such as "classification".
    """
    if task not in _INSTEAD:
        if rule.metric not in ("outcome", "ndcg"):
            yield _found(
                f"it compares by '{rule.metric}', which is of one score, and {ref} is a model for "
                f"{task}.",
                "Compare by 'outcome', or let people decide: rule=None.",
            )
        return
    classifies = task == "classification"
    wrong = _OF_ESTIMATES if classifies else _OF_PROBABILITIES
    if rule.metric in wrong:
        of = "estimates" if classifies else "probabilities"
        yield _found(
            f"it compares by '{rule.metric}', which is of {of}, and {ref} is a model for {task}.",
            f"Compare by {_INSTEAD[task]}.",
        )
    if classifies:
        return
    if any(guardrail.metric == "calibration" for guardrail in rule.guardrails):
        yield _found(
            f"'calibration' is of probabilities, and {ref} is a model for {task}.",
            "Leave the guardrail out.",
        )


def _of_the_outcome(rule: Rule, outcomes: Sequence[OutcomeKind] | None) -> Iterator[Finding]:
    try:
        require_declared(rule.outcome, outcomes, whose="it")
    except HeadraceError as error:
        yield _found(error.problem, error.remedy)
        return
    kind = next(each for each in outcomes or (UNNAMED,) if each.name == rule.outcome)
    called = f"the outcome '{kind.name}'" if kind.name else "the outcome without a name"
    if rule.missing_outcomes == "zero" and not kind.allows(0.0):
        yield _found(
            f"it takes what is missing for 0, and {called} must be {kind.expected}.",
            "Set 'missing_outcomes' to 'exclude' or 'hold'.",
        )
    may_be_negative = kind.kind == "number" and (kind.least is None or kind.least < 0)
    margins = [rule.min_effect]
    margins += [each.max_drop for each in rule.guardrails if each.metric == "slice_gap"]
    is_share = rule.effect == "relative" and max(margins) > 0
    if rule.metric == "outcome" and is_share and may_be_negative:
        yield _found(
            f"its effect is 'relative', and {called} may be below 0, of which a share says "
            "nothing.",
            "Set 'effect' to 'absolute', or declare what it is at least: "
            f"OutcomeKind(name={kind.name!r}, least=0.0).",
        )


def _of_the_traffic(rule: Rule, traffic: Split | None) -> Iterator[Finding]:
    if traffic is None:
        if rule.design == "randomised" and rule.ramp is None:
            yield _found(
                "its design is 'randomised', and neither a ramp nor `traffic` lets a challenger "
                "answer: until people give it a share, there is no evidence.",
                "Give the rule a ramp, or `traffic=Split(...)`.",
                warning=True,
            )
        return
    if rule.ramp is not None:
        yield _found(
            f"it ramps traffic by itself, and `traffic` deals it by '{traffic.design}'.",
            f"Leave `traffic` out: the ramp begins with {rule.ramp.steps[0]:g}.",
        )
    if rule.design != "randomised":
        return
    if traffic.design == "thompson":
        yield _found(
            "its design is 'randomised', and 'thompson' deals traffic by the outcomes, so that "
            "means of the two arms are biased.",
            "Deal traffic by 'ab', or let people decide: rule=None.",
        )
    if traffic.unit != rule.unit:
        yield _found(
            f"it compares by {_unit_said(rule.unit)}, and `traffic` deals by "
            f"{_unit_said(traffic.unit)}.",
            "Give both the same `unit`.",
        )


def _unit_said(unit: Sequence[str]) -> str:
    return " and ".join(f"'{column}'" for column in unit) if unit else "single decisions"


def _unknown(problem: str, name: str, known: Collection[str]) -> Finding:
    return _found(f"{problem}.{did_you_mean(name, known)}", "Name a column that the endpoint has.")


def _found(problem: str, remedy: str, *, warning: bool = False) -> Finding:
    return Finding(problem=problem, remedy=remedy, rule="endpoint rule", warning=warning)
