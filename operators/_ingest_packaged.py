"""This module reads the data files that installed packages carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.grants import require
from operators._ingest_csv import rows_of_csv
from operators._ingest_files import package_file_name, packaged_file
from operators._ingest_parquet import rows_of_parquet

if TYPE_CHECKING:
    import pyarrow as pa


def load_packaged(package: str, file: str, *, schema: type | None = None) -> pa.Table:
    """Return the rows of a CSV or Parquet file inside an installed package.

    Args:
        package: The package; it is looked up, not imported.
        file: The file below its folder; ".parquet" is read as Parquet, all else as CSV.
        schema: The schema class whose columns are read, in its types; None reads and infers all.

    Raises:
        DataError: The package or file is missing, or the file is not as its name says.
        GrantError: The running operator was not granted the file.
    """
    require(package_file_name(package, file))
    path = packaged_file(package, file)
    if path.suffix == ".parquet":
        return rows_of_parquet(path, schema=schema)
    return rows_of_csv(path, schema=schema)
