"""This module reads one value of a request: a number, a text, a moment, an id. It is pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import NoneType
from typing import Any

from headrace.clock import from_us
from headrace.errors import ParameterError, did_you_mean
from serving._request_faults import out_of_range, wrong_type
from serving._request_text import shown

LARGEST_FLOAT = 3.4028234663852886e38  # of float32, which is what models are asked with
LARGEST_INT = 2**63 - 1
LONGEST_TEXT = 200
EARLIEST, LATEST = 0, 9_214_646_400_000_000  # 1970 to 2261, which nanoseconds hold too
AS_IT_IS, NUMBER, WHOLE_AS_NUMBER, WHOLE, TEXT, MOMENT, DAY = range(7)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = "a moment as RFC 3339 with its offset"
_MOMENT_REMEDY = "write it like 2013-07-01T14:05:00Z or 2013-07-01T10:05:00-04:00."
_DAY = "a day as year-month-day"
_DAY_REMEDY = "write it like 2013-07-01."


@dataclass(frozen=True, kw_only=True)
class Kind:
    """This is a sort of value that a request may hold.

    Args:
        expected: What it is, for messages.
        checks: The types it may have as JSON is read, each with what remains to be checked.
        remedy: What to send instead of something else.
    """

    expected: str
    checks: Mapping[type, int]
    remedy: str

    @property
    def limits_text(self) -> bool:
        """Whether text may be too long for it."""
        return TEXT in self.checks.values()


_OR_NULL = "or null where it isn't known."
_NUMBER = Kind(
    expected="a number or null",
    checks={float: NUMBER, int: WHOLE_AS_NUMBER, NoneType: AS_IT_IS},
    remedy=f"send a number, {_OR_NULL}",
)
_WHOLE = Kind(
    expected="a whole number or null",
    checks={int: WHOLE, NoneType: AS_IT_IS},
    remedy=f"send a whole number, {_OR_NULL}",
)
_TRUTH = Kind(
    expected="true, false or null",
    checks={bool: AS_IT_IS, NoneType: AS_IT_IS},
    remedy=f"send true or false, {_OR_NULL}",
)
_CATEGORY = Kind(
    expected="text or null",
    checks={str: AS_IT_IS, NoneType: AS_IT_IS},
    remedy=f"send text, {_OR_NULL}",
)
_INSTANT = Kind(
    expected=f"{_MOMENT}, or null",
    checks={str: MOMENT, NoneType: AS_IT_IS},
    remedy=_MOMENT_REMEDY,
)
_CALENDAR_DAY = Kind(
    expected=f"{_DAY}, or null",
    checks={str: DAY, NoneType: AS_IT_IS},
    remedy=_DAY_REMEDY,
)
_KEY_TEXT = Kind(
    expected="text or null",
    checks={str: TEXT, NoneType: AS_IT_IS},
    remedy="send text, or null where there is none.",
)
_KEY_WHOLE = Kind(
    expected="a whole number or null",
    checks={int: WHOLE, NoneType: AS_IT_IS},
    remedy="send a whole number, or null where there is none.",
)
IDENTIFICATION = Kind(
    expected="text, a whole number or null",
    checks={str: TEXT, int: WHOLE, NoneType: AS_IT_IS},
    remedy="send what identifies the row; feature values belong in 'features'.",
)
_INPUTS = {"float": _NUMBER, "int": _WHOLE, "bool": _TRUTH, "category": _CATEGORY}
_COMPUTED_FROM = {**_INPUTS, "string": _CATEGORY, "timestamp": _INSTANT, "date": _CALENDAR_DAY}
_KEYS = {"string": _KEY_TEXT, "category": _KEY_TEXT, "int": _KEY_WHOLE}


def input_kind(dtype: str) -> Kind:
    """Return what a model input of a dtype may be.

    Raises:
        ParameterError: A model has no inputs of that dtype.
    """
    return _kind(dtype, _INPUTS, "A model input")


def computed_from_kind(dtype: str) -> Kind:
    """Return what a value may be that no model takes, but from which features are computed.

    Raises:
        ParameterError: There are no values of that dtype.
    """
    return _kind(dtype, _COMPUTED_FROM, "A value that features are computed from")


def key_kind(dtype: str) -> Kind:
    """Return what a key column of a feature view may be.

    Raises:
        ParameterError: Views have no keys of that dtype.
    """
    return _kind(dtype, _KEYS, "A key column")


def _kind(dtype: str, kinds: Mapping[str, Kind], what: str) -> Kind:
    if dtype not in kinds:
        raise ParameterError(
            f"{what} cannot have the dtype '{dtype}'.{did_you_mean(dtype, kinds)}",
            remedy="take the dtype from the model's card or the view's entities.",
        )
    return kinds[dtype]


def read_value(value: Any, kind: Kind, field: str) -> Any:
    """Return a value as its kind: a float for a number, an int for a whole number.

    Args:
        value: As JSON was read.
        kind: What it may be.
        field: Its path in the body, for the message.

    Raises:
        RequestError: It is of another type, or too large or long.
    """
    if kind.checks.get(int) == WHOLE and type(value) is float and value.is_integer():
        value = int(value)  # JSON knows one sort of number: 3.0 is a whole one
    check = kind.checks.get(type(value))
    if check is None:
        raise wrong_type(field, kind.expected, value, remedy=_unquoted(value, kind) or kind.remedy)
    if check in (NUMBER, WHOLE_AS_NUMBER):
        if not -LARGEST_FLOAT <= value <= LARGEST_FLOAT:
            raise _beyond(field, f"a number within ±{LARGEST_FLOAT:.4g}", value)
        return float(value)
    if check == WHOLE and not -LARGEST_INT <= value <= LARGEST_INT:
        raise _beyond(field, f"a whole number within ±{LARGEST_INT:,}", value)
    if check in TIMES:
        return TIMES[check](value, field)
    if check == TEXT and len(value) > LONGEST_TEXT:
        raise out_of_range(
            field,
            f"text of at most {LONGEST_TEXT} characters",
            f"{len(value):,} characters",
            remedy="send the key alone.",
        )
    return value


def read_id(value: Any, field: str) -> str:
    """Return the id of a decision: text of 1 to 200 printable characters.

    Raises:
        RequestError: It is something else.
    """
    expected = f"text of 1 to {LONGEST_TEXT} printable characters"
    remedy = "send a short text that no other decision has, such as a UUID."
    if not isinstance(value, str):
        raise wrong_type(field, expected, value, remedy=remedy)
    if not 1 <= len(value) <= LONGEST_TEXT:
        raise out_of_range(field, expected, f"{len(value):,} characters", remedy=remedy)
    if not value.isprintable():
        raise out_of_range(field, expected, shown(value), remedy=remedy)
    return value


def read_moment(value: Any, field: str) -> int:
    """Return a moment in microseconds since 1970; digits beyond a microsecond are dropped.

    Raises:
        RequestError: It isn't RFC 3339, has no offset, or lies outside 1970 to 2261.
    """
    if not isinstance(value, str):
        raise wrong_type(field, _MOMENT, value, remedy=_MOMENT_REMEDY)
    try:
        moment = datetime.fromisoformat(value) if _RFC_3339.fullmatch(value) else None
    except ValueError:  # such as the 31st of June
        moment = None
    if moment is None:
        raise wrong_type(field, _MOMENT, value, remedy=_MOMENT_REMEDY)
    microseconds = (moment - _EPOCH) // _MICROSECOND
    if not EARLIEST <= microseconds < LATEST:
        raise out_of_range(
            field, "a moment from 1970 to 2261", shown(value), remedy="send the moment it was."
        )
    return microseconds


def read_instant(value: Any, field: str) -> datetime:
    """Return a moment of the request as a datetime in UTC; see `read_moment`."""
    return from_us(read_moment(value, field))


def read_day(value: Any, field: str) -> date:
    """Return a day of the calendar.

    Raises:
        RequestError: It isn't written as year-month-day, or there is no such day.
    """
    try:
        if _ISO_DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:  # such as the 31st of June
        pass
    raise wrong_type(field, _DAY, value, remedy=_DAY_REMEDY)


# what is left to do with a text that stands for a time
TIMES: Mapping[int, Callable[[Any, str], Any]] = {MOMENT: read_instant, DAY: read_day}


def _unquoted(value: Any, kind: Kind) -> str | None:
    """The remedy for a number that was sent as text, None for anything else."""
    if int not in kind.checks or not isinstance(value, str):
        return None
    is_number = re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", value, re.ASCII)
    return "send the number without quotes." if is_number else None


def _beyond(field: str, expected: str, value: float) -> Exception:
    return out_of_range(
        field, expected, shown(value), remedy="send it in its unit, or null where it isn't known."
    )
