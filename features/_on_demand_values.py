"""This module calls the function of an on-demand view and holds its values to the schema.

It is the one place where this is done: offline for many rows, in a lane for one.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.errors import DataError, HeadraceError, did_you_mean
from headrace.schemas import Column

_SHOWN = 60  # characters of a value in a message
_INT64 = 2**63
_SECRET = ("personal", "secret")
Compute = Callable[[dict[str, list[Any]]], dict[str, list[Any]]]
Fit = Callable[[Any], Any]


class _UnfitError(Exception):
    """This value is not of its column's type; the argument says why, where that is not plain."""


class ReadyFunction:
    """This is the function of an on-demand view with what its values have to be.

    Args:
        view: Name of the view, for messages.
        columns: What it computes.
        function: The function.
    """

    def __init__(self, view: str, columns: Sequence[Column], function: Compute) -> None:
        self.view = view
        self._function = function
        self._columns = tuple((column, column.name, _fit(column)) for column in columns)

    def __call__(
        self, values: dict[str, list[Any]], rows: int, *, first_row: int | None = None
    ) -> dict[str, list[Any]]:
        """Return what is computed, a list for each column; a NaN is a null.

        Args:
            values: A list of `rows` values for each input.
            rows: How many there are.
            first_row: Number of the first row, for messages; None where there is one row only,
                which is a request.

        Raises:
            DataError: The function raises, or computes something else than it declares.
        """
        try:
            made: Any = self._function(values)
        except Exception as error:
            raise self._raised(error, rows, first_row) from error
        self._require_columns(made)
        found: dict[str, list[Any]] = {}
        for column, name, fit in self._columns:
            given = made[name]
            if type(given) is not list or len(given) != rows:
                raise self._wrong_list(name, given, rows)
            try:
                found[name] = [None if value is None else fit(value) for value in given]
            except (_UnfitError, OverflowError):
                raise self._unfit(column, fit, given, first_row) from None
        return found

    def _require_columns(self, made: Any) -> None:
        name, names = self._function.__name__, [name for _, name, _ in self._columns]
        if not isinstance(made, dict):
            raise DataError(
                f"On-demand view '{self.view}' computed nothing that has columns: `{name}` "
                f"returned {_shown(made)}.",
                remedy="Return a dict with a list for each feature.",
            )
        if len(made) == len(names) and all(map(made.__contains__, names)):
            return
        others = [str(each) for each in made if each not in names]
        missing = [each for each in names if each not in made]
        if missing:
            raise DataError(
                f"On-demand view '{self.view}' did not compute '{missing[0]}': `{name}` returned "
                f"no list of that name.{did_you_mean(missing[0], others) if others else ''}",
                remedy="Return a list for each feature that the view declares.",
            )
        raise DataError(
            f"On-demand view '{self.view}' computed '{others[0]}', which it does not declare."
            f"{did_you_mean(others[0], names)}",
            remedy="Declare it among the features, or leave it out of what is returned.",
        )

    def _wrong_list(self, column: str, given: Any, rows: int) -> DataError:
        if type(given) is list:
            count = "1 row" if rows == 1 else f"{rows:,} rows"
            return DataError(
                f"On-demand view '{self.view}' computed {len(given):,} values of '{column}' for "
                f"{count}.",
                remedy="Return one value a row, in the order of the rows; None where it is not "
                "known.",
            )
        return DataError(
            f"On-demand view '{self.view}' computed '{column}' as {_kind(given)}, not as a list.",
            remedy="Return a list; `.tolist()` makes one of an array.",
        )

    def _unfit(
        self, column: Column, fit: Fit, given: list[Any], first_row: int | None
    ) -> DataError:
        row, value, reason = _first_unfit(fit, given)
        # what a message holds gets into logs
        shown = _kind(value) if column.sensitivity in _SECRET else _shown(value)
        at = "" if first_row is None else f" in row {first_row + row:,}"
        numpy = type(value).__module__ == "numpy"
        return DataError(
            f"On-demand view '{self.view}' computed '{column.name}' as {shown}{at}"
            f"{f', which {reason}' if reason else ''}; it should be {column.type_name()}.",
            remedy="Return plain Python values; `.tolist()` makes them of an array."
            if numpy
            else f"Return {column.type_name()} for every row, or declare what it is.",
        )

    def _raised(self, error: Exception, rows: int, first_row: int | None) -> DataError:
        at = ""
        if first_row is not None:
            at = (
                f" in row {first_row:,}"
                if rows == 1
                else f" in the {rows:,} rows from {first_row:,}"
            )
        text = error.problem if isinstance(error, HeadraceError) else str(error)
        said = f"{type(error).__name__}: {' '.join(text.split())}".rstrip(": .")
        frames = traceback.extract_tb(error.__traceback__)[1:]  # the first one is ours
        lines = [f.lineno for f in frames if f.filename == frames[0].filename]
        if lines:
            said += f", in {'/'.join(Path(frames[0].filename).parts[-2:])}, line {lines[-1]}"
        return DataError(
            f"On-demand view '{self.view}' could not be computed{at}: "
            f"`{self._function.__name__}` raised {said}.",
            remedy="Correct the function: it has to treat every value that it may be given, None "
            "among them.",
        )


def as_given(value: Any, dtype: str | None) -> Any:
    """Return one value as a function is given it: a NaN is None, a float column holds floats."""
    if value is None or (type(value) is float and math.isnan(value)):
        return None
    return float(value) if dtype == "float" and type(value) is int else value


def same(one: Mapping[str, list[Any]], other: Mapping[str, list[Any]]) -> bool:
    """Return whether two results are equal, type by type."""
    return all(
        [(type(v), v) for v in values] == [(type(v), v) for v in other[name]]
        for name, values in one.items()
    )


def _fit(column: Column) -> Fit:
    if column.dtype in ("string", "category"):
        return _as_text if column.categories is None else _as_one_of(column.categories)
    fits: dict[str, Fit] = {"float": _as_float, "int": _as_int, "bool": _as_bool}
    return fits[column.dtype]


def _as_float(value: Any) -> float | None:
    if type(value) is float:
        if value - value == 0.0:
            return value
        if math.isnan(value):
            return None
        raise _UnfitError("no log and no model can hold")
    if isinstance(value, float | int) and not isinstance(value, bool):
        return _as_float(float(value))
    raise _UnfitError


def _as_int(value: Any) -> int:
    if type(value) is not int:
        raise _UnfitError
    if not -_INT64 <= value < _INT64:
        raise _UnfitError("has more than 64 bits")
    return value


def _as_bool(value: Any) -> bool:
    if type(value) is not bool:
        raise _UnfitError
    return value


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise _UnfitError
    try:
        value.isascii() or value.encode()
    except UnicodeEncodeError:
        raise _UnfitError("is no text in Unicode") from None
    return str(value)


def _as_one_of(categories: Sequence[str]) -> Fit:
    known = frozenset(categories)

    def fit(value: Any) -> str:
        text = _as_text(value)
        if text not in known:
            shown = ", ".join(repr(each) for each in categories[:8])
            raise _UnfitError(f"is not among its categories ({shown})")
        return text

    return fit


def _first_unfit(fit: Fit, given: list[Any]) -> tuple[int, Any, str]:
    for row, value in enumerate(given):
        try:
            if value is not None:
                fit(value)
        except (_UnfitError, OverflowError) as error:
            return row, value, str(error) if isinstance(error, _UnfitError) else "is too large"
    return 0, None, ""  # pragma: no cover - one of them is unfit


def _shown(value: Any) -> str:
    written = repr(value)
    written = written if len(written) <= _SHOWN else f"{written[: _SHOWN - 1]}…"
    return written if value is None else f"{written} ({_kind(value)})"


def _kind(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
