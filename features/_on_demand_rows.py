"""This module computes on-demand features of many rows, as they are computed of one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

from features._on_demand_values import ReadyFunction, as_given, same
from headrace.errors import DataError
from headrace.schemas import Column

if TYPE_CHECKING:
    import pyarrow as pa

    from features.on_demand import OnDemandView

_AT_ONCE = 65_536  # rows, which bounds what the lists take
_ALONE = 32  # rows that are computed once more, each by itself


def on_demand_columns(
    view: OnDemandView, inputs: Mapping[str, pa.ChunkedArray], rows: int
) -> dict[str, pa.ChunkedArray]:
    """Return what a view computes of rows, a column for each of its features.

    A few rows are computed once more, each by itself, as an endpoint does: a function that looks at
    other rows, at the time or at chance would give other values there.

    Args:
        view: The view.
        inputs: A column for each of `view.arguments`, by name, in its type.
        rows: The number of rows.

    Raises:
        DataError: The function raises, computes something else than it declares, or computes
            something else of a row alone.
    """
    import pyarrow as pa

    ready = ReadyFunction(view.name, view.columns, view.compute)
    dtypes = {argument.name: argument.dtype for argument in view.arguments}
    looked_at = set(range(0, rows, max(1, -(-rows // _ALONE))))
    arrays: dict[str, list[pa.Array]] = {column.name: [] for column in view.columns}
    for start in range(0, rows, _AT_ONCE):
        count = min(_AT_ONCE, rows - start)
        values = {
            name: as_lists(column.slice(start, count), dtypes[name])
            for name, column in inputs.items()
        }
        made = _computed(ready, values, count, start)
        for row in looked_at.intersection(range(start, start + count)):
            _require_same_alone(ready, values, made, row - start, start)
        for column in view.columns:
            arrays[column.name].append(pa.array(made[column.name], _plain_type(column)))
    return {
        column.name: _typed(pa.chunked_array(arrays[column.name], _plain_type(column)), column)
        for column in view.columns
    }


def as_lists(column: pa.ChunkedArray, dtype: str | None) -> list[Any]:
    """Return a column as a function is given it: nulls are None, instants datetimes in UTC."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values: list[Any] = column.to_pylist()
    if pa.types.is_timestamp(column.type):
        return [None if value is None else value.astimezone(UTC) for value in values]
    if pa.types.is_floating(column.type) or dtype == "float":
        return [as_given(value, dtype) for value in values]
    return values


def _computed(
    ready: ReadyFunction, values: dict[str, list[Any]], count: int, start: int
) -> dict[str, list[Any]]:
    """Return what is computed; what the function raises is blamed on the first row that does it."""
    try:
        return ready(_copied(values, 0, count), count, first_row=start)
    except DataError as error:
        if error.__cause__ is None:
            raise  # it has computed something, and the message names the row
        failed: DataError = error
    first, last = 0, count
    while last - first > 1:
        middle = (first + last) // 2
        try:
            ready(_copied(values, first, middle), middle - first, first_row=start + first)
        except DataError as error:
            last, failed = middle, error
        else:
            try:
                ready(_copied(values, middle, last), last - middle, first_row=start + middle)
            except DataError as error:
                first, failed = middle, error
            else:
                break  # only together: it looks at other rows
    raise failed


def _require_same_alone(
    ready: ReadyFunction,
    values: dict[str, list[Any]],
    made: Mapping[str, list[Any]],
    row: int,
    start: int,
) -> None:
    alone = ready(_copied(values, row, row + 1), 1, first_row=start + row)
    among = {name: column[row : row + 1] for name, column in made.items()}
    if same(alone, among):
        return
    name = next(n for n in alone if not same({n: alone[n]}, {n: among[n]}))
    raise DataError(
        f"On-demand view '{ready.view}' computes another '{name}' of row {start + row:,} alone "
        "than among other rows, so an endpoint would not compute what a model was trained on.",
        remedy="Let a row's result depend on that row only: no totals over the lists, no chance, "
        "no clock; for the present moment take a request column with the role 'decision_time'.",
    )


def _copied(values: dict[str, list[Any]], first: int, last: int) -> dict[str, list[Any]]:
    return {name: column[first:last] for name, column in values.items()}


def _plain_type(column: Column) -> pa.DataType:
    import pyarrow as pa

    from headrace.conform import arrow_type

    return pa.string() if column.dtype == "category" else arrow_type(column)


def _typed(array: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    from headrace.conform import arrow_type

    if column.dtype != "category":
        return array
    return array.dictionary_encode().cast(arrow_type(column))
