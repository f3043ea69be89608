"""This module says at which level a challenger is judged, and how that came about."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from serving._check import is_count
from serving.rollout.state import RolloutState
from serving.rule import Rule
from serving.statistics.tries import level_of

_ORDINALS = (
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
)


@dataclass(frozen=True, kw_only=True)
class Level:
    """This is the level that a challenger is judged at.

    Args:
        alpha: The level; 0 where it cannot be told, at which nothing is ever proved.
        words: How it came about, to follow "It is".
    """

    alpha: float
    words: str


def level(rule: Rule, state: RolloutState) -> Level:
    """Return the level of a challenger, which depends on how many were tried before it."""
    first, last = state.first_try, state.last_try
    if not (is_count(first) and is_count(last) and 1 <= first <= last):
        return Level(alpha=0.0, words="not known which challenger of this champion it is")
    alpha = level_of(rule.alpha, first, last, rule.tries)
    judged = f"judged at {alpha:.4g}"
    if rule.tries == "each":
        return Level(alpha=alpha, words=f"{judged}, as every challenger is by itself")
    part = (Fraction(1, first) - Fraction(1, last + 1)) / (last - first + 1)
    share = "half" if part == Fraction(1, 2) else str(part)
    if first == last:
        whom = f"as the {ordinal(first)} challenger of this champion"
    else:
        whom = f"as one of the {ordinal(first)} to {ordinal(last)} challengers of this champion"
    return Level(alpha=alpha, words=f"{judged}: {share} of {rule.alpha:g}, {whom}")


def ordinal(number: int) -> str:
    """Return a place in a row in words, or as "21st" from the thirteenth on."""
    if 1 <= number <= len(_ORDINALS):
        return _ORDINALS[number - 1]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"
