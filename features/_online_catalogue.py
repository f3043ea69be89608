"""This module keeps the catalogue of the online store: whose each table is, how far it is filled.

`headrace.views` says for each table of values whose it is and whether it is whole, so that it may
be read. `headrace.materialized` says until which known time it was materialized, and what work on
it is under way, so that a second run goes on where a killed one stopped.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass

from features import _online_tables as tables
from features._online_tables import Execute, State, state_of
from features._online_times import from_feast_seconds
from headrace.errors import DefinitionError

_CREATE = """
    CREATE TABLE IF NOT EXISTS "headrace.views" (
        name TEXT PRIMARY KEY, space TEXT NOT NULL, view TEXT NOT NULL,
        number INTEGER NOT NULL DEFAULT 0, whole INTEGER NOT NULL DEFAULT 1
    ) WITHOUT ROWID
"""
_CREATE_MATERIALIZED = """
    CREATE TABLE IF NOT EXISTS "headrace.materialized" (
        name TEXT PRIMARY KEY, until_us INTEGER, past TEXT, at_us INTEGER,
        entities INTEGER NOT NULL DEFAULT 0, work TEXT
    ) WITHOUT ROWID
"""
_FILLED = 'SELECT until_us, past, at_us, entities, work FROM "headrace.materialized" WHERE name = ?'
_COLUMNS = {"number": "INTEGER NOT NULL DEFAULT 0", "whole": "INTEGER NOT NULL DEFAULT 1"}
_NEEDED = ("entity_key", "feature_name", "value", "value_text", "event_ts", "created_ts")


@dataclass(frozen=True, kw_only=True)
class Work:
    """This is a materialization under way.

    Args:
        since_us: Rows known later than this moment are written; None for all.
        until_us: And known no later than this one.
        rows: Fingerprint of those rows.
        last: Key of the last entity that was written, None before the first.
        taken: How many of the rows were looked at so far.
        entities: Of how many entities.
        written: How many entities were written so far.
        older: For how many the store had a newer event.
    """

    since_us: int | None
    until_us: int
    rows: str
    last: list[str | int] | None = None
    taken: int = 0
    entities: int = 0
    written: int = 0
    older: int = 0


@dataclass(frozen=True, kw_only=True)
class Filled:
    """This is how far a table is filled.

    Args:
        until_us: All rows known by then are in it; None before the first materialization.
        past: Fingerprint of those rows.
        at_us: When that was done.
        entities: Of how many entities they are.
        work: What is under way, None for nothing.
    """

    until_us: int | None = None
    past: str | None = None
    at_us: int | None = None
    entities: int = 0
    work: Work | None = None


def prepare(execute: Execute) -> None:
    """Make the catalogue, and give that of an older file the columns that it lacks."""
    execute(_CREATE)
    execute(_CREATE_MATERIALIZED)
    there = {row[1] for row in execute('PRAGMA table_info("headrace.views")').fetchall()}
    for column, kind in _COLUMNS.items():
        if column not in there:
            execute(f'ALTER TABLE "headrace.views" ADD COLUMN {column} {kind}')


def claim(execute: Execute, space: str, view: str, number: int, *, whole: bool | None) -> State:
    """Make the tables of a version of a view, unless they are there, and say that they are its.

    Values that Feast's own store wrote are taken over with the times that it kept.

    Args:
        execute: Runs a statement, in a transaction.
        space: The online space.
        view: Name of the view.
        number: Number of its version.
        whole: Whether a table that is new may be read at once; None lets it, if no earlier version
            of the view is there, which readers have to go on with until this one is filled.

    Raises:
        DefinitionError: The table is another view's, or none of Feast's.
    """
    prepare(execute)
    table = tables.table_name(space, view, number)
    state = state_of(execute, table)
    if state is not None and (state.space, state.view, state.number) != (space, view, number):
        raise _shared(table, space, view, state)
    there = bool(execute(tables.IS_THERE, (table,)).fetchone()[0])
    if state is not None and there:
        if not tables.has_until(execute, table):
            execute(tables.add_until(table))
        return state
    # Feast has dropped the values, or has made them, without any facts
    forget(execute, table)
    execute(tables.drop_facts(table))
    execute(tables.create_values(table))
    execute(tables.create_facts(table))
    taken_over = there and _take_over(execute, table)
    if whole is None:
        whole = not execute(
            'SELECT count(*) FROM "headrace.views" WHERE space = ? AND view = ? AND number < ?',
            (space, view, number),
        ).fetchone()[0]
    state = State(space, view, number, taken_over or whole)
    execute(
        'INSERT INTO "headrace.views" (name, space, view, number, whole) VALUES (?, ?, ?, ?, ?)',
        (table, space, view, number, state.whole),
    )
    return state


def forget(execute: Execute, table: str) -> None:
    """Take a table out of the catalogue."""
    execute('DELETE FROM "headrace.views" WHERE name = ?', (table,))
    execute('DELETE FROM "headrace.materialized" WHERE name = ?', (table,))


def mark_whole(execute: Execute, table: str) -> None:
    """Let readers read a table from now on."""
    execute('UPDATE "headrace.views" SET whole = 1 WHERE name = ?', (table,))


def filled(execute: Execute, table: str) -> Filled:
    """Return how far a table is filled; a file of before versions does not say."""
    try:
        found = execute(_FILLED, (table,)).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        found = None
    if found is None:
        return Filled()
    until, past, at, entities, work = found
    under_way = None if work is None else Work(**json.loads(work))
    return Filled(until_us=until, past=past, at_us=at, entities=entities, work=under_way)


def set_filled(execute: Execute, table: str, now: Filled) -> None:
    """Say how far a table is filled."""
    work = None if now.work is None else json.dumps(asdict(now.work))
    execute(
        'INSERT OR REPLACE INTO "headrace.materialized" '
        "(name, until_us, past, at_us, entities, work) VALUES (?, ?, ?, ?, ?, ?)",
        (table, now.until_us, now.past, now.at_us, now.entities, work),
    )


def owned(execute: Execute, space: str) -> list[State]:
    """Return the versions of views that a space has, by view and number.

    A file without a catalogue has none.
    """
    try:
        names = execute(tables.OWNED, (space,)).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return []
    states = [state_of(execute, name) for (name,) in names]
    return sorted((s for s in states if s is not None), key=lambda s: (s.view, s.number))


def _take_over(execute: Execute, table: str) -> bool:
    """Give the values that Feast's own store wrote their facts; return whether there are any."""
    columns = {row[1] for row in execute(tables.columns_of(table)).fetchall()}
    lacking = [name for name in _NEEDED if name not in columns]
    if lacking:
        raise DefinitionError(
            f"The online store has a table '{table}' that is none of Feast's: it has no column "
            f"'{lacking[0]}'.",
            remedy="Rename or drop that table, then try again.",
        )
    insert, any_there = tables.upsert_fact(table), False
    for key, event, created in execute(tables.select_times(table)):
        any_there = True
        event_us = from_feast_seconds(event)
        known_us = event_us if created is None else max(event_us, from_feast_seconds(created))
        execute(insert, (key, event_us, known_us, b""))
    return any_there


def _shared(table: str, space: str, view: str, other: State) -> DefinitionError:
    return DefinitionError(
        f"View '{view}' in the online space '{space}' would share its table '{table}' with view "
        f"'{other.view}' in the space '{other.space}'.",
        remedy="Rename one of the views."
        if other.space == space
        else "Use another name for the space.",
    )
