"""This module reads figures with doubt: what is not as it must be is said, and never used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from serving._check import is_count

_MOST = 10**15  # more has never been counted, and floats hold every whole number below


class Doubt(Exception):
    """This figure is missing, of a wrong type, or contradicts others; the text says which."""

    @property
    def ended(self) -> str:
        """The text as the end of a sentence."""
        text = str(self)
        return text if text.endswith((".", "?")) else f"{text}."


def mapped(value: Any, what: str) -> Mapping[str, Any]:
    """Return a mapping of figures; one that is empty or says why nothing is known is none.

    Raises:
        Doubt: It is none.
    """
    if not isinstance(value, Mapping):
        raise Doubt(f"{what} are not there")
    why = value.get("why")
    if isinstance(why, str) and why:
        raise Doubt(why)
    if not value:
        raise Doubt(f"{what} are not there")
    return value


def counted(figures: Mapping[str, Any], name: str, *, most: int = _MOST) -> int:
    """Return a whole number from 0.

    Raises:
        Doubt: It is none, or larger than `most`.
    """
    value = figures.get(name)
    if not is_count(value):
        raise Doubt(f"'{name}' is {_shown(value)}, no count")
    if value > most:
        raise Doubt(f"'{name}' is {_shown(value)}, more than {most:,}")
    return value


def measured(
    figures: Mapping[str, Any], name: str, *, least: float = -math.inf, most: float = math.inf
) -> float:
    """Return a finite number within bounds.

    Raises:
        Doubt: It is none.
    """
    value = figures.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Doubt(f"'{name}' is {_shown(value)}, no number")
    if not -_MOST <= value <= _MOST or not least <= value <= most:  # NaN is within nothing
        raise Doubt(f"'{name}' is {_shown(value)}, which it cannot be")
    return float(value)


def listed(figures: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return a list of mappings.

    Raises:
        Doubt: It is none.
    """
    value = figures.get(name)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise Doubt(f"'{name}' is {_shown(value)}, no list")
    if not all(isinstance(each, Mapping) for each in value):
        raise Doubt(f"'{name}' holds what is no figure")
    return list(value)


def named(figures: Mapping[str, Any], name: str) -> str:
    """Return a text.

    Raises:
        Doubt: It is none.
    """
    value = figures.get(name)
    if not isinstance(value, str):
        raise Doubt(f"'{name}' is {_shown(value)}, no text")
    return value


def require(fits: bool, problem: str) -> None:
    """Refuse figures that contradict each other.

    Raises:
        Doubt: They do.
    """
    if not fits:
        raise Doubt(problem)


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, int) and abs(value) > 10 * _MOST:  # Python does not write all of these
        return "a number of astronomical size"
    return f"{value!r:.40}"
