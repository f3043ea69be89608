"""This module says a rule in sentences, and what is wrong with one that is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from serving.rule import Rule

METRIC_NAMES = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "mae": "mean absolute error",
    "mse": "mean squared error",
}


def rule_text(rule: Rule) -> str:
    """Return a rule as sentences, one a line."""
    metric = METRIC_NAMES[rule.metric]
    effect = f"more than {rule.min_effect:.6g} times the champion's below it"
    better = "below the champion's" if rule.min_effect == 0 else effect
    zone = f" in {rule.timezone}" if rule.block == "day" else ""
    bound = rule.largest_loss
    clip = "" if bound is None else f" No decision counts with a loss above {bound:.6g}."
    missing = (
        "A decision without an outcome by then is left out."
        if rule.missing_outcomes == "exclude"
        else "While any decision has no outcome by then, the challenger is held."
    )
    return "\n".join(
        [
            f"Rule '{rule.name}':",
            f"The challenger is promoted when its {metric} is {better}, shown by a confidence "
            f"sequence over {rule.block}s{zone}, which promotes an equal challenger with "
            f"probability at most {rule.alpha:g}, however often one looks.{clip}",
            f"A decision counts {rule.label_window_hours:g} hours after it was made. {missing} "
            "An outcome that is known to be null is left out."
            + (f" The outcome is '{rule.outcome}'." if rule.outcome else ""),
            f"Until there are {rule.min_blocks} {rule.block}s with {rule.min_decisions} decisions "
            f"that have both scores and an outcome, it is held. It is held too while outcomes are "
            f"known for less than {rule.min_coverage:.4g} of the decisions, it scored less than "
            f"{rule.min_shadow_coverage:.4g} of them, or the newest is more than "
            f"{rule.max_age_hours:g} hours older than the label window and a {rule.block} make it.",
            f"It is withdrawn when more than {rule.max_error_rate:.4g} of its shadow scores are "
            "errors or no numbers, beyond chance (at most "
            f"{rule.error_alpha:g} for a challenger within that limit).",
            "What is missing, stale or not a number is never a success.",
        ]
    )


def wrong_fields(
    name: str | None, found: Sequence[tuple[str, str, Any]], expected: Mapping[str, str]
) -> ParameterError:
    """Return the error that says what is wrong with the fields of a rule.

    Args:
        name: The rule's, when it has one.
        found: (field, pydantic's type of the error, value) of each problem.
        expected: What is expected of each known field.
    """
    problems = [_problem(*each, expected) for each in dict((f[0], f) for f in found).values()]
    listed = problems[0] if len(problems) == 1 else "".join(f"\n  - {each}" for each in problems)
    rule = "The rule" if name is None else f"The rule '{name}'"
    wrong = [field for field, kind, _ in found if kind != "extra_forbidden"]
    first = wrong[0] if wrong else None
    return ParameterError(
        f"{rule} is wrong: {listed}",
        remedy="Remove or rename the field."
        if first is None
        else f"Set '{first}' to {expected[first]}.",
    )


def _problem(field: str, kind: str, value: Any, expected: Mapping[str, str]) -> str:
    if kind == "extra_forbidden":
        return f"there is no field '{field}' (it is {value!r}).{did_you_mean(field, expected)}"
    if kind == "missing":
        return f"field '{field}' is missing; expected {expected[field]}."
    return f"field '{field}' is {value!r} ({type(value).__name__}); expected {expected[field]}."
