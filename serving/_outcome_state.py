"""This module says what an outcome that is told adds to those told before; it is pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

Fate = Literal["first", "repeated", "correction", "conflict", "too_early"]


class Told(NamedTuple):
    """This is one telling of an outcome of a decision.

    Args:
        value: What happened; None where it will never be known.
        known_us: When it was known, in microseconds since 1970.
        corrects: Whether it takes the place of what was told before.
    """

    value: float | None
    known_us: int
    corrects: bool


def told_of(record: dict[str, Any]) -> Told:
    """Return what an outcome's record in the log says."""
    return Told(record["value"], record["known_at"], record.get("corrects") is True)


def present_of(before: Sequence[Told]) -> Told | None:
    """Return which telling holds: the correction known last, else the first telling.

    Args:
        before: In the order in which they were logged.
    """
    present: Told | None = None
    for each in before:
        if present is None or (
            each.corrects and (not present.corrects or each.known_us >= present.known_us)
        ):
            present = each
    return present


def fate_of(
    before: Sequence[Told], value: float | None, known_us: int | None, *, corrects: bool, now: int
) -> Fate:
    """Return what becomes of an outcome that is told.

    What was told before may be told again any number of times: whoever got no answer does that. A
    correction that comes before what it corrects is kept, and what it corrects is taken after it.

    Args:
        before: What was told of it before, in the order in which it was logged.
        value: What is told now.
        known_us: Since when it is said to be known, None for now.
        corrects: Whether it says that it takes the place of what was told.
        now: The present moment.
    """
    first = next((each for each in before if not each.corrects), None)
    if not corrects:
        if first is None:
            return "first"
        return "repeated" if any(each.value == value for each in before) else "conflict"
    present = present_of(before)
    if present is not None and present.value == value:
        return "repeated"
    if known_us is not None and any(e.value == value and e.known_us == known_us for e in before):
        return "repeated"
    if first is not None and (now if known_us is None else known_us) < first.known_us:
        return "too_early"
    return "correction"
