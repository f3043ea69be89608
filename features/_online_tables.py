"""This module holds the tables of the online store: their names and the statements on them.

A version of a view has two tables in a space. `<space>_<view>`, for the first, or
`<space>_<view>_v<N>` is the one that Feast's SQLite online store makes: a row for each entity and
feature, times in whole seconds. `<space>_<view>.facts` says for each entity which fact of the view
its values are, in microseconds, and from when on they no longer hold, where that is known: a name
that no view can have. `headrace.views` says whose each table is, and whether it is whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import DamagedArtifactError, StoreError

Execute = Callable[..., Any]  # as `sqlite3.Connection.execute`
LIVE = "headrace"  # the space that live decisions read, and the Feast project of our registry

OWNER = 'SELECT space, view FROM "headrace.views" WHERE name = ?'
OWNED = 'SELECT name FROM "headrace.views" WHERE space = ? ORDER BY name'
IS_THERE = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
_STATE = 'SELECT space, view, number, whole FROM "headrace.views" WHERE name = ?'


@dataclass(frozen=True, slots=True)
class State:
    """This is whose a table is, and how it is.

    Args:
        space: The online space.
        view: Name of the view.
        number: Number of the view's version.
        whole: Whether all rows of that version are in it, so that it may be read.
    """

    space: str
    view: str
    number: int
    whole: bool


def state_of(execute: Execute, table: str) -> State | None:
    """Return whose a table is, None when nobody of ours claimed it.

    Args:
        execute: Runs a statement on the file.
        table: Name of the table with the values.

    Raises:
        sqlite3.OperationalError: There is no catalogue in the file, or it cannot be read.
    """
    try:
        found = execute(_STATE, (table,)).fetchone()
    except sqlite3.OperationalError as error:
        if "no such column" not in str(error):
            raise
        # a file of before versions: all in it are the first ones, and whole
        found = execute(OWNER, (table,)).fetchone()
        found = None if found is None else (*found, 0, True)
    if found is None:
        return None
    space, view, number, whole = found
    return State(space, view, number, bool(whole))


def table_name(space: str, view: str, number: int = 0) -> str:
    """Return the name of the table that Feast reads for a view in the project `space`."""
    return f"{space}_{view}" if number == 0 else f"{space}_{view}_v{number}"


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
        "event_us INTEGER NOT NULL, known_us INTEGER NOT NULL, digest BLOB NOT NULL, "
        "until_us INTEGER) WITHOUT ROWID"
    )


def add_until(table: str) -> str:
    """Return the statement that gives the facts of an older file the column that they lack."""
    return f"ALTER TABLE {_quoted(facts_name(table))} ADD COLUMN until_us INTEGER"


def columns_of(table: str) -> str:
    """Return the statement that lists the columns of a table; the second of each row is a name."""
    return f"PRAGMA table_info({_quoted(table)})"


def select_times(table: str) -> str:
    """Return the statement that finds each entity's times in a table that Feast's store wrote.

    Rows are (entity key, event time, created time), in Feast's seconds; created may be null.
    """
    return (
        f"SELECT entity_key, max(event_ts), max(created_ts) FROM {_quoted(table)} "  # noqa: S608
        "WHERE event_ts IS NOT NULL GROUP BY entity_key"
    )


def drop_facts(table: str) -> str:
    """Return the statement that forgets the facts of a view whose values are gone."""
    return f"DROP TABLE IF EXISTS {_quoted(facts_name(table))}"


def drop_values(table: str) -> str:
    """Return the statement that drops the table of a version of a view."""
    return f"DROP TABLE IF EXISTS {_quoted(table)}"


def delete_all(table: str) -> tuple[str, str]:
    """Return the statements that empty both tables of a view."""
    return (
        f"DELETE FROM {_quoted(table)}",  # noqa: S608  a quoted name of ours
        f"DELETE FROM {_quoted(facts_name(table))}",  # noqa: S608
    )


def upsert_fact(table: str) -> str:
    """Return the statement that takes a fact unless its entity has that one or a newer one.

    Until when a fact holds is not known as it is taken; `set_until` says it.
    Parameters: entity key, event time, known time, digest of the values.
    """
    name = _quoted(facts_name(table))
    return f"""
        INSERT INTO {name} (entity_key, event_us, known_us, digest) VALUES (?, ?, ?, ?)
        ON CONFLICT (entity_key) DO UPDATE SET
            event_us = excluded.event_us, known_us = excluded.known_us, digest = excluded.digest,
            until_us = NULL
        WHERE (excluded.event_us, excluded.known_us) > (event_us, known_us)
            OR (excluded.event_us = event_us AND excluded.known_us = known_us
                AND excluded.digest <> digest)
    """  # noqa: S608


def set_until(table: str) -> str:
    """Return the statement that says from when on what an entity has no longer holds.

    Parameters: the moment or null, the entity key, and a known time: what is known later stays.
    """
    return (
        f"UPDATE {_quoted(facts_name(table))} SET until_us = ?1 "  # noqa: S608
        "WHERE entity_key = ?2 AND known_us <= ?3 AND until_us IS NOT ?1"
    )


def forget_until(table: str) -> str:
    """Return the statement that lets facts hold on whose moment has passed.

    Parameter: the moment up to which all that is known is in the table.
    """
    return (
        f"UPDATE {_quoted(facts_name(table))} SET until_us = NULL "  # noqa: S608
        "WHERE until_us <= ?1 AND known_us <= ?1"
    )


def select_lapsed(table: str, count: int) -> str:
    """Return the statement that finds which of so many entities have what no longer holds.

    Parameters: the moment, then the entity keys.
    """
    return (
        f"SELECT entity_key FROM {_quoted(facts_name(table))} "  # noqa: S608
        f"WHERE until_us <= ? AND entity_key IN ({', '.join('?' * count)})"
    )


def has_until(execute: Execute, table: str) -> bool:
    """Return whether a view's facts say until when they hold; an older file lacks it."""
    return any(row[1] == "until_us" for row in execute(columns_of(facts_name(table))).fetchall())


def select_fact(table: str) -> str:
    """Return the statement that finds an entity's fact: event time, known time, digest."""
    name = _quoted(facts_name(table))
    return f"SELECT event_us, known_us, digest FROM {name} WHERE entity_key = ?"  # noqa: S608


def newest_key(table: str) -> str:
    """Return the statement that finds the largest entity key of a view, null for none."""
    return f"SELECT max(entity_key) FROM {_quoted(facts_name(table))}"  # noqa: S608


def count_entities(table: str) -> str:
    """Return the statement that counts the entities of a view."""
    return f"SELECT count(*) FROM {_quoted(facts_name(table))}"  # noqa: S608


def select_facts(table: str, count: int) -> str:
    """Return the statement that finds the facts of so many entities, as `select_fact` with key."""
    name, marks = _quoted(facts_name(table)), ", ".join("?" * count)
    return (
        f"SELECT entity_key, event_us, known_us, digest FROM {name} "  # noqa: S608
        f"WHERE entity_key IN ({marks})"
    )


def select_values(table: str, count: int, features: Sequence[str] | None) -> str:
    """Return the statement that reads features of so many entities, of Feast's table alone.

    Parameters: the entity keys, then the names of the features. Rows are (entity key, feature name,
    value, event time).
    """
    named = "" if features is None else f" AND feature_name IN ({', '.join('?' * len(features))})"
    return (
        f"SELECT entity_key, feature_name, value, event_ts FROM {_quoted(table)} "  # noqa: S608
        f"WHERE entity_key IN ({', '.join('?' * count)}){named}"
    )


def delete_other_features(table: str, features: Sequence[str]) -> str:
    """Return the statement that removes an entity's other features. Parameter: entity key."""
    kept = ", ".join(_text(name) for name in features)
    return (
        f"DELETE FROM {_quoted(table)} "  # noqa: S608
        f"WHERE entity_key = ? AND feature_name NOT IN ({kept})"
    )


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
