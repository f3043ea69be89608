"""This module holds checks and suites as values: what must be true of a table."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from headrace.calls import Finding
from headrace.errors import ParameterError, did_you_mean
from headrace.schemas import Column, TableSchema

Kind = Literal[
    "not_null",
    "between",
    "in_set",
    "matches",
    "length_between",
    "unique",
    "row_count",
    "mean_between",
    "distinct_between",
    "ordered",
]
Bound = int | float | datetime | date
Value = str | int | float | bool

_NUMBERS = {"int", "float"}
_TEXTS = {"string", "category"}
_FITTING: dict[str, set[str]] = {
    "between": _NUMBERS | {"timestamp", "date"},
    "mean_between": _NUMBERS,
    "matches": _TEXTS,
    "length_between": _TEXTS,
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """This is one thing that must be true of a table; the functions below make them.

    Nulls (and NaN, which counts as null) are judged by `not_null` only; the other checks look at
    the values that are there.

    Args:
        kind: What is checked.
        columns: The columns it looks at, none for `row_count`.
        minimum: Lower bound, included; None for none.
        maximum: Upper bound, included; None for none.
        values: The values allowed by `in_set`.
        pattern: What the whole text must match, as a regular expression (RE2).
        mostly: The share of values, 0 to 1, that must be right.
        strictly: For `ordered`: equal values are wrong.
    """

    kind: Kind
    columns: tuple[str, ...] = ()
    minimum: Bound | None = None
    maximum: Bound | None = None
    values: tuple[Value, ...] = ()
    pattern: str | None = None
    mostly: float = 1.0
    strictly: bool = False

    def __post_init__(self) -> None:
        for wrong, remedy in _malformed(self):
            raise ParameterError(f"The check `{self.kind}` {wrong}.", remedy=remedy)

    def sentence(self) -> str:
        """Return what the check asserts, for people."""
        names = ", ".join(f"'{c}'" for c in self.columns)
        span = _span(self.minimum, self.maximum)
        says = {
            "not_null": f"{names} is not null",
            "between": f"{names} is {span}",
            "in_set": f"{names} is one of {_listed(self.values)}",
            "matches": f"{names} matches /{self.pattern}/",
            "length_between": f"the length of {names} is {span}",
            "unique": f"{names} {'are together' if len(self.columns) > 1 else 'is'} unique",
            "row_count": f"the number of rows is {span}",
            "mean_between": f"the mean of {names} is {span}",
            "distinct_between": f"the number of different values of {names} is {span}",
            "ordered": f"{' is before '.join(f'{c!r}' for c in self.columns)}"
            f"{'' if self.strictly else ' or equal'}",
        }[self.kind]
        return (
            says if self.mostly == 1 else f"{says} in at least {100 * self.mostly:.6g}% of the rows"
        )


@dataclass(frozen=True, kw_only=True)
class Suite:
    """These are the checks that a table must pass, declared once.

    Args:
        name: What the suite is about; part of messages and reports.
        checks: At least one; none twice.
    """

    name: str
    checks: tuple[Check, ...]


def not_null(column: str, *, mostly: float = 1.0) -> Check:
    """Return the check that a column has a value in (`mostly` of) all rows."""
    return Check(kind="not_null", columns=(column,), mostly=mostly)


def null_share(column: str, *, at_most: float) -> Check:
    """Return the check that at most this share of a column, 0 to 1, is null."""
    return Check(kind="not_null", columns=(column,), mostly=round(1 - at_most, 12))


def between(
    column: str, minimum: Bound | None = None, maximum: Bound | None = None, *, mostly: float = 1.0
) -> Check:
    """Return the check that numbers, instants or dates lie within bounds, both included."""
    return Check(kind="between", columns=(column,), minimum=minimum, maximum=maximum, mostly=mostly)


def in_set(column: str, values: Sequence[Value], *, mostly: float = 1.0) -> Check:
    """Return the check that a column holds these values only."""
    return Check(kind="in_set", columns=(column,), values=tuple(values), mostly=mostly)


def matches(column: str, pattern: str, *, mostly: float = 1.0) -> Check:
    """Return the check that the whole of each text matches a regular expression."""
    return Check(kind="matches", columns=(column,), pattern=pattern, mostly=mostly)


def length_between(
    column: str, minimum: int | None = None, maximum: int | None = None, *, mostly: float = 1.0
) -> Check:
    """Return the check that each text has so many characters, both bounds included."""
    return Check(
        kind="length_between", columns=(column,), minimum=minimum, maximum=maximum, mostly=mostly
    )


def unique(*columns: str) -> Check:
    """Return the check that no two rows agree in these columns; rows with a null are left out."""
    return Check(kind="unique", columns=columns)


def row_count(minimum: int | None = None, maximum: int | None = None) -> Check:
    """Return the check that the table has so many rows, both bounds included."""
    return Check(kind="row_count", minimum=minimum, maximum=maximum)


def mean_between(column: str, minimum: float | None = None, maximum: float | None = None) -> Check:
    """Return the check that a column's mean lies within bounds; without a value it fails."""
    return Check(kind="mean_between", columns=(column,), minimum=minimum, maximum=maximum)


def distinct_between(column: str, minimum: int | None = None, maximum: int | None = None) -> Check:
    """Return the check that a column has so many different values, both bounds included."""
    return Check(kind="distinct_between", columns=(column,), minimum=minimum, maximum=maximum)


def ordered(first: str, second: str, *, strictly: bool = False, mostly: float = 1.0) -> Check:
    """Return the check that one column's values lie before, or equal, another's."""
    return Check(kind="ordered", columns=(first, second), strictly=strictly, mostly=mostly)


def suite_findings(suite: Suite, schema: TableSchema | None) -> Iterator[Finding]:
    """Yield what is wrong with a suite for tables of a schema; None checks the suite alone."""
    if not suite.checks:
        yield Finding(
            problem=f"Suite '{suite.name}' has no checks, so any table would pass it.",
            remedy="Give it at least one check, such as `row_count(1)`.",
            rule="suite",
        )
    for sentence in sorted({c.sentence() for c in suite.checks if suite.checks.count(c) > 1}):
        yield Finding(
            problem=f"Suite '{suite.name}' checks twice that {sentence}.",
            remedy="Leave one of the two out.",
            rule="suite",
        )
    if schema is None:
        return
    for check in suite.checks:
        unknown = [c for c in check.columns if c not in schema]
        for name in unknown:
            yield Finding(
                problem=f"Suite '{suite.name}' checks that {check.sentence()}, but there is no "
                f"column '{name}'.{did_you_mean(name, schema.names)}",
                remedy="Name a column of the table.",
                rule="unknown column",
                input="table",
            )
        wrong = None if unknown else _unfit(check, [schema.column(c) for c in check.columns])
        if wrong:
            yield Finding(
                problem=f"Suite '{suite.name}' checks that {check.sentence()}, but {wrong}.",
                remedy="Use a check for that type, or correct the bounds or values.",
                rule="suite",
                input="table",
            )


def _unfit(check: Check, columns: list[Column]) -> str | None:
    for column in columns:
        if check.kind in _FITTING and column.dtype not in _FITTING[check.kind]:
            return f"'{column.name}' is {column.dtype}"
    if check.kind == "ordered" and _family(columns[0].dtype) != _family(columns[1].dtype):
        return " and ".join(f"'{c.name}' is {c.dtype}" for c in columns)
    given: list[Bound | Value] = list(check.values)
    if check.kind == "between":
        given = [b for b in (check.minimum, check.maximum) if b is not None]
    for value in given:
        if _family_of(value) != _family(columns[0].dtype):
            return f"'{columns[0].name}' is {columns[0].dtype} and {value!r} is not"
    return None


def _family(dtype: str) -> str:
    return "number" if dtype in _NUMBERS else "text" if dtype in _TEXTS else dtype


def _family_of(value: Bound | Value) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "text"
    return "timestamp" if isinstance(value, datetime) else "date"


def _malformed(check: Check) -> Iterator[tuple[str, str]]:
    wanted = {"row_count": 0, "ordered": 2, "unique": max(1, len(check.columns))}
    count = wanted.get(check.kind, 1)
    if len(check.columns) != count:
        yield f"takes {count} columns, got {len(check.columns)}", "Name its columns."
    if len(set(check.columns)) < len(check.columns):
        yield f"names column '{check.columns[0]}' twice", "Name different columns."
    if not 0 < check.mostly <= 1:
        yield f"has mostly={check.mostly:g}", "Give a share above 0 and up to 1."
    bounds = [b for b in (check.minimum, check.maximum) if b is not None]
    if any(isinstance(b, float) and not math.isfinite(b) for b in bounds):
        yield "has a bound that is no number", "Leave the bound out (None) for no limit."
    if any(isinstance(b, datetime) and b.tzinfo is None for b in bounds):
        yield "has a bound without a time zone", "Add one, such as tzinfo=UTC."
    families = {_family_of(b) for b in bounds}
    if len(families) > 1:
        yield "has bounds of two types", "Give both as numbers, or both as times."
    elif len(bounds) == 2 and bounds[0] > bounds[1]:  # type: ignore[operator]
        yield f"allows nothing: {bounds[0]} is above {bounds[1]}", "Swap the bounds."
    if check.kind.endswith(("between", "row_count")) and not bounds:
        yield "has no bounds", "Give a minimum, a maximum, or both."
    if check.kind == "in_set":
        yield from _malformed_values(check.values)
    if check.kind == "matches":
        yield from _malformed_pattern(check.pattern or "")


def _malformed_values(values: Sequence[Value]) -> Iterator[tuple[str, str]]:
    if not values:
        yield "allows no value", "Give at least one."
    elif len({_family_of(v) for v in values}) > 1:
        yield "allows values of two types", "Give values of the column's type."
    elif any(isinstance(v, float) and not math.isfinite(v) for v in values):
        yield "allows a value that is no number", "Use `not_null` to speak of missing values."


def _malformed_pattern(pattern: str) -> Iterator[tuple[str, str]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pattern:
        yield "has no pattern", "Give a regular expression."
        return
    try:
        re.compile(pattern)
        pc.match_substring_regex(pa.array([""]), pattern)  # the same engine as DuckDB's, RE2
    except (re.error, pa.ArrowInvalid) as error:
        yield (
            f"cannot read the pattern /{pattern}/: {str(error).rstrip('.')}",
            "Give a regular expression without lookaround and back-references.",
        )


def _span(minimum: Bound | None, maximum: Bound | None) -> str:
    if minimum is None:
        return f"at most {_shown(maximum)}"
    if maximum is None:
        return f"at least {_shown(minimum)}"
    return f"between {_shown(minimum)} and {_shown(maximum)}"


def _shown(bound: Bound | None) -> str:
    return f"{bound:,}" if isinstance(bound, (int, float)) else str(bound)


def _listed(values: Sequence[Value]) -> str:
    shown = ", ".join(repr(v) for v in values[:8])
    return shown if len(values) <= 8 else f"{shown} and {len(values) - 8} more"
