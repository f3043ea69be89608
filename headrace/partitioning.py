"""This module names the partitions of a flow's data, such as its months, and lists them in order.

    @flow(partition=Monthly("month"))
    def flight_month(*, month: date) -> Report: ...

`headrace run flight_month --backfill 2013-01..2013-03` then runs it for each of three months.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, Union

from headrace.clock import current_clock
from headrace.errors import DefinitionError, ParameterError, did_you_mean

Grain: TypeAlias = Literal["hour", "day", "week", "month", "year"]

MOST_PARTITIONS = 100_000  # eleven years of hours; more is a slip of the pen

# From fine to coarse: how a period is written, and an example.
_FORMS: dict[Grain, tuple[str, str]] = {
    "hour": (r"(\d{4})-(\d{2})-(\d{2})T(\d{2})", "2013-01-05T07"),
    "day": (r"(\d{4})-(\d{2})-(\d{2})", "2013-01-05"),
    "week": (r"(\d{4})-W(\d{2})", "2013-W03"),
    "month": (r"(\d{4})-(\d{2})", "2013-01"),
    "year": (r"(\d{4})", "2013"),
}
_GRAINS: tuple[Grain, ...] = tuple(_FORMS)
_THURSDAY = 4  # the ISO week belongs to the month and year that its Thursday lies in


@dataclass(frozen=True)
class Partition:
    """This says which parameter tells a run its partition; write `Daily("day")` and the like.

    Args:
        parameter: Name of the flow's parameter. It is a `date` (a `datetime` in UTC for hours)
            that holds the partition's first moment, or a `str` such as "2013-01-05".
    """

    parameter: str
    grain: ClassVar[Grain]


class Hourly(Partition):
    """This is a partition an hour: "2013-01-05T07", in UTC."""

    grain = "hour"


class Daily(Partition):
    """This is a partition a day: "2013-01-05"."""

    grain = "day"


class Weekly(Partition):
    """This is a partition an ISO week, from Monday on: "2013-W03"."""

    grain = "week"


class Monthly(Partition):
    """This is a partition a month: "2013-01"."""

    grain = "month"


@dataclass(frozen=True, kw_only=True)
class Period:
    """This is a stretch of time with a name.

    Args:
        grain: How long it is.
        first: Its first moment, in no particular zone.
        after: The first moment after it.
    """

    grain: Grain
    first: datetime
    after: datetime


def period_named(text: str) -> Period:
    """Return the period that "2013", "2013-01", "2013-W03", "2013-01-05" or "…T07" names.

    Raises:
        ParameterError: It is none of these, or does not exist, such as 2013-02-30.
    """
    for grain in _GRAINS:
        found = re.fullmatch(_FORMS[grain][0], text, re.ASCII)
        if found is None:
            continue
        try:
            first = _first_moment(grain, [int(part) for part in found.groups()])
            return Period(grain=grain, first=first, after=_after(grain, first))
        except (ValueError, OverflowError):
            break
    raise ParameterError(
        f"'{text}' is not a period of the calendar.",
        remedy="Write a year, month, week, day or hour as in "
        f"{', '.join(example for _, example in reversed(_FORMS.values()))}.",
    )


def partition_of(moment: datetime, grain: Grain) -> str:
    """Return the name of the partition that holds a moment, such as "2013-W03".

    Args:
        moment: In the zone whose days are meant.
        grain: How long a partition is; a year is none.
    """
    return _name(grain, _index(grain, moment))


def partitions_between(partition: Partition, text: str) -> tuple[str, ...]:
    """Return the names of the partitions in a range, in order, both ends included.

    Args:
        partition: How long a partition is.
        text: Such as "2013-01..2013-03". Ends may be coarser than the partition and mean all of
            it then; a week belongs to the month and year of its Thursday. A lone period means all
            of it, and "2013-01.." goes on to the last partition that is over, in UTC.

    Raises:
        ParameterError: The range cannot be read, is the wrong way round, finer than the
            partition, empty or huge.
    """
    start, dots, end = (part.strip() for part in text.strip().partition(".."))
    if not start:
        raise ParameterError(
            f"The range '{text}' has no beginning.", remedy="Write it as in 2013-01..2013-03."
        )
    first, last = _indexes(partition.grain, start)
    if end:
        last = _indexes(partition.grain, end)[1]
    elif dots:
        last = _index(partition.grain, current_clock().now()) - 1
        if last < first:
            raise ParameterError(
                f"No {partition.grain} of the range '{text}' is over yet.",
                remedy=f"Begin earlier, or wait: the last one that is over is "
                f"{_name(partition.grain, last)} (UTC).",
            )
    if last < first:
        turned = _indexes(partition.grain, end)[0] < first
        raise ParameterError(
            f"The range '{text}' ends before it begins."
            if turned
            else f"No {partition.grain} lies in the range '{text}'.",
            remedy=f"Write {end}..{start}." if turned else "Take a longer range.",
        )
    if last - first >= MOST_PARTITIONS:
        raise ParameterError(
            f"The range '{text}' has {last - first + 1:,} partitions, one a {partition.grain}; "
            f"{MOST_PARTITIONS:,} are allowed.",
            remedy="Take a shorter range.",
        )
    return tuple(_name(partition.grain, index) for index in range(first, last + 1))


def partition_argument(
    partition: Partition, body: Callable[..., Any], key: str
) -> date | datetime | str:
    """Return what a flow's parameter gets for a partition, in the parameter's type.

    Args:
        partition: The flow's partition.
        body: The flow's function.
        key: Name of one partition, such as "2013-01".
    """
    first = period_named(key).first
    wanted = _parameter_type(partition, body)
    if wanted is str:
        return key
    return first.replace(tzinfo=UTC) if wanted is datetime else first.date()


def require_fitting(partition: Partition, body: Callable[..., Any], flow: str) -> None:
    """Refuse a partition whose parameter the flow does not have, or has in another type.

    Args:
        partition: The flow's partition.
        body: The flow's function.
        flow: The flow's name.

    Raises:
        DefinitionError: It does not fit.
    """
    if not isinstance(partition, Partition) or type(partition) is Partition:
        raise DefinitionError(
            f"Flow '{flow}' has the partition {partition!r}.",
            remedy='Write `partition=Daily("day")`, or Hourly, Weekly or Monthly.',
        )
    known = list(inspect.signature(body).parameters)
    if partition.parameter not in known:
        raise DefinitionError(
            f"Flow '{flow}' is partitioned by its parameter '{partition.parameter}', which it does "
            f"not have.{did_you_mean(partition.parameter, known)}",
            remedy=f"Name the parameter that tells the {partition.grain}.",
        )
    fitting = datetime if partition.grain == "hour" else date
    found = _parameter_type(partition, body)
    if found not in (fitting, str):
        raise DefinitionError(
            f"Flow '{flow}' is partitioned by the {partition.grain}, but its parameter "
            f"'{partition.parameter}' is {getattr(found, '__name__', found)}.",
            remedy=f"Make it a {fitting.__name__}, the first moment of the {partition.grain}, or a "
            f'str such as "{_FORMS[partition.grain][1]}".',
        )


def _parameter_type(partition: Partition, body: Callable[..., Any]) -> Any:
    """Return a parameter's type without `Annotated` and `| None`; others may not be known yet."""
    named = types.SimpleNamespace(
        __annotations__={
            "it": inspect.signature(body).parameters[partition.parameter].annotation,
        }
    )
    try:
        found = typing.get_type_hints(named, globalns=getattr(body, "__globals__", {}))["it"]
    except NameError as error:
        raise DefinitionError(
            f"The type of the parameter '{partition.parameter}' cannot be resolved: {error}.",
            remedy="Import the type at the top of the module, not under TYPE_CHECKING.",
        ) from error
    if typing.get_origin(found) in (Union, types.UnionType):
        others = [part for part in typing.get_args(found) if part is not type(None)]
        found = others[0] if len(others) == 1 else found
    return typing.get_args(found)[0] if typing.get_origin(found) is Annotated else found


def _first_moment(grain: Grain, numbers: list[int]) -> datetime:
    if grain == "week":
        return datetime.fromisocalendar(numbers[0], numbers[1], 1)
    return datetime(*[*numbers, 1, 1][: max(3, len(numbers))])  # type: ignore[arg-type]


def _after(grain: Grain, first: datetime) -> datetime:
    if grain == "year":
        return first.replace(year=first.year + 1)
    if grain == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + {"hour": timedelta(hours=1), "day": timedelta(1), "week": timedelta(7)}[grain]


def _indexes(grain: Grain, text: str) -> tuple[int, int]:
    """Return the numbers of the first and the last partition in a period."""
    period = period_named(text)
    if _GRAINS.index(period.grain) < _GRAINS.index(grain):
        raise ParameterError(
            f"'{text}' is finer than a {grain}, which is one partition.",
            remedy=f"Write whole ones, such as {_FORMS[grain][1]}.",
        )
    if grain == "week" and period.grain != "week":
        first, after = period.first.toordinal(), period.after.toordinal()
        return -(-(first - _THURSDAY) // 7), (after - 1 - _THURSDAY) // 7
    return _index(grain, period.first), _index(grain, period.after - timedelta(microseconds=1))


def _index(grain: Grain, moment: datetime) -> int:
    """Return the number of the partition that holds a moment, counted without gaps."""
    days = moment.toordinal()
    if grain == "month":
        return moment.year * 12 + moment.month - 1
    if grain == "week":
        return (days - 1) // 7  # 0001-01-01 was a Monday
    return days if grain == "day" else days * 24 + moment.hour


def _name(grain: Grain, index: int) -> str:
    if grain == "month":
        return f"{index // 12:04}-{index % 12 + 1:02}"
    if grain == "week":
        year, week, _ = date.fromordinal(index * 7 + 1).isocalendar()
        return f"{year:04}-W{week:02}"
    if grain == "day":
        return date.fromordinal(index).isoformat()
    return f"{date.fromordinal(index // 24).isoformat()}T{index % 24:02}"
