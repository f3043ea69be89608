"""This module opens the one database that lineage, ledger, labels and endpoints share.

SQLite in WAL mode by default, PostgreSQL by its URL. Tables of later parts declare themselves on
`metadata` and add a migration to `migrations/versions/`, with `HEAD` moved on.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    DateTime,
    MetaData,
    String,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from headrace.errors import DataError, DefinitionError, HeadraceError, StoreError

HEAD = "0007"
"""The newest revision in `migrations/versions/`; a test holds the two together."""

metadata = MetaData()
"""Every table of the shared database."""

_BUSY_SECONDS = 60.0
_WRITING = "headrace_writing"
_DURABLE = "headrace_durable"
_WAIT_FOR_DISK = text(
    "SELECT set_config('synchronous_commit', 'on', true)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)


class UtcTime(TypeDecorator[datetime]):
    """This column type keeps aware moments in UTC, also where the database drops the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into UTC; a naive one is refused."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise DefinitionError(
                f"The time {value.isoformat()} has no zone.",
                remedy="record times as current_clock().now() gives them, in UTC.",
            )
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment back, aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class WholeNumber(TypeDecorator[int]):
    """This column type keeps integers of any size: seeds may exceed 64 bits."""

    impl = String(80)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        """Write the number as text."""
        return None if value is None else str(int(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:
        """Read the number back."""
        return None if value is None else int(value)


class _Json(TypeDecorator[Any]):
    """This column type keeps JSON-like data; PostgreSQL's own type is imported for it alone."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that a database keeps it as."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON(none_as_null=True))
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB(none_as_null=True))


Json = _Json(none_as_null=True)


class Database:
    """This is an open database at its newest revision, safe among threads and processes.

    Args:
        url_or_path: A path of an SQLite file, made when missing, or an SQLAlchemy URL.

    Raises:
        StoreError: It cannot be opened, or a newer Headrace has written it.
    """

    def __init__(self, url_or_path: str | Path) -> None:
        self.url = _url(url_or_path)
        self._sqlite = self.url.get_backend_name() == "sqlite"
        self._queue_writers()
        with self._explained():
            if self._sqlite:
                Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True)
            self.engine = _engine(self.url)
            with self._one_process_at_a_time():
                _upgrade(self.engine)
        _close_around_forks(weakref.ref(self))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection with one consistent view of the data."""
        with self._explained(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[Connection]:
        """Yield a connection that holds the writer's place from the start; commit at the end.

        Args:
            durable: Whether what is committed outlives a loss of power, not only of the process:
                for what somebody was promised and nothing could make again. SQLite waits for the
                disk then; PostgreSQL does so anyway, unless its server was told not to.
        """
        with self._explained(), self._writers, self.engine.connect() as connection:
            writer = connection.execution_options(**{_WRITING: True, _DURABLE: durable})
            with writer.begin():
                if durable and not self._sqlite:
                    writer.execute(_WAIT_FOR_DISK)
                yield writer

    def close(self) -> None:
        """Close the pooled connections; the next use opens new ones."""
        self.engine.dispose()

    def _queue_writers(self) -> None:
        # SQLite lets waiting writers race; a lock keeps those of one process in line.
        self._writers: AbstractContextManager[Any] = (
            threading.Lock() if self._sqlite else nullcontext()
        )

    @contextmanager
    def _one_process_at_a_time(self) -> Iterator[None]:
        """Hold a lock beside an SQLite file: a switch to WAL and a migration wait for no other."""
        if not self._sqlite:
            yield
            return
        with open(f"{self.url.database}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the database or the disk says into an error with a remedy."""
        shown = self.url.render_as_string(hide_password=True)
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as problem:
            raise StoreError(
                f"The database '{shown}' cannot be used: {problem.orig}.",
                remedy=_remedy(str(problem.orig)),
            ) from problem
        except StatementError as problem:
            if isinstance(problem.orig, HeadraceError):
                raise problem.orig from None
            raise DataError(
                f"A value cannot be recorded: {problem.orig}.",
                remedy="record text, numbers, booleans, None, and lists and dicts of these.",
            ) from problem
        except OSError as problem:
            raise StoreError(
                f"The database '{shown}' cannot be opened: {problem}.",
                remedy="check that its directory exists and that this user may write there.",
            ) from problem


def _close_around_forks(reference: weakref.ref[Database]) -> None:
    """Fork without idle connections: a child that inherits one finds the file locked for ever."""

    def before() -> None:
        if (database := reference()) is not None:
            database.engine.dispose()

    def after_in_child() -> None:
        if (database := reference()) is not None:
            database.engine.dispose(close=False)
            database._queue_writers()

    os.register_at_fork(before=before, after_in_child=after_in_child)


def _remedy(said: str) -> str:
    if "full" in said:
        return "free some space on its disk, then run again."
    if "disk I/O error" in said:
        return "check its disk, and the limits on file sizes and quotas, then run again."
    if "locked" in said:
        return "another process holds it; wait for it to finish or end it, then run again."
    if "not a database" in said or "malformed" in said:
        return "restore it from a backup, or move it away and let Headrace begin a new one."
    if "readonly" in said or "unable to open" in said:
        return "check that its directory exists and that this user may write there."
    return "check that the database is up and that its address and password are right."


def _url(url_or_path: str | Path) -> URL:
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return URL.create("sqlite", database=str(Path(url_or_path).absolute()))
    try:
        url = make_url(url_or_path)
        in_memory = url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    except ArgumentError:
        url, in_memory = None, True
    if url is None or in_memory:
        raise StoreError(
            f"'{url_or_path}' is not the address of a database that processes can share.",
            remedy="give a path, or a URL such as postgresql+psycopg://user@host/headrace.",
        )
    return url


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, json_serializer=_to_json)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        # The driver's own transactions begin late and DEFERRED; ours begin where we say.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # A reader that turns writer can be refused at once; a writer that says so first, waits.
        options = connection.get_execution_options()
        if not options.get(_WRITING, False):
            connection.exec_driver_sql("BEGIN")
            return
        # Said each time, for a pooled connection serves those who wait for the disk and others.
        level = "FULL" if options.get(_DURABLE, False) else "NORMAL"
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _to_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(engine: Engine) -> None:
    """Bring the database to `HEAD`; Alembic is imported only where there is something to do."""
    with engine.connect() as connection:
        revision = _revision(connection)
    if revision == HEAD:
        return
    if revision is not None and revision > HEAD:
        raise StoreError(
            f"The database is at revision {revision}; this Headrace knows revisions up to {HEAD}.",
            remedy="upgrade Headrace to the version that wrote it.",
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect().execution_options(**{_WRITING: True}) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(7218461)"))
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
