"""This module holds Feast's online store on our SQLite tables; see `features/feast_online.py`."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id, compute_versioned_name
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.Value_pb2 import Value
from pydantic import model_validator

from features import _online_catalogue as catalogue
from features import _online_tables as tables
from features._feast_online_rows import batches_of, newest_rows
from features._online_bulk import BulkTable
from features._online_file import OnlineFile
from features._online_tables import State
from headrace.clock import current_clock
from headrace.errors import DefinitionError

if TYPE_CHECKING:
    from feast import Entity, FeatureView, RepoConfig
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey

    from features._feast_online_rows import FeastRow

FEAST_VERSION = "0.67.0"
_TRANSACTION = 10_000  # entities
_CHUNK = 10_000  # entities in a statement; SQLite takes 32,766 parameters
_NOT_OURS = ("vector_enabled", "enable_openai_compatible_store")


class BulkSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    """This is the configuration of `BulkSqliteOnlineStore`.

    Args:
        type: The dotted name of the store.
        path: The file; a relative one lies in the folder of Feast's repository.
        wait_seconds: How long to wait for another writer.

    Raises:
        DefinitionError: Searching by vectors or in numbers is asked for.
    """

    type: Literal["features.feast_online.BulkSqliteOnlineStore"] = (
        "features.feast_online.BulkSqliteOnlineStore"  # type: ignore[assignment]
    )
    wait_seconds: float = 5.0

    @model_validator(mode="after")
    def _only_what_is_written(self) -> BulkSqliteOnlineStoreConfig:
        for option in _NOT_OURS:
            if getattr(self, option):
                raise DefinitionError(
                    f"The online store BulkSqliteOnlineStore has no '{option}': it writes values "
                    "and their texts only.",
                    remedy='Leave the option out, or use Feast\'s own `{"type": "sqlite"}`.',
                )
        return self


class BulkSqliteOnlineStore(SqliteOnlineStore):
    """This is Feast's online store on our tables: bulk writes, and a newer event always stays.

    The bytes are those of Feast's own SQLite store. Threads take turns at writing; after a fork
    each process has connections of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, OnlineFile] = {}
        self._process = os.getpid()
        self._opening = threading.RLock()

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[FeastRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows, those that are newer than what is there; several in one transaction.

        Raises:
            LeakageError: A row happens, or was created, in the future; nothing is written.
            StoreError: The file cannot be written.
        """
        rows = newest_rows(data, view=table.name, now_us=current_clock().now_us())
        expected = {feature.name for feature in table.features}
        file, name = self._file(config), _table(config, table)
        ordered = [rows[key] for key in sorted(rows)]
        for start in range(0, len(ordered), _TRANSACTION):
            with file.transaction():
                self._claim(file, config, table, whole=None)
                for names, batch in batches_of(ordered[start : start + _TRANSACTION]):
                    bulk = BulkTable(file.connection, name, names)
                    bulk.write(batch, alone=not expected <= set(names))
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Return the features of entities, read by name; a view that is not there has none.

        Also tables that Feast's own SQLite store wrote are read. While a new version is being
        filled, it reads as if nothing were there; what no longer holds has null values.
        """
        keys = [serialize_entity_key(k, entity_key_serialization_version=3) for k in entity_keys]
        found: dict[bytes, tuple[datetime, dict[str, Value]]] = {}
        with self._opening:
            connection = self._get_conn(config)
        try:
            if not _being_filled(connection, _table(config, table)):
                name = _table(config, table)
                # asked first: what is written in between is newer than the answer
                lapsed = _lapsed(connection, name, keys)
                for key, feature, blob, event in _stored(
                    connection, name, keys, requested_features
                ):
                    value = Value()
                    if key not in lapsed:
                        value.ParseFromString(blob)
                    entry = found.setdefault(key, (event.replace(tzinfo=UTC), {}))
                    entry[1][feature] = value
        except sqlite3.Error as error:
            if "no such table" not in str(error):
                raise tables.store_error(error, Path(self._get_db_path(config)), waited=5.0) from (
                    error
                )
        return [found.get(key, (None, None)) for key in keys]

    def update(  # noqa: PLR0917  Feast's interface
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make the tables of views that are to be kept, and drop those of views that are not."""
        file = self._file(config)
        with file.transaction():
            for table in tables_to_keep:
                file.execute(tables.create_values(_table(config, table)))
            for table in tables_to_delete:
                _drop(file, _table(config, table))

    def teardown(
        self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        """Drop all tables of the project; those of other projects in the same file stay."""
        self._tear_down(config, tables)

    def begin_version(self, config: RepoConfig, table: FeatureView) -> None:
        """Claim the table of a view for a materialization: a new one is not read until its end."""
        file, name = self._file(config), _table(config, table)
        with file.transaction():
            state = self._claim(file, config, table, whole=False)
            filled = catalogue.filled(file.execute, name)
            if not state.whole and filled.work is None:
                under_way = catalogue.Work(since_us=None, until_us=0, rows="Feast's")
                catalogue.set_filled(file.execute, name, replace(filled, work=under_way))

    def end_version(self, config: RepoConfig, table: FeatureView) -> None:
        """Let the table of a view be read, after its materialization."""
        file, name = self._file(config), _table(config, table)
        with file.transaction():
            self._claim(file, config, table, whole=True)
            catalogue.mark_whole(file.execute, name)
            filled = catalogue.filled(file.execute, name)
            catalogue.set_filled(file.execute, name, replace(filled, work=None))

    def _tear_down(self, config: RepoConfig, views: Sequence[FeatureView]) -> None:
        if not Path(self._get_db_path(config)).exists():
            return
        file = self._file(config)
        with file.transaction():
            catalogue.prepare(file.execute)
            owned = file.execute(tables.OWNED, (config.project,)).fetchall()
            for name in {*(_table(config, view) for view in views), *(n for (n,) in owned)}:
                _drop(file, name)

    def _claim(
        self, file: OnlineFile, config: RepoConfig, table: FeatureView, *, whole: bool | None
    ) -> State:
        return catalogue.claim(
            file.execute, config.project, table.name, _number(config, table), whole=whole
        )

    def _file(self, config: RepoConfig) -> OnlineFile:
        """Return the file to write to, opened once a process."""
        path = self._get_db_path(config)
        with self._opening:
            self._after_fork()
            if path not in self._files:
                wait: float = config.online_store.wait_seconds
                self._files[path] = OnlineFile(Path(path), wait_seconds=wait)
            return self._files[path]

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        self._after_fork()
        connection: sqlite3.Connection = super()._get_conn(config)
        return connection

    def _after_fork(self) -> None:
        if self._process != os.getpid():  # SQLite must not be used across a fork
            self._files, self._conn, self._process = {}, None, os.getpid()


def _stored(
    connection: sqlite3.Connection, table: str, keys: Sequence[bytes], features: list[str] | None
) -> Iterator[tuple[bytes, str, bytes, datetime]]:
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        yield from connection.execute(
            tables.select_values(table, len(some), features), [*some, *(features or ())]
        ).fetchall()


def _lapsed(connection: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> set[bytes]:
    """Return the entities of which what is there no longer holds by now."""
    wanted = list(dict.fromkeys(keys))
    found: set[bytes] = set()
    now_us = current_clock().now_us()
    try:
        for start in range(0, len(wanted), _CHUNK):
            some = wanted[start : start + _CHUNK]
            asked = connection.execute(tables.select_lapsed(table, len(some)), [now_us, *some])
            found.update(key for (key,) in asked)
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error) and "no such column" not in str(error):
            raise
    return found  # nothing where Feast's own wrote, and in a file of before


def _being_filled(connection: sqlite3.Connection, table: str) -> bool:
    try:
        state = tables.state_of(connection.execute, table)
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return False  # none of ours wrote here
    if state is None or state.whole:
        return False
    return catalogue.filled(connection.execute, table).work is not None


def _drop(file: OnlineFile, table: str) -> None:
    catalogue.prepare(file.execute)
    file.execute(tables.drop_values(table))
    file.execute(tables.drop_facts(table))
    catalogue.forget(file.execute, table)


def _table(config: RepoConfig, table: FeatureView) -> str:
    versions = config.registry.enable_online_feature_view_versioning
    return str(compute_table_id(config.project, table, versions))


def _number(config: RepoConfig, table: FeatureView) -> int:
    versions = config.registry.enable_online_feature_view_versioning
    name: str = compute_versioned_name(table, versions)
    return 0 if name == table.name else int(name.rpartition("_v")[2])
