"""This module holds data to a schema at the borders of operators: project, widen, or refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from headrace.errors import BoundaryError, did_you_mean
from headrace.schemas import Column, DType, TableSchema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def as_arrow(data: pd.DataFrame | pa.Table | Mapping[str, Any]) -> pa.Table:
    """Return data as an Arrow table; a pandas NaN is a null, the index is dropped.

    Raises:
        BoundaryError: The data is of another type, or a column mixes types.
    """
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data.replace_schema_metadata(None)
    try:
        if isinstance(data, Mapping):
            return pa.table(dict(data))
        return pa.Table.from_pandas(data, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise BoundaryError(
            f"The data cannot be read as a table: {'; '.join(map(str, error.args))}.",
            remedy="Give every column one type.",
        ) from error
    except AttributeError as error:
        raise BoundaryError(
            f"The data is of type {type(data).__name__}, not a table.",
            remedy="Give a pandas frame, an Arrow table or a dict of columns.",
        ) from error


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type a column is stored as; instants are microseconds in UTC."""
    import pyarrow as pa

    types: dict[DType, pa.DataType] = {
        "bool": pa.bool_(),
        "int": pa.int64(),
        "float": pa.float64(),
        "string": pa.string(),
        "category": pa.dictionary(pa.int32(), pa.string()),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "date": pa.date32(),
    }
    return types[column.dtype]


def inferred_schema(table: pa.Table) -> TableSchema | None:
    """Return the schema that the data has by itself; None when a type has no name here."""
    columns = []
    for field in table.schema:
        dtype = _dtype_of(field.type)
        if dtype is None:
            return None
        nullable = table.column(field.name).null_count > 0
        columns.append(Column(name=field.name, dtype=dtype, nullable=nullable))
    return TableSchema(name="inferred", columns=tuple(columns))


def _dtype_of(kind: pa.DataType) -> DType | None:
    import pyarrow.types as is_

    if is_.is_dictionary(kind):
        return "category" if _dtype_of(kind.value_type) == "string" else None
    tests: tuple[tuple[Any, DType], ...] = (
        (is_.is_boolean, "bool"),
        (is_.is_integer, "int"),
        (is_.is_floating, "float"),
        (is_.is_string, "string"),
        (is_.is_large_string, "string"),
        (is_.is_timestamp, "timestamp"),
        (is_.is_date, "date"),
    )
    return next((name for test, name in tests if test(kind)), None)


def conform(table: pa.Table, schema: TableSchema, *, where: str) -> pa.Table:
    """Return the declared columns in their order and types.

    Integers are widened to floats and floats that hold whole numbers narrowed to declared
    integers (pandas turns integers with nulls into floats); nothing else is converted.

    Args:
        table: The data; columns beyond the schema are left out.
        schema: What is promised.
        where: Whose data it is, to begin the message with.

    Raises:
        BoundaryError: Columns are missing, have another type, hold forbidden nulls or unknown
            categories, or instants have no time zone. Every problem is named at once.
    """
    import pyarrow as pa

    problems = list(_missing(table, schema))
    arrays = []
    for column in schema.columns:
        if table.column_names.count(column.name) != 1:
            continue
        array, problem = _conformed(table.column(column.name), column)
        arrays.append(array)
        if problem:
            problems.append(problem)
    if problems:
        listed = problems[0] if len(problems) == 1 else "".join(f"\n  - {p}" for p in problems)
        raise BoundaryError(
            f"{where} does not fit schema '{schema.name}': {listed}",
            remedy="Correct the data, or declare the schema as the data is.",
        )
    if not arrays:
        return table.select([])  # without columns, the number of rows is all there is
    return pa.table(dict(zip(schema.names, arrays, strict=True)))


def _missing(table: pa.Table, schema: TableSchema) -> Iterator[str]:
    for name in schema.names:
        if table.column_names.count(name) > 1:
            yield f"column '{name}' occurs twice."
        if name not in table.column_names:
            yield f"column '{name}' is missing.{did_you_mean(name, table.column_names)}"


def _conformed(array: pa.ChunkedArray, column: Column) -> tuple[pa.ChunkedArray, str | None]:
    import pyarrow as pa

    wanted = arrow_type(column)
    if array.null_count and not column.nullable:
        row = array.is_null().index(True).as_py()
        return array, (
            f"column '{column.name}' holds {array.null_count:,} nulls, the first in row {row:,}, "
            "but is not nullable."
        )
    if array.type == wanted:
        return _checked_categories(array, column)
    if array.null_count == len(array):  # nothing is in it, so it may be of any type
        return pa.chunked_array([pa.nulls(len(array), wanted)]), None
    has = _dtype_of(array.type)
    if has == "timestamp" and column.dtype == "timestamp" and array.type.tz is None:
        return array, f"column '{column.name}' holds times without a time zone."
    allowed = {column.dtype}
    if column.dtype in ("float", "int"):
        allowed |= {"int", "float"}
    if column.dtype in ("string", "category"):
        allowed |= {"string", "category"}
    if has not in allowed:
        example = array.drop_null()[0].as_py()
        return array, (
            f"column '{column.name}' is {column.dtype} but holds {array.type}, such as {example!r}."
        )
    try:
        if pa.types.is_dictionary(array.type):
            array = array.cast(pa.string())
        cast = array.dictionary_encode() if column.dtype == "category" else array
        return _checked_categories(cast.cast(wanted), column)
    except pa.ArrowInvalid as error:
        return array, f"column '{column.name}' is {column.dtype}, but {str(error).rstrip('.')}."


def _checked_categories(
    array: pa.ChunkedArray, column: Column
) -> tuple[pa.ChunkedArray, str | None]:
    if column.categories is None:
        return array, None
    known = set(column.categories)
    found = {v for v in array.unique().to_pylist() if v is not None}
    unknown = sorted(found - known)
    if unknown:
        return array, (
            f"column '{column.name}' holds '{unknown[0]}', which is not among its categories."
            f"{did_you_mean(unknown[0], known)}"
        )
    return array, None
