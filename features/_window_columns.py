"""This module works out the columns of windows, and refuses what a source cannot give."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from features._window_aggregates import Aggregate
from headrace.errors import DefinitionError, UnknownNameError
from headrace.schemas import Column, DType, Role, TableSchema

if TYPE_CHECKING:
    from features.windows import Windows

_NUMBERS = ("int", "float")
_KEPT = ("sum", "mean", "min", "max", "last")  # what has the unit of its column
_ORDERED = ("above", "at_least", "below", "at_most")


def columns_of(windows: Windows, source: TableSchema) -> tuple[Column, ...]:
    """Return the features of windows over a source.

    Raises:
        UnknownNameError: The source has no such column; the message offers the nearest.
        DefinitionError: A column has a type that cannot be aggregated so, or two features have one
            name.
    """
    for given, role in ((windows.event_time, "event_time"), (windows.known_time, "known_time")):
        time_column(source, given, role)  # type: ignore[arg-type]
    if windows.row_id is not None:
        _require_row_id(source, windows.row_id)
    columns = [
        _column(aggregate, source, name, over)
        for aggregate in windows.aggregates
        for name, over in zip(aggregate.names, aggregate.over, strict=True)
    ]
    names = [c.name for c in columns]
    twice = [n for n in names if names.count(n) > 1]
    if twice:
        raise DefinitionError(
            f"Two windows are called '{twice[0]}'.",
            remedy=f"Leave one of them out, or give it a name: name='{twice[0]}_2'.",
        )
    return tuple(columns)


def time_column(source: TableSchema, given: str | None, role: Role) -> str:
    """Return the source's column with a time: the one given, or the one of the role."""
    if given is None:
        return source.the(role).name
    column = _known(source, given)
    if column.dtype != "timestamp":
        raise DefinitionError(
            f"The {role.replace('_', ' ')} of windows over '{source.name}' is '{given}', which is "
            f"{column.dtype}.",
            remedy="Name a column that is an instant.",
        )
    return given


def _column(aggregate: Aggregate, source: TableSchema, name: str, over: timedelta | None) -> Column:
    described = aggregate.described(over)
    if aggregate.column is None:
        return Column(name=name, dtype="int", description=described)
    read = _known(source, aggregate.column)
    _require_fit(aggregate, read, source.name)
    same = aggregate.kind in ("min", "max", "last", "sum")
    dtype: DType = read.dtype if same else "float" if aggregate.kind in ("mean", "rate") else "int"
    return Column(
        name=name,
        dtype=dtype,
        categories=read.categories if dtype == "category" else None,
        unit=aggregate.unit or (read.unit if aggregate.kind in _KEPT else None),
        sensitivity=read.sensitivity,
        description=described,
    )


def _require_fit(aggregate: Aggregate, read: Column, source: str) -> None:
    kind, wanted = aggregate.kind, None
    if kind in ("sum", "mean", "min", "max") and read.dtype not in _NUMBERS:
        wanted = "a number"
    elif kind == "rate" and aggregate.comparison is None and read.dtype != "bool":
        wanted = "a bool, or a comparison such as above=15"
    elif aggregate.comparison in _ORDERED and read.dtype not in _NUMBERS:
        wanted = f"a number to be {aggregate.comparison.replace('_', ' ')} {aggregate.operand!r}"
    elif aggregate.comparison is not None:
        text = read.dtype in ("string", "category")
        if read.dtype not in ("string", "category", *_NUMBERS):
            wanted = "a number or a text to compare"
        elif isinstance(aggregate.operand, str) != text:
            wanted = f"of the type of {aggregate.operand!r}"
    if wanted:
        raise DefinitionError(
            f"The window '{aggregate.stem}' aggregates '{read.name}' of '{source}', which is "
            f"{read.type_name()}; it should be {wanted}.",
            remedy="Use count, distinct or last for it, or another column.",
        )


def _require_row_id(source: TableSchema, name: str) -> None:
    column = _known(source, name)
    if column.dtype not in ("string", "int"):
        raise DefinitionError(
            f"The row id of windows over '{source.name}' is '{name}', which is {column.dtype}.",
            remedy="Name a column that is a text or an integer.",
        )


def _known(source: TableSchema, name: str) -> Column:
    if name not in source:
        raise UnknownNameError.of(
            f"column in the source '{source.name}' called",
            name,
            source.names,
            remedy="Name a column that the view's source has.",
        )
    return source.column(name)
