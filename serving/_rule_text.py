"""This module says a rule in sentences: what is compared, how, and when a challenger has won."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from serving._rule_words import block_name, columns_named, margin

if TYPE_CHECKING:
    from serving.rule import Rule

__all__ = ["METRIC_NAMES", "block_name", "rule_text"]

METRIC_NAMES = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "mae": "mean absolute error",
    "mse": "mean squared error",
    "pinball": "pinball loss",
    "auc": "area under the ROC curve",
    "ndcg": "NDCG",
    "outcome": "mean outcome",
}
_LAST_LOOKS_SAID = 12


def rule_text(rule: Rule) -> str:
    """Return a rule as sentences, one thought a line."""
    from serving._rule_text_stages import guardrail_lines, stage_lines

    lines = [
        f"Rule '{rule.name}':",
        _promotion(rule),
        *_tries(rule),
        _design(rule),
        _counts(rule),
        _held(rule),
        _withdrawn(rule),
        *guardrail_lines(rule),
        *stage_lines(rule),
        "What is missing, stale or not a number is never a success.",
        "Of all checks the worst decides: rollback, then invalidate, hold, ramp, promote.",
    ]
    return "\n".join(lines)


def _promotion(rule: Rule) -> str:
    side = "below" if rule.is_better == "lower" else "above"
    if rule.min_effect == 0:
        better = f"{side} the champion's"
    elif rule.effect == "relative":
        better = f"more than {margin(rule, rule.min_effect)} {side} it"
    else:
        better = f"more than {margin(rule, rule.min_effect)} {side} the champion's"
    wrongly = f"which promotes an equal challenger with probability at most {rule.alpha:g}"
    if rule.test == "sequence":
        shown = f"by a confidence sequence over {_blocks(rule)}, {wrongly}, however often one looks"
    else:
        shown = f"by O'Brien and Fleming's group-sequential test over {_blocks(rule)}, {wrongly}"
    looks = _looks(rule) if rule.test == "group_sequential" else ""
    what = f"its {_metric(rule)} is {better}"
    return f"The challenger is promoted when {what}, shown {shown}.{looks}{_clip(rule)}"


def _metric(rule: Rule) -> str:
    name = METRIC_NAMES[rule.metric]
    if rule.metric == "pinball":
        return f"{name} of the {rule.quantile:g} quantile"
    return name


def _blocks(rule: Rule) -> str:
    if rule.block == "week":
        return f"weeks in {rule.timezone}, from Monday on"
    if rule.block != "count":
        return "hours" if rule.block == "hour" else f"days in {rule.timezone}"
    of = {"auc": "decisions of either outcome", "ndcg": "lists"}.get(rule.metric, "decisions")
    return f"blocks of {rule.block_size:,} {of}"


def _looks(rule: Rule) -> str:
    from serving.statistics.group_sequential import look_blocks

    at = look_blocks(rule.looks or 1, rule.max_blocks or rule.min_blocks)
    if len(at) == 1:
        return f" There is one look, after {at[0]:,} {block_name(rule)}."
    if len(at) <= _LAST_LOOKS_SAID:
        said = f"{', '.join(f'{n:,}' for n in at[:-1])} and {at[-1]:,}"
    else:
        said = f"{at[0]:,}, {at[1]:,} and so on up to {at[-1]:,}"
    return (
        f" There are {len(at)} looks, after {said} {block_name(rule)}; between them and after the "
        "last nothing is won."
    )


def _clip(rule: Rule) -> str:
    bound = rule.largest_loss
    if bound is None:
        return ""
    if rule.metric == "outcome":
        return f" No decision counts with an outcome above {bound:.6g}."
    return f" No decision counts with a loss above {bound:.6g}."


def _tries(rule: Rule) -> Iterator[str]:
    from serving.statistics.tries import level_of

    if rule.tries == "each":
        yield (
            f"Every challenger is judged at {rule.alpha:g} by itself: of many that are equal to "
            "the champion, some one is promoted with a greater probability than that."
        )
        return
    first, second, third = (f"{level_of(rule.alpha, n, n, 'champion'):.4g}" for n in (1, 2, 3))
    yield (
        f"That probability, {rule.alpha:g}, is shared among all challengers that are ever tried "
        f"against one champion: the first is judged at {first}, the second at {second}, the third "
        f"at {third}, the j-th at {rule.alpha:g} / (j (j + 1)); those that begin together share "
        "theirs evenly."
    )


def _design(rule: Rule) -> str:
    if rule.design == "paired_shadow":
        return (
            "Both models score the same decisions, and one of them answers (paired shadow): for "
            "outcomes that the answer does not change."
        )
    dealt = (
        f"Units, made by {columns_named(rule.unit)}, are dealt to the models at random"
        if rule.unit
        else "Decisions are dealt to the models at random, each by itself"
    )
    said = (
        f"{dealt}, and each model counts with those dealt to it, whoever answered them in the end "
        "(randomised): for outcomes that the answer may change."
    )
    if rule.covariate == "before":
        said += (
            " Luck is taken out of the outcomes by what a unit's mean outcome was in the four "
            "weeks before the experiment (CUPED)."
        )
    elif rule.covariate is not None:
        said += f" Luck is taken out of the outcomes by the feature '{rule.covariate}' (CUPED)."
    return said


def _counts(rule: Rule) -> str:
    missing = {
        "exclude": "A decision without an outcome by then is left out.",
        "hold": "While any decision has no outcome by then, the challenger is held.",
        "zero": "A decision without an outcome by then counts with 0: it has not happened.",
    }[rule.missing_outcomes]
    return (
        f"A decision counts {rule.label_window_hours:g} hours after it was made. {missing} "
        "An outcome that is known to be null is left out."
        + (f" The outcome is '{rule.outcome}'." if rule.outcome else "")
    )


def _held(rule: Rule) -> str:
    made = "makes it" if rule.block == "count" else f"and a {rule.block} make it"
    if rule.design == "paired_shadow":
        which = "decisions that have both scores and an outcome"
        scored = f", it scored less than {rule.min_shadow_coverage:.4g} of them,"
        coverage = f"less than {rule.min_coverage:.4g} of the decisions"
    else:
        which = "decisions that count"
        scored = ""
        coverage = f"less than {rule.min_coverage:.4g} of the decisions of either model"
    zero = " (those that count with 0 among them)" if rule.missing_outcomes == "zero" else ""
    least = f", and it has lasted {rule.min_days:g} days" if rule.min_days else ""
    expiry = "" if rule.max_days is None else _expiry(rule, rule.max_days)
    return (
        f"Until there are {rule.min_blocks} {block_name(rule)} with {rule.min_decisions} {which}"
        f"{least}, it is held. It is held too while outcomes are known{zero} for {coverage}"
        f"{scored} or the newest is more than {rule.max_age_hours:g} hours older than the label "
        f"window {made}, and when {block_name(rule)} turn out to be too short to be independent."
        f"{expiry}"
    )


def _expiry(rule: Rule, days: float) -> str:
    then = "withdrawn" if rule.on_expiry == "withdraw" else "held for good"
    return f" If it has not won within {days:g} days, it is {then}."


def _withdrawn(rule: Rule) -> str:
    return (
        f"It is withdrawn when more than {rule.max_error_rate:.4g} of its shadow scores are "
        "errors or no numbers, beyond chance (at most "
        f"{rule.error_alpha:g} for a challenger within that limit)."
    )
