"""This module holds the tables of the online store: their names and the statements on them.

A view has two tables in a space. `<space>_<view>` is the one that Feast's SQLite online store
makes: a row for each entity and feature, times in whole seconds. `<space>_<view>.facts` says for
each entity which fact of the view its values are, in microseconds: a name that no view can have.
`headrace.views` says whose each table is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from headrace.errors import DamagedArtifactError, StoreError

LIVE = "headrace"  # the space that live decisions read, and the Feast project of our registry

CREATE_CATALOGUE = (
    'CREATE TABLE IF NOT EXISTS "headrace.views" '
    "(name TEXT PRIMARY KEY, space TEXT NOT NULL, view TEXT NOT NULL) WITHOUT ROWID"
)
CLAIM = 'INSERT OR IGNORE INTO "headrace.views" (name, space, view) VALUES (?, ?, ?)'
OWNER = 'SELECT space, view FROM "headrace.views" WHERE name = ?'
OWNED = 'SELECT name FROM "headrace.views" WHERE space = ? ORDER BY name'
IS_THERE = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"


def table_name(space: str, view: str) -> str:
    """Return the name of the table that Feast reads for a view in the project `space`."""
    return f"{space}_{view}"


def facts_name(table: str) -> str:
    """Return the name of the table that says which fact each entity has."""
    return f"{table}.facts"


def create_values(table: str) -> str:
    """Return the statement that makes a view's table, in Feast's own words.

    Feast adds an index on `entity_key` alone; the primary key begins with it, so we do not.
    """
    return (
        f"CREATE TABLE IF NOT EXISTS {_quoted(table)} (entity_key BLOB, feature_name TEXT, "
        "value BLOB, value_text TEXT,  vector_value BLOB, event_ts timestamp, "
        "created_ts timestamp,  PRIMARY KEY(entity_key, feature_name))"
    )


def create_facts(table: str) -> str:
    """Return the statement that makes the table of facts beside a view's table."""
    return (
        f"CREATE TABLE IF NOT EXISTS {_quoted(facts_name(table))} (entity_key BLOB PRIMARY KEY, "
        "event_us INTEGER NOT NULL, known_us INTEGER NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID"
    )


def drop_facts(table: str) -> str:
    """Return the statement that forgets the facts of a view whose values are gone."""
    return f"DROP TABLE IF EXISTS {_quoted(facts_name(table))}"


def delete_all(table: str) -> tuple[str, str]:
    """Return the statements that empty both tables of a view."""
    return (
        f"DELETE FROM {_quoted(table)}",  # noqa: S608  a quoted name of ours
        f"DELETE FROM {_quoted(facts_name(table))}",  # noqa: S608
    )


def upsert_fact(table: str) -> str:
    """Return the statement that takes a fact unless its entity has that one or a newer one.

    Parameters: entity key, event time, known time, digest of the values.
    """
    name = _quoted(facts_name(table))
    return f"""
        INSERT INTO {name} (entity_key, event_us, known_us, digest) VALUES (?, ?, ?, ?)
        ON CONFLICT (entity_key) DO UPDATE SET
            event_us = excluded.event_us, known_us = excluded.known_us, digest = excluded.digest
        WHERE (excluded.event_us, excluded.known_us) > (event_us, known_us)
            OR (excluded.event_us = event_us AND excluded.known_us = known_us
                AND excluded.digest <> digest)
    """  # noqa: S608


def select_fact(table: str) -> str:
    """Return the statement that finds an entity's fact: event time, known time, digest."""
    name = _quoted(facts_name(table))
    return f"SELECT event_us, known_us, digest FROM {name} WHERE entity_key = ?"  # noqa: S608


def upsert_values(table: str, features: Sequence[str]) -> str:
    """Return the one statement that writes all features of an entity.

    Parameters: entity key, event time and known time in Feast's seconds, then value and text of
    each feature.
    """
    rows = ", ".join(
        f"(?1, {_text(name)}, ?{4 + 2 * i}, ?{5 + 2 * i}, ?2, ?3)"
        for i, name in enumerate(features)
    )
    return f"""
        INSERT INTO {_quoted(table)}
            (entity_key, feature_name, value, value_text, event_ts, created_ts) VALUES {rows}
        ON CONFLICT (entity_key, feature_name) DO UPDATE SET
            value = excluded.value, value_text = excluded.value_text,
            event_ts = excluded.event_ts, created_ts = excluded.created_ts
    """  # noqa: S608


def select_entity(table: str) -> str:
    """Return the one statement, so one snapshot, that reads an entity: its fact, its features.

    Rows are (feature name, value, event time, known time): times and no name for the fact, name
    and value for a feature.
    """
    return f"""
        SELECT NULL, NULL, event_us, known_us FROM {_quoted(facts_name(table))}
        WHERE entity_key = ?1
        UNION ALL
        SELECT feature_name, value, NULL, NULL FROM {_quoted(table)} WHERE entity_key = ?1
    """  # noqa: S608


def store_error(error: sqlite3.Error, path: Path, *, waited: float) -> StoreError:
    """Return what an error of SQLite means for the online store, with a remedy.

    Args:
        error: What SQLite said.
        path: The file.
        waited: How long a lock was waited for, in seconds.
    """
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # the rest is detail
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"The online store {path} was locked by another writer for more than {waited:g} s.",
            remedy="Let the other one finish, then try again; nothing of this was written.",
        )
    if code == sqlite3.SQLITE_FULL:
        return StoreError(
            f"The online store {path} could not be written: there is no room left.",
            remedy="Make room, then try again; nothing of this was written.",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DamagedArtifactError(
            f"The online store {path} is damaged: {error}.",
            remedy="Stop who uses it, remove the file and those named like it with -wal and -shm, "
            "and materialize the views again.",
        )
    return StoreError(
        f"The online store {path} cannot be used: {error}.",
        remedy="Check the folder and who may read and write there, then try again.",
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
