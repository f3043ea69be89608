"""This module holds the answer to one question about the evidence, and how it is written down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeGuard

Action = Literal["promote", "ramp", "hold", "invalidate", "rollback"]
WORST_FIRST: tuple[Action, ...] = ("rollback", "invalidate", "hold", "ramp", "promote")
State = Literal["passed", "failed", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """This is the answer to one question about the evidence.

    Args:
        name: The question, in two or three words.
        state: "passed", "failed", or "unknown" where the evidence cannot tell.
        action: The best that this answer allows.
        sentence: The answer with its figures.
        figures: The figures, JSON-like, to ten digits.
    """

    name: str
    state: State
    action: Action
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def passed(name: str, sentence: str, **figures: Any) -> Check:
    """Return a check that allows promotion."""
    return make_check(name, "passed", "promote", sentence, figures)


def failed(name: str, sentence: str, **figures: Any) -> Check:
    """Return a check that holds."""
    return make_check(name, "failed", "hold", sentence, figures)


def unknown(name: str, sentence: str, **figures: Any) -> Check:
    """Return a check that holds because it cannot tell."""
    return make_check(name, "unknown", "hold", sentence, figures)


def is_count(value: Any) -> TypeGuard[int]:
    """Return whether something is a whole number of at least 0; True is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_moment(value: Any) -> TypeGuard[datetime]:
    """Return whether something is a time with a zone."""
    return isinstance(value, datetime) and value.utcoffset() is not None


def make_check(
    name: str, state: State, action: Action, sentence: str, figures: Mapping[str, Any]
) -> Check:
    """Return a check with its figures rounded."""
    exact = {key: rounded(value) for key, value in figures.items()}
    return Check(name=name, state=state, action=action, sentence=sentence, figures=exact)


def rounded(value: Any) -> Any:
    """Return a float to ten digits, so that a trace reads the same on other machines."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.10g}") if math.isfinite(value) else None
