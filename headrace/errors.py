"""This module holds the one tree of errors: what is wrong, whose fault it is, and the remedy.

HeadraceError
├── DefinitionError      the code is wrong; found before anything runs
│   ├── SchemaError        a schema or column is declared wrongly
│   ├── PlanError          a flow does not fit together; carries every problem
│   ├── ParameterError     a flow or operator was given a wrong or unknown parameter
│   ├── UnknownNameError   a flow, view, operator, run or column that does not exist
│   └── GrantError         an operator reached for data it was not granted
├── DataError            the data is wrong; found when it is read
│   ├── BoundaryError      an artifact does not have the schema that was promised
│   ├── DataQualityError   a validation suite failed; carries the report
│   └── LeakageError       a value was not known at the decision
└── ServiceError         the machine or a service is at fault; worth a retry
├── StoreError         an artifact cannot be written or read
└── DamagedArtifactError  what is on disk is not what was written
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal

Fault = Literal["definition", "data", "system"]


class HeadraceError(Exception):
    """This error says what is wrong and how to put it right.

    Args:
        problem: What is wrong, where, and with which value. One or more whole sentences.
        remedy: What the reader can do about it, as an imperative.
    """

    fault: ClassVar[Fault] = "system"

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  Fix: {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception pickles its positional arguments only, and so would lose the remedy.
        return _rebuild, (type(self), self.__dict__)


def _rebuild(kind: type[HeadraceError], state: dict[str, Any]) -> HeadraceError:
    error = kind.__new__(kind)
    Exception.__init__(error, state["problem"])
    error.__dict__.update(state)
    return error


class DefinitionError(HeadraceError):
    """This code cannot work, whatever the data."""

    fault = "definition"


class SchemaError(DefinitionError):
    """This schema or column is declared wrongly."""


class ParameterError(DefinitionError):
    """This parameter is unknown, missing, or of the wrong type or range."""


class UnknownNameError(DefinitionError):
    """This name is not known; the message offers the nearest that are."""

    @classmethod
    def of(cls, what: str, name: str, known: Iterable[str], *, remedy: str) -> UnknownNameError:
        """Build the error for an unknown `name` among the `known` names of a kind (`what`)."""
        return cls(f"There is no {what} '{name}'.{did_you_mean(name, known)}", remedy=remedy)


class GrantError(DefinitionError):
    """This operator reached for data that it was not granted."""


class DataError(HeadraceError):
    """This data is not what the code may rely on."""

    fault = "data"


class BoundaryError(DataError):
    """This artifact does not have the schema that was promised for it."""


class DataQualityError(DataError):
    """This data failed its validation suite.

    Args:
        report: The failed expectations, as JSON-like data.
    """

    def __init__(self, problem: str, *, remedy: str, report: dict[str, Any] | None = None) -> None:
        super().__init__(problem, remedy=remedy)
        self.report = report or {}


class LeakageError(DataError):
    """This value was not known at the decision that it is meant to inform."""


class ServiceError(HeadraceError):
    """This service or machine could not do what it should; trying again may help."""


class StoreError(ServiceError):
    """This artifact cannot be written or read."""


class DamagedArtifactError(StoreError):
    """This artifact on disk is not the one that was written."""


def line_that_raised(error: BaseException, function: Callable[..., object]) -> str:
    """Return "trips/views.py, line 7", the last line of a function's own file that was reached.

    Empty where the function has no Python code, or was not reached.
    """
    code = getattr(function, "__code__", None)
    frame = error.__traceback__
    line = 0
    while code is not None and frame is not None:
        if frame.tb_frame.f_code.co_filename == code.co_filename:
            line = frame.tb_lineno
        frame = frame.tb_next
    if code is None or not line:
        return ""
    folder, _, file = code.co_filename.replace("\\", "/").rpartition("/")
    return f"{folder.rpartition('/')[2]}/{file}, line {line}"


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that somebody may have meant, at most three, the nearest first."""
    return difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.6)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known names, or the list when none is near."""
    names = sorted(set(known))
    near = nearest(name, names)
    if near:
        return f" Did you mean {_or(near)}?"
    if not names:
        return " There are none."
    shown = ", ".join(f"'{n}'" for n in names[:12])
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f" Known: {shown}{more}."


def _or(names: list[str]) -> str:
    quoted = [f"'{n}'" for n in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
