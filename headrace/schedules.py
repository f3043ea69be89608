"""This module holds when a flow starts by itself: by the clock, or by an event.

    @flow(
        schedules=[Cron("0 3 * * *", timezone="Europe/Berlin")],
        triggers=[When("headrace.model.promoted", parameters={"model": "{{ event.payload.run }}"})],
    )

The runner, which `headrace up` starts, starts such runs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from headrace.flow_parameters import FlowParameters

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_Field = tuple[str, int, int, dict[str, int]]
# name, lowest, highest and the words that stand for values, of each field
_FIELDS: tuple[_Field, ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_PART = re.compile(r"(?:\*|(?P<low>\w+)(?:-(?P<high>\w+))?)(?:/(?P<step>\d+))?")
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # days of a month, where they are not 31
_EVENT = re.compile(r"[\w-]+(?:\.[\w-]+)*(?:\.\*)?")


@dataclass(frozen=True)
class Cron:
    """This starts a flow at the times of a cron expression.

    Args:
        expression: Minute, hour, day of the month, month, day of the week: "0 3 * * mon-fri".
        timezone: The zone of these times, such as "America/New_York". Where clocks change, a run
            stays at its hour; one in the hour that is left out comes after it.
        parameters: Parameters of the flow; those not named take their defaults.

    Raises:
        ParameterError: The expression cannot be read, or there is no such zone.
    """

    expression: str
    _: KW_ONLY
    timezone: str = "UTC"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_cron(self.expression)
        _check_zone("Cron", self.timezone)

    def __str__(self) -> str:
        simple = re.fullmatch(r"(\d+) (\d+) \* \* \*", self.expression)
        if simple:
            return f"every day at {int(simple[2]):02}:{int(simple[1]):02} {self.timezone}"
        return f"cron '{self.expression}' {self.timezone}"


@dataclass(frozen=True, kw_only=True)
class Every:
    """This starts a flow again and again, after an interval.

    Args:
        weeks: Of the interval; all five are added up.
        days: Of the interval. Whole days keep their hour where clocks change.
        hours: Of the interval.
        minutes: Of the interval.
        seconds: Of the interval.
        anchor: A moment, aware, on which a run falls; None is midnight of Monday, 2001-01-01, in
            the zone, so that six hours mean 00:00, 06:00, 12:00 and 18:00.
        timezone: The zone of the anchor and of the days, such as "America/New_York".
        parameters: Parameters of the flow; those not named take their defaults.

    Raises:
        ParameterError: The interval is not at least a second, the anchor has no zone, or there is
            no such zone.
    """

    weeks: float = 0
    days: float = 0
    hours: float = 0
    minutes: float = 0
    seconds: float = 0
    anchor: datetime | None = None
    timezone: str = "UTC"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    UNITS: ClassVar = ("weeks", "days", "hours", "minutes", "seconds")

    def __post_init__(self) -> None:
        if self.interval < timedelta(seconds=1):
            raise ParameterError(
                f"Every(...) has an interval of {self.interval.total_seconds():g} seconds; the "
                "shortest is 1.",
                remedy="Give a longer one, as in Every(hours=6).",
            )
        _check_zone("Every", self.timezone)
        if self.anchor is not None and self.anchor.utcoffset() is None:
            raise ParameterError(
                f"Every(...) has the anchor {self.anchor.isoformat()}, a time without a zone.",
                remedy="Say the zone, as in datetime(2013, 1, 1, 6, tzinfo=UTC).",
            )

    @property
    def interval(self) -> timedelta:
        """The time from one run to the next."""
        return timedelta(**{unit: getattr(self, unit) for unit in self.UNITS})

    @property
    def first(self) -> datetime:
        """The moment on which a run falls, in the zone."""
        from zoneinfo import ZoneInfo

        zone = ZoneInfo(self.timezone)
        return datetime(2001, 1, 1, tzinfo=zone) if self.anchor is None else self.anchor

    def __str__(self) -> str:
        given = [(unit, getattr(self, unit)) for unit in self.UNITS if getattr(self, unit)]
        counted = " and ".join(f"{n:g} {unit if n != 1 else unit[:-1]}" for unit, n in given)
        text = f"every {counted.removeprefix('1 ')}"
        if self.anchor is None and self.timezone == "UTC":
            return text
        return f"{text}, counted from {self.first:%Y-%m-%d %H:%M} {self.first.tzname()}"


@dataclass(frozen=True)
class When:
    """This starts a flow when something has happened.

    Args:
        event: Name of the event, such as "headrace.model.promoted"; a last part "*" stands for
            any: "headrace.model.*".
        resource: What it happened to, such as "headrace.model.flight_delay"; "*" at the end stands
            for anything; None takes the event of every resource.
        parameters: Parameters of the flow. In a text, "{{ event.payload.NAME }}" stands for what
            the event carries; Prefect fills it in when the event comes.

    Raises:
        ParameterError: The name of the event or of the resource cannot be one.
    """

    event: str
    _: KW_ONLY
    resource: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _EVENT.fullmatch(self.event):
            raise ParameterError(
                f"When(...) waits for the event '{self.event}', which is no name of one.",
                remedy='Write words with dots between, as in When("headrace.model.promoted").',
            )
        resource = self.resource
        if resource is not None and (not resource or "*" in resource[:-1]):
            raise ParameterError(
                f"When('{self.event}') has the resource '{resource}'; a '*' may only end it, and "
                "it may not be empty.",
                remedy='Write it as in resource="headrace.model.*", or leave it out for all.',
            )

    def is_met_by(self, event: str, resource: str) -> bool:
        """Say whether an event starts the flow."""
        return _fits(self.event, event) and _fits(self.resource or "*", resource)

    def __str__(self) -> str:
        of = "" if self.resource is None else f" of {self.resource}"
        return f"when {self.event}{of}"


Schedule = Cron | Every


def _fits(pattern: str, name: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern


def is_template(value: Any) -> bool:
    """Say whether a parameter is a text that is filled in when an event comes."""
    return isinstance(value, str) and "{{" in value


def check_starts(
    parameters: FlowParameters, schedules: Sequence[Schedule], triggers: Sequence[When]
) -> None:
    """Refuse schedules and triggers that would start a flow with parameters it does not take.

    Args:
        parameters: The flow's.
        schedules: When it starts by the clock.
        triggers: After which events it starts; their templates are checked by name only.

    Raises:
        ParameterError: A parameter is unknown, missing or wrong.
    """
    for start in (*schedules, *triggers):
        try:
            parameters.check(start.parameters, templates=isinstance(start, When))
        except ParameterError as error:
            option = "triggers" if isinstance(start, When) else "schedules"
            raise ParameterError(
                f"{error.problem}\nIt is to start {start}.",
                remedy=f"Correct `parameters={{...}}` of {type(start).__name__}(...) in "
                f"`@flow({option}=[...])`.",
            ) from None


def _check_cron(expression: str) -> None:
    parts = expression.lower().split()
    if len(parts) != len(_FIELDS):
        raise _cron_error(expression, f"it has {len(parts)} fields, not 5")
    _, _, days, months, _ = (
        set().union(*(_values(part, each, expression) for part in text.split(",")))
        for text, each in zip(parts, _FIELDS, strict=True)
    )
    if parts[4] == "*" and min(days) > max(_LONGEST.get(month, 31) for month in months):
        raise _cron_error(expression, f"none of these months has a day {min(days)}")


def _values(part: str, cron_field: _Field, expression: str) -> set[int]:
    """Return the numbers that a part of a field stands for, such as "mon-fri" or "*/15"."""
    name, lowest, highest, words = cron_field
    found = _PART.fullmatch(part)
    if found is None:
        raise _cron_error(expression, f"'{part}' is no {name}")
    low, high, step = found.group("low", "high", "step")
    if low is None:
        first, last = lowest, highest
    else:
        last_text = high or (low if step is None else str(highest))
        ends = [words.get(end, end) for end in (low, last_text)]
        if not all(isinstance(e, int) or e.isdecimal() for e in ends):
            raise _cron_error(expression, f"'{part}' is no {name}")
        first, last = (int(end) for end in ends)
    if not lowest <= first <= highest or not lowest <= last <= highest:
        raise _cron_error(expression, f"the {name} is '{part}', not {lowest} to {highest}")
    if first > last:
        raise _cron_error(expression, f"the {name} '{part}' runs backwards")
    if step is not None and int(step) == 0:
        raise _cron_error(expression, f"the {name} '{part}' has a step of 0")
    return set(range(first, last + 1, int(step or 1)))


def _cron_error(expression: str, problem: str) -> ParameterError:
    return ParameterError(
        f"The cron expression '{expression}' cannot be read: {problem}.",
        remedy='Write minute, hour, day, month and day of the week, as in Cron("0 3 * * *").',
    )


@functools.cache
def _zones() -> frozenset[str]:
    from zoneinfo import available_timezones

    return frozenset(available_timezones())


def _check_zone(kind: str, timezone: str) -> None:
    if timezone not in _zones():
        raise ParameterError(
            f"{kind}(...) has the time zone '{timezone}', which there is not."
            f"{did_you_mean(timezone, _zones())}",
            remedy='Use a name such as timezone="America/New_York" or "UTC".',
        )
