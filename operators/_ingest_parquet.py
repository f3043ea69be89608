"""This module reads Parquet files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import DataError
from headrace.grants import require
from headrace.schemas import schema_of
from operators._ingest_files import file_name, found_file

if TYPE_CHECKING:
    import pyarrow as pa


def load_parquet(path: str | os.PathLike[str], *, schema: type | None = None) -> pa.Table:
    """Return the rows of a Parquet file.

    Args:
        path: The file.
        schema: The schema class whose columns are read; None reads all.

    Raises:
        DataError: The file is missing, is no Parquet file, or names a column twice.
        GrantError: The running operator was not granted the file.
    """
    require(file_name(path))
    return rows_of_parquet(found_file(path), schema=schema)


def rows_of_parquet(path: Path, *, schema: type | None = None) -> pa.Table:
    """Return the rows of a Parquet file that is there and granted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # ParquetFile takes the file as it is; read_table would add columns from folder names.
        with pq.ParquetFile(path, memory_map=True) as file:
            names = file.schema_arrow.names
            repeated = sorted({n for n in names if names.count(n) > 1})
            if repeated:
                raise DataError(
                    f"'{path}' names column '{repeated[0]}' more than once.",
                    remedy="Write the file with one name for each column.",
                )
            declared = schema_of(schema) if schema is not None else None
            wanted = None if declared is None else [n for n in declared.names if n in names]
            return file.read(columns=wanted).replace_schema_metadata(None)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"'{path}' is not a Parquet file, or it is damaged: {str(error).rstrip('.')}.",
            remedy="Give a Parquet file; text is read with `load_csv`.",
        ) from error
