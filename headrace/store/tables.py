"""This module writes and reads Arrow tables as files that give back exactly what was put in."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import UnknownNameError

if TYPE_CHECKING:
    import pyarrow

PARQUET = "table.parquet"
ARROW = "table.arrow"  # for the few types that Parquet cannot give back
# Measured on the flights: lz4 reads in 16 ms and zstd in 20 to 26, for files of nearly one size.
COMPRESSION = "lz4"


def encode_schema(schema: pyarrow.Schema) -> str:
    """Return an Arrow schema, metadata and all, as text."""
    return base64.b64encode(schema.serialize()).decode("ascii")


def decode_schema(text: str) -> pyarrow.Schema:
    """Return the schema that `encode_schema` made text of."""
    import pyarrow

    return pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(text)))


def write(table: pyarrow.Table, directory: Path) -> None:
    """Write a table as Parquet, or as Arrow where Parquet would lose something."""
    import pyarrow
    from pyarrow import feather, parquet

    if all(_parquet_keeps(field.type) for field in table.schema):
        try:
            parquet.write_table(table, directory / PARQUET, compression=COMPRESSION)
        except pyarrow.ArrowNotImplementedError:  # a dictionary with null among its values
            (directory / PARQUET).unlink(missing_ok=True)
        else:
            return
    feather.write_feather(table, str(directory / ARROW), compression=COMPRESSION)


def read(
    directory: Path, schema: pyarrow.Schema, columns: Sequence[str] | None = None
) -> pyarrow.Table:
    """Read a table of this schema, or only these columns of it, in this order.

    Raises:
        UnknownNameError: The table has no such column.
    """
    import pyarrow
    from pyarrow import parquet

    wanted = None
    if columns is not None:
        _require_columns(columns, schema.names)
        wanted = list(dict.fromkeys(columns))
        schema = pyarrow.schema([schema.field(name) for name in columns], schema.metadata)
    if (directory / PARQUET).exists():
        table = parquet.ParquetFile(directory / PARQUET).read(wanted)
    else:
        from pyarrow import feather

        table = feather.read_table(str(directory / ARROW), columns=wanted, memory_map=False)
    if columns is not None:
        table = table.select(list(columns))
    # Parquet rounds some types (seconds become milliseconds) and renames the elements of lists.
    return table if table.schema.equals(schema, check_metadata=True) else table.cast(schema)


def _parquet_keeps(kind: pyarrow.DataType) -> bool:
    """Say whether a value of this type comes back from Parquet, after a cast at most."""
    from pyarrow import types

    if types.is_dictionary(kind):
        value = kind.value_type
        return bool(types.is_string(value) or types.is_binary(value))
    if types.is_run_end_encoded(kind) or types.is_fixed_size_list(kind) or types.is_interval(kind):
        return False
    children = [kind.field(position).type for position in range(kind.num_fields)]
    return bool(children or not types.is_struct(kind)) and all(map(_parquet_keeps, children))


def _require_columns(columns: Sequence[str], known: Sequence[str]) -> None:
    for name in columns:
        if name not in known:
            raise UnknownNameError.of(
                "column", name, known, remedy="ask for columns that the table has."
            )
