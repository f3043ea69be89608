"""This module reads SQL databases through SQLAlchemy, and only reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from headrace.errors import DataError, HeadraceError, ParameterError, ServiceError, did_you_mean
from headrace.grants import require
from operators._ingest_files import found_file

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import URL, Connection, Engine

_READING = {"select", "with", "values", "table", "show", "describe", "explain", "from"}
_COMMENTS = re.compile(r"\s+|--[^\n]*(?:\n|$)|/\*.*?\*/", re.DOTALL)
_NO_TABLE = re.compile(
    r"no such table: (?:main\.)?(\S+)|relation \"([^\"]+)\" does not exist|Table '([^']+)' doesn't",
)


def load_sql(url: str, query: str) -> pa.Table:
    """Return the result of a query; decimals become floats.

    Args:
        url: SQLAlchemy address without a password: parameters are shown in the UI and kept in
            lineage. Drivers find passwords themselves, PostgreSQL's in `~/.pgpass`.
        query: A query. Nothing it does is committed.

    Raises:
        ParameterError: The address or the query is not one, or the address holds a password.
        DataError: The query fails, or a column mixes types.
        ServiceError: The database cannot be reached.
        GrantError: The running operator was not granted the database.
    """
    for problem in sql_problems(url, query):
        raise problem
    require(database_name(url))
    engine = _engine(url)
    try:
        with _connected(engine) as connection:
            return _result(connection, query)
    finally:
        engine.dispose()


def sql_problems(url: str, query: str) -> Iterator[HeadraceError]:
    """Yield what can be seen to be wrong before the database is asked."""
    try:
        parsed = _parsed(url)
    except ParameterError as error:
        yield error
        return
    if parsed.password:
        yield ParameterError(
            f"The address '{parsed.render_as_string(hide_password=True)}' holds a password, "
            "which would be shown wherever parameters are.",
            remedy="Leave it out; the database's driver reads it from its own file, such as "
            "~/.pgpass.",
        )
    first = re.match(r"\(*\s*(\w*)", _COMMENTS.sub(" ", query).strip())
    word = first[1].lower() if first else ""
    if word not in _READING:
        says = f"begins with '{word.upper()}'" if word else "is empty"
        yield ParameterError(
            f"The query {says}; an ingest only reads.", remedy="Give a query, such as SELECT."
        )
    file = parsed.database or ":memory:"
    if parsed.get_backend_name() == "sqlite" and not file.startswith((":", "file:")):
        try:
            found_file(file)  # SQLite would make an empty database
        except DataError as error:
            yield error


def database_name(url: str) -> str:
    """Return how grants call a database: its dialect and its name, without host or user."""
    parsed = _parsed(url)
    return f"sql:{parsed.get_backend_name()}/{parsed.database or ''}"


def _parsed(url: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ParameterError(
            f"'{url}' is not the address of a database.",
            remedy="Write it as SQLAlchemy does, such as 'sqlite:///data/warehouse.db' or "
            "'postgresql://reader@host/warehouse'.",
        ) from error


def _engine(url: str) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    parsed = _parsed(url)
    try:
        return create_engine(parsed, poolclass=NullPool)
    except NoSuchModuleError as error:
        known = ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql")
        raise ParameterError(
            f"There is no SQL dialect '{parsed.drivername}'."
            f"{did_you_mean(parsed.get_backend_name(), known)}",
            remedy="Correct the address, or install the package that brings the dialect.",
        ) from error
    except ImportError as error:
        raise ParameterError(
            f"The driver for '{parsed.drivername}' is not installed: {error}.",
            remedy="Install it, or name one that is installed, such as 'postgresql+psycopg://...'.",
        ) from error


def _connected(engine: Engine) -> Connection:
    from sqlalchemy.exc import DBAPIError

    try:
        connection = engine.connect()
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(postgresql_readonly=True)
    except DBAPIError as error:
        address = engine.url.render_as_string(hide_password=True)
        raise ServiceError(
            f"The database '{address}' cannot be reached: {_first_line(error)}.",
            remedy="Check the address, that the server is up, and that the user may log in.",
        ) from error
    return connection


def _result(connection: Connection, query: str) -> pa.Table:
    import pyarrow as pa
    from sqlalchemy.exc import SQLAlchemyError

    try:
        # exec_driver_sql leaves colons and percent signs in the query as they are
        result = connection.exec_driver_sql(query)
        names = list(result.keys())
        rows = result.fetchall()
    except SQLAlchemyError as error:
        raise _refused(connection, error) from error
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise DataError(
            f"The result names column '{repeated[0]}' {names.count(repeated[0])} times.",
            remedy="Give each column a name of its own with AS.",
        )
    values = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pa.table({n: _column(n, v) for n, v in zip(names, values, strict=True)})


def _column(name: str, values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    if any(isinstance(v, (Decimal, UUID)) for v in values):
        values = [
            float(v) if isinstance(v, Decimal) else str(v) if isinstance(v, UUID) else v
            for v in values
        ]
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        kinds = sorted({type(v).__name__ for v in values if v is not None})
        raise DataError(
            f"Column '{name}' of the result mixes {' and '.join(kinds)}.",
            remedy=f"Give it one type in the query: CAST({name} AS ...).",
        ) from error


def _refused(connection: Connection, error: Exception) -> DataError:
    import sqlalchemy

    message = _first_line(error)
    near = ""
    found = _NO_TABLE.search(message)
    if found:
        connection.rollback()
        tables = sqlalchemy.inspect(connection).get_table_names()
        near = did_you_mean(next(g for g in found.groups() if g), tables)
    return DataError(
        f"The database refused the query: {message}.{near}", remedy="Correct the query."
    )


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().split("\n", 1)[0].rstrip(".")
