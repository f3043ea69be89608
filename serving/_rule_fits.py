"""This module finds fields of a rule that do not fit together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from serving._rule_errors import Misfit
from serving._rule_words import block_name

if TYPE_CHECKING:
    from serving.rule import Rule

ARM_GUARDRAILS = ("sample_ratio", "label_coverage")
"""The guardrails that compare arms of traffic."""
_RANDOMISED = ("log_loss", "brier", "mae", "mse", "pinball", "outcome")
_DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "count": 0.0}


def misfits(rule: Rule) -> Iterator[Misfit]:
    """Yield what in a rule contradicts itself, or can never happen."""
    yield from _of_the_metric(rule)
    yield from _of_the_margins(rule)
    yield from _of_the_design(rule)
    yield from _of_the_test(rule)
    yield from _of_the_days(rule)
    yield from _of_the_guardrails(rule)
    yield from _of_the_stages(rule)


def _of_the_metric(rule: Rule) -> Iterator[Misfit]:
    metric = rule.metric
    if metric == "outcome" and rule.direction is None:
        yield Misfit(
            field="direction",
            problem="the metric 'outcome' does not say by itself what is better",
            remedy="Set 'direction' to 'higher' or 'lower'.",
        )
    if metric != "outcome" and rule.direction is not None:
        yield Misfit(
            field="direction",
            problem=f"it is '{rule.direction}', but '{metric}' says by itself what is better",
            remedy="Leave 'direction' out.",
        )
    if metric == "pinball" and rule.quantile is None:
        yield Misfit(
            field="quantile",
            problem="the metric 'pinball' needs to know which quantile is estimated",
            remedy="Set 'quantile', such as 0.9.",
        )
    if metric != "pinball" and rule.quantile is not None:
        yield Misfit(
            field="quantile",
            problem=f"it is {rule.quantile:g}, but '{metric}' is of no quantile",
            remedy="Leave 'quantile' out, or set 'metric' to 'pinball'.",
        )
    if rule.clip is not None and metric in ("auc", "ndcg"):
        yield Misfit(
            field="clip",
            problem=f"it is {rule.clip:g}, but '{metric}' is made of ranks, which have no bound",
            remedy="Leave 'clip' out.",
        )
    if metric == "ndcg" and rule.block != "count":
        yield Misfit(
            field="block",
            problem=f"it is '{rule.block}', but 'ndcg' is compared over blocks of so many lists",
            remedy="Set 'block' to 'count', and 'block_size'.",
        )
    if rule.missing_outcomes == "zero" and rule.label_window_hours == 0:
        yield Misfit(
            field="missing_outcomes",
            problem="it is 'zero' with a label window of 0 hours, in which nothing can happen",
            remedy="Set 'label_window_hours' to the time in which an outcome comes.",
        )


def _of_the_margins(rule: Rule) -> Iterator[Misfit]:
    if rule.effect != "relative":
        return
    margins = {"min_effect": rule.min_effect}
    margins |= {"watch.max_drop": rule.watch.max_drop} if rule.watch is not None else {}
    margins |= {
        f"guardrails[{n}].max_drop": guardrail.max_drop
        for n, guardrail in enumerate(rule.guardrails)
        if guardrail.metric == "slice_gap"
    }
    for field, margin in margins.items():
        if margin >= 1:
            yield Misfit(
                field=field,
                problem=f"it is {margin:g}, but the effect is 'relative': a share of the "
                "champion's figure, below 1",
                remedy="Write 0.05 for 5 %, or set 'effect' to 'absolute'.",
            )


def _of_the_design(rule: Rule) -> Iterator[Misfit]:
    metric = rule.metric
    if rule.design == "paired_shadow":
        if metric == "outcome":
            yield Misfit(
                field="design",
                problem="it is 'paired_shadow', but an 'outcome' is the same whichever model is "
                "asked in shadow",
                remedy="Set 'design' to 'randomised': only those that each model answers can tell.",
            )
        for field in ("unit", "covariate", "gate"):
            if getattr(rule, field):
                yield Misfit(
                    field=field,
                    problem="it is for a 'randomised' design, and the rule's is 'paired_shadow'",
                    remedy=f"Leave '{field}' out, or set 'design' to 'randomised'.",
                )
        return
    if metric not in _RANDOMISED:
        yield Misfit(
            field="metric",
            problem=f"it is '{metric}', which compares rankings of the same decisions, and a "
            "'randomised' design has none",
            remedy="Set 'design' to 'paired_shadow', or choose another metric.",
        )
    if rule.covariate == "before" and not rule.unit:
        yield Misfit(
            field="covariate",
            problem="it is 'before', what a unit's outcomes were, but the rule has no 'unit'",
            remedy="Set 'unit' to the columns that make one.",
        )
    if rule.gate is not None and metric != "outcome":
        yield Misfit(
            field="gate",
            problem=f"it estimates the mean outcome, but the rule goes by '{metric}'",
            remedy="Leave 'gate' out, or set 'metric' to 'outcome'.",
        )


def _of_the_test(rule: Rule) -> Iterator[Misfit]:
    if rule.block == "count" and rule.block_size is None:
        yield Misfit(
            field="block_size",
            problem="blocks by 'count' need to know how many decisions make one",
            remedy="Set 'block_size', such as 500.",
        )
    if rule.block != "count" and rule.block_size is not None:
        yield Misfit(
            field="block_size",
            problem=f"it is {rule.block_size}, but a block is a '{rule.block}', of any size",
            remedy="Leave 'block_size' out, or set 'block' to 'count'.",
        )
    for field in ("looks", "max_blocks"):
        value = getattr(rule, field)
        if rule.test == "group_sequential" and value is None:
            yield Misfit(
                field=field,
                problem="the test 'group_sequential' has to know it beforehand",
                remedy=f"Set '{field}', such as {'4' if field == 'looks' else '60'}.",
            )
        if rule.test == "sequence" and value is not None:
            yield Misfit(
                field=field,
                problem=f"it is {value}, but the test 'sequence' may be looked at after every "
                "block, and has no end",
                remedy=f"Leave '{field}' out, or set 'test' to 'group_sequential'.",
            )
    if rule.max_blocks is not None and rule.max_blocks < rule.min_blocks:
        yield Misfit(
            field="max_blocks",
            problem=f"it is {rule.max_blocks}, fewer than the {rule.min_blocks} of 'min_blocks'",
            remedy=f"Set 'max_blocks' to at least {rule.min_blocks}.",
        )
    if rule.looks is not None and rule.max_blocks is not None and rule.looks > rule.max_blocks:
        yield Misfit(
            field="looks",
            problem=f"it is {rule.looks}, more than the {rule.max_blocks} blocks of 'max_blocks'",
            remedy=f"Set 'looks' to at most {rule.max_blocks}.",
        )


def _of_the_days(rule: Rule) -> Iterator[Misfit]:
    most = rule.max_days
    if most is None:
        if rule.on_expiry == "withdraw":
            yield Misfit(
                field="on_expiry",
                problem="it is 'withdraw', but without 'max_days' no experiment expires",
                remedy="Set 'max_days', or leave 'on_expiry' out.",
            )
        return
    if rule.min_days > most:
        yield Misfit(
            field="max_days",
            problem=f"it is {most:g}, fewer than the {rule.min_days:g} of 'min_days'",
            remedy=f"Set 'max_days' to at least {rule.min_days:g}.",
        )
    window = rule.label_window_hours / 24
    named, blocks = (
        ("max_blocks", rule.max_blocks) if rule.max_blocks else ("min_blocks", rule.min_blocks)
    )
    needed = blocks * _DAYS[rule.block] + window
    if most < needed:
        yield Misfit(
            field="max_days",
            problem=f"it is {most:g}, but the {blocks} {block_name(rule)} of '{named}' are mature "
            f"after {needed:g} days at the earliest",
            remedy=f"Set 'max_days' to at least {needed:g}, or choose shorter blocks.",
        )
    ramp = rule.ramp
    if ramp is not None and ramp.begins == "at_once":
        climbed = ramp.hold_hours * (len(ramp.steps) - 1) / 24
        if most < climbed:
            yield Misfit(
                field="max_days",
                problem=f"it is {most:g}, but the ramp takes {climbed:g} days at least",
                remedy=f"Set 'max_days' to at least {climbed:g}, or shorten the ramp.",
            )


def _of_the_guardrails(rule: Rule) -> Iterator[Misfit]:
    seen: set[object] = set()
    for n, guardrail in enumerate(rule.guardrails):
        metric, field = guardrail.metric, f"guardrails[{n}]"
        key = (metric, getattr(guardrail, "by", None))
        if key in seen:
            yield Misfit(
                field=field,
                problem=f"'{metric}'{f' by {key[1]}' if key[1] else ''} is there twice",
                remedy="Keep one of them.",
            )
        seen.add(key)
        if metric == "calibration" and not rule.is_classification:
            yield Misfit(
                field=field,
                problem=f"'calibration' is of probabilities, and '{rule.metric}' has none",
                remedy="Leave it out.",
            )
        if metric == "slice_gap" and rule.metric in ("auc", "ndcg"):
            yield Misfit(
                field=field,
                problem="'slice_gap' compares what each decision counts, and "
                f"'{rule.metric}' ranks many",
                remedy="Leave it out, or compare by a loss.",
            )
        if metric in ARM_GUARDRAILS and rule.design == "paired_shadow" and rule.ramp is None:
            yield Misfit(
                field=field,
                problem=f"'{metric}' compares arms of traffic, and in shadow there are none",
                remedy="Leave it out, or give the rule a 'ramp'.",
            )


def _of_the_stages(rule: Rule) -> Iterator[Misfit]:
    ramp = rule.ramp
    if ramp is None:
        for field, wanted in (("gate", rule.gate is not None), ("approval", _before_ramp(rule))):
            if wanted:
                yield Misfit(
                    field=field,
                    problem="it comes before a ramp, and the rule has none",
                    remedy="Set 'ramp'."
                    if field == "gate"
                    else "Set 'ramp', or 'approval.before' to 'promotion'.",
                )
    if ramp is not None and rule.design == "randomised":
        if ramp.begins == "won":
            yield Misfit(
                field="ramp.begins",
                problem="it is 'won', but a 'randomised' experiment cannot be won in shadow",
                remedy="Set 'ramp.begins' to 'at_once'.",
            )
        if ramp.unit != rule.unit:
            yield Misfit(
                field="ramp.unit",
                problem=f"the ramp deals traffic by {_columns(ramp.unit)}, and the rule compares "
                f"by {_columns(rule.unit)}",
                remedy="Give both the same columns, in the same order.",
            )
    if rule.watch is not None and rule.metric == "outcome" and not _rolls_back(rule):
        yield Misfit(
            field="watch",
            problem="an 'outcome' cannot be compared in reverse shadow, and the rule has no "
            "guardrail that rolls back, so nothing would be watched",
            remedy="Add one, such as {metric: error_rate, max: 0.01}, or leave 'watch' out.",
        )


def _rolls_back(rule: Rule) -> bool:
    return any(guardrail.on_breach == "rollback" for guardrail in rule.guardrails)


def _before_ramp(rule: Rule) -> bool:
    return rule.approval is not None and rule.approval.before == "ramp"


def _columns(names: tuple[str, ...]) -> str:
    return " and ".join(f"'{name}'" for name in names) if names else "single decisions"
