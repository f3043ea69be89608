"""This module says which versions of views are online and whole, and removes old ones.

A version of a view has an online table of its own. A new one is filled beside those before it and
read once it is whole; an endpoint stays with the version it was deployed with. So a version is
removed on purpose, when nobody uses it any more.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from features import _online_catalogue as catalogue
from features import _online_tables as tables
from features._online_file import OnlineFile
from features.online import online_file
from headrace.clock import from_us
from headrace.errors import DefinitionError, UnknownNameError


@dataclass(frozen=True, kw_only=True)
class OnlineVersion:
    """This is a version of a view in the online store.

    Args:
        view: Name of the view.
        number: Number of its version, 0 for the first.
        space: The online space.
        whole: Whether all its rows are there, so that it is read.
        until: All rows known by then are there; None where rows were pushed only.
        materialized_at: When that was done; None where rows were pushed only.
        entities: Of how many entities they are.
        under_way: Whether a materialization is under way, or was stopped.
    """

    view: str
    number: int
    space: str
    whole: bool
    until: datetime | None
    materialized_at: datetime | None
    entities: int
    under_way: bool


def materialized(
    view: str, number: int | None = None, space: str = tables.LIVE
) -> OnlineVersion | None:
    """Return a version of a view that may be read online, None when it may not.

    Args:
        view: Name of the view.
        number: Number of the version; None for the newest that is whole.
        space: The online space.

    Raises:
        StoreError: The online store cannot be read.
    """
    whole = [each for each in versions_online(view, space) if each.whole]
    return next((each for each in reversed(whole) if number in (None, each.number)), None)


def versions_online(view: str | None = None, space: str = tables.LIVE) -> tuple[OnlineVersion, ...]:
    """Return the versions of views in the online store, by view and number, whole or not.

    Args:
        view: Name of a view; None for all.
        space: The online space.

    Raises:
        StoreError: The online store cannot be read.
    """
    path = online_file()
    if not path.exists():
        return ()
    with _reading(path) as connection:
        execute = connection.execute
        states = [s for s in catalogue.owned(execute, space) if view in (None, s.view)]
        return tuple(_version(execute, state) for state in states)


def forget_version(view: str, number: int, space: str = tables.LIVE) -> None:
    """Remove a version of a view from the online store; it is not found any more.

    Args:
        view: Name of the view.
        number: Number of the version.
        space: The online space.

    Raises:
        UnknownNameError: That version is not online.
        DefinitionError: It is the newest one that is whole, which is read.
        StoreError: The online store cannot be written.
    """
    versions = versions_online(view, space)
    if number not in [each.number for each in versions]:
        online = ", ".join(f"v{each.number}" for each in versions) or "none"
        raise UnknownNameError(
            f"Version v{number} of view '{view}' is not in the online space '{space}'; there is "
            f"{online}.",
            remedy="Name a version that is online.",
        )
    newest = materialized(view, space=space)
    if newest is not None and newest.number == number:
        raise DefinitionError(
            f"Version v{number} of view '{view}' is the newest that is whole in the online space "
            f"'{space}', so that it is read.",
            remedy="Materialize a newer version first.",
        )
    name = tables.table_name(space, view, number)
    file = OnlineFile(online_file(), wait_seconds=5.0)
    with contextlib.closing(file), file.transaction():
        file.execute(tables.drop_values(name))
        file.execute(tables.drop_facts(name))
        catalogue.forget(file.execute, name)


def _version(execute: tables.Execute, state: tables.State) -> OnlineVersion:
    filled = catalogue.filled(execute, tables.table_name(state.space, state.view, state.number))
    return OnlineVersion(
        view=state.view,
        number=state.number,
        space=state.space,
        whole=state.whole,
        until=None if filled.until_us is None else from_us(filled.until_us),
        materialized_at=None if filled.at_us is None else from_us(filled.at_us),
        entities=filled.entities,
        under_way=filled.work is not None,
    )


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            yield connection
    except sqlite3.Error as error:
        raise tables.store_error(error, path, waited=5.0) from error
