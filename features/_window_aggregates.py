"""This module says what is aggregated over a window of time, and what the result is called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from headrace.errors import DefinitionError

Kind = Literal["count", "sum", "mean", "rate", "last", "distinct", "min", "max"]
Comparison = Literal["above", "at_least", "below", "at_most", "equals"]
Over = timedelta | tuple[timedelta | None, ...] | None

_UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("min", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
    ("ms", timedelta(milliseconds=1)),
    ("us", timedelta(microseconds=1)),
)
_LONGEST = timedelta(days=36_525)
_SAID = {
    "count": "Number of rows",
    "sum": "Sum of",
    "mean": "Mean of",
    "rate": "Share of rows with",
    "last": "Last",
    "distinct": "Number of distinct values of",
    "min": "Smallest",
    "max": "Largest",
}


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """This is one aggregate of an entity's rows, over one window of time or several.

    Args:
        kind: What is done with the rows of a window.
        column: The source's column; None where the rows themselves are counted.
        over: How far each window reaches back; None in it for all that is known.
        comparison: What of a column is a hit, for a rate; None where the column is a bool.
        operand: What it is compared with.
        name: Name of the feature; with several windows, its beginning.
        unit: Unit of measure; None takes that of the column where it stays the same.
        description: One line for people who look for features.

    Raises:
        DefinitionError: A window is no span of time, or the name cannot be one.
    """

    kind: Kind
    column: str | None
    over: tuple[timedelta | None, ...]
    comparison: Comparison | None = None
    operand: float | str | None = None
    name: str | None = None
    unit: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise DefinitionError(
                f"There is no aggregate of the kind '{self.kind}'.",
                remedy=f"Use one of {', '.join(get_args(Kind))}.",
            )
        wrong = [o for o in self.over if o is not None and not timedelta(0) < o <= _LONGEST]
        if wrong or not self.over:
            raise DefinitionError(
                f"The aggregate '{self.stem}' has "
                + (f"the window {wrong[0]}." if wrong else "no window."),
                remedy="Use a span of more than zero and at most a hundred years, such as "
                "timedelta(days=7), or None for all that is known.",
            )
        if self.name is not None and not self.name.isidentifier():
            raise DefinitionError(
                f"The aggregate '{self.stem}' is to be called '{self.name}'.",
                remedy="Use letters, digits and underscores, such as 'mean_delay_week'.",
            )

    @property
    def stem(self) -> str:
        """The feature's name without the window."""
        parts: list[str] = [self.kind]
        if self.column is not None:
            parts.append(self.column)
        if self.comparison is not None:
            parts += ["is" if self.comparison == "equals" else self.comparison, _said(self.operand)]
        return "_".join(parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of the feature of each window."""
        if self.name is not None and len(self.over) == 1:
            return (self.name,)
        stem = self.name or self.stem
        return tuple(stem if o is None else f"{stem}_{span_name(o)}" for o in self.over)

    def described(self, over: timedelta | None) -> str:
        """Return one line about the feature of a window."""
        window = "of all known rows" if over is None else f"over {span_name(over, apart=True)}"
        if self.description:
            several = f" ({window})" if len(self.over) > 1 else ""
            return f"{self.description.rstrip('.')}{several}."
        said = _SAID[self.kind]
        if self.column is not None:
            said += f" with {self.column}" if self.kind == "count" else f" {self.column}"
        if self.comparison is not None:
            said += f" {self.comparison.replace('_', ' ')} {self.operand}"
        return f"{said} {window}, as known."


def count(
    column: str | None = None, *, over: Over = None, name: str | None = None, description: str = ""
) -> Aggregate:
    """Count the rows in a window, or those in which `column` has a value.

    Args:
        column: Column of the source; None counts every row.
        over: How far the window reaches back; several for one feature each; None for ever.
        name: Name of the feature; by default it is generated, such as "count_7d".
        description: One line for people who look for features.
    """
    return Aggregate(
        kind="count", column=column, over=spans(over), name=name, description=description
    )


def sum_of(
    column: str,
    *,
    over: Over = None,
    name: str | None = None,
    unit: str | None = None,
    description: str = "",
) -> Aggregate:
    """Sum the values in a window, correctly rounded; 0 where there are none. See `count`."""
    return _of("sum", column, over=over, name=name, unit=unit, description=description)


def mean(
    column: str,
    *,
    over: Over = None,
    name: str | None = None,
    unit: str | None = None,
    description: str = "",
) -> Aggregate:
    """Take the mean of the values in a window; null where there are none. See `count`."""
    return _of("mean", column, over=over, name=name, unit=unit, description=description)


def min_of(
    column: str,
    *,
    over: Over = None,
    name: str | None = None,
    unit: str | None = None,
    description: str = "",
) -> Aggregate:
    """Take the smallest value in a window; null where there are none. See `count`."""
    return _of("min", column, over=over, name=name, unit=unit, description=description)


def max_of(
    column: str,
    *,
    over: Over = None,
    name: str | None = None,
    unit: str | None = None,
    description: str = "",
) -> Aggregate:
    """Take the largest value in a window; null where there are none. See `count`."""
    return _of("max", column, over=over, name=name, unit=unit, description=description)


def last(
    column: str,
    *,
    over: Over = None,
    name: str | None = None,
    unit: str | None = None,
    description: str = "",
) -> Aggregate:
    """Take the value of the newest event that has one; null where there is none. See `count`.

    Of several rows about one moment it is that of the row known last, then the largest value.
    """
    return _of("last", column, over=over, name=name, unit=unit, description=description)


def distinct(
    column: str, *, over: Over = None, name: str | None = None, description: str = ""
) -> Aggregate:
    """Count the different values in a window; 0 where there are none. See `count`."""
    return _of("distinct", column, over=over, name=name, unit=None, description=description)


def rate(
    column: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    equals: float | str | None = None,
    over: Over = None,
    name: str | None = None,
    description: str = "",
) -> Aggregate:
    """Take the share of the rows with a value for which it holds; null where there are none.

    Args:
        column: A bool, or what is compared.
        above: It holds where the value is greater, in the unit of the column.
        at_least: It holds where the value is not smaller.
        below: It holds where the value is smaller.
        at_most: It holds where the value is not greater.
        equals: It holds where the value is this one.
        over: As for `count`.
        name: As for `count`.
        description: As for `count`.

    Raises:
        DefinitionError: More than one comparison is given.
    """
    options: dict[Comparison, float | str | None] = {
        "above": above,
        "at_least": at_least,
        "below": below,
        "at_most": at_most,
        "equals": equals,
    }
    given = [c for c, operand in options.items() if operand is not None]
    if len(given) > 1:
        raise DefinitionError(
            f"The rate of '{column}' has {len(given)} comparisons, {' and '.join(given)}.",
            remedy="Use one; make a bool column in the source for what is more.",
        )
    comparison = given[0] if given else None
    return Aggregate(
        kind="rate",
        column=column,
        over=spans(over),
        comparison=comparison,
        operand=None if comparison is None else options[comparison],
        name=name,
        description=description,
    )


def _of(
    kind: Kind, column: str, *, over: Over, name: str | None, unit: str | None, description: str
) -> Aggregate:
    return Aggregate(
        kind=kind, column=column, over=spans(over), name=name, unit=unit, description=description
    )


def spans(over: Over) -> tuple[timedelta | None, ...]:
    """Return windows as a tuple, whether one or several were given."""
    return tuple(over) if isinstance(over, tuple | list) else (over,)


def span_name(span: timedelta, *, apart: bool = False) -> str:
    """Return a span in the largest unit that divides it, such as "7d"."""
    unit, length = next((u, s) for u, s in _UNITS if not span % s)
    return f"{span // length}{' ' if apart else ''}{unit}"


def _said(operand: float | str | None) -> str:
    text = f"{operand:g}" if isinstance(operand, int | float) else str(operand)
    if text.startswith("-"):
        text = f"minus_{text[1:]}"
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "nothing"
