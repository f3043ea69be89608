"""This module is the door to raters: who may label, with which token, and who is signed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from headrace.clock import current_clock
from headrace.errors import ParameterError, UnknownNameError
from headrace.labels import sessions, standstill
from headrace.labels.refusals import Refused
from headrace.labels.sessions import Session
from headrace.labels.tables import label_rater
from headrace.labels.tokens import make_token
from headrace.lineage.database import Database
from headrace.settings import settings

__all__ = ["Rater", "Raters", "Refused", "Session"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Rater:
    """This is who may label.

    Attributes:
        name: What they are called; it stands beside each of their votes.
        token_id: The part of their token that may be shown.
        adjudicates: Whether they may settle ties.
        created_at: When they were given the token.
        actor: Who gave it to them.
        revoked_at: Since when it is none; None while it is one.
    """

    name: str
    token_id: str
    adjudicates: bool
    created_at: datetime
    actor: str
    revoked_at: datetime | None

    def shown(self) -> dict[str, Any]:
        """Return what people may see of it."""
        return dict(vars(self))


class Raters:
    """These are the raters of one installation, safe among threads and processes.

    Args:
        database: Where they are recorded; the shared database of the settings by default.
    """

    def __init__(self, database: Database | None = None) -> None:
        self._database = database or Database(settings().database_url)

    def list(self) -> list[Rater]:
        """Return all raters by name, those whose token was taken away too."""
        columns = [c for c in label_rater.c if c.name != "digest"]
        with self._database.reading() as connection:
            rows = connection.execute(select(*columns).order_by(label_rater.c.name)).all()
        return [Rater(**row._mapping) for row in rows]

    def add(self, name: str, *, adjudicates: bool = False, actor: str | None = None) -> str:
        """Make a rater and return their token, here and never again.

        Args:
            name: What they are called: letters, digits, `_`, `.`, `@`, `+` and `-`.
            adjudicates: Whether they may settle ties.
            actor: Who does it; that of the settings by default.

        Raises:
            ParameterError: There is such a rater, or nobody can have such a name.
        """
        if not _NAME.fullmatch(name):
            raise ParameterError(
                f"A rater cannot be named {name[:80]!r}.",
                remedy="Begin with a letter or digit and go on with these, '_', '.', '@', '+' or "
                "'-', at most 64.",
            )
        token = make_token()
        with self._database.writing(durable=True) as connection:
            if _row(connection, name) is not None:
                raise ParameterError(
                    f"There is a rater '{name}' already.",
                    remedy="Choose another name, or give them a new token: "
                    f"`headrace label raters rotate {name}`.",
                )
            connection.execute(
                insert(label_rater).values(
                    name=name,
                    token_id=token.id,
                    digest=token.digest,
                    adjudicates=adjudicates,
                    created_at=current_clock().now(),
                    actor=actor or settings().actor,
                )
            )
            standstill.settle_all(connection)
        return token.text

    def rotate(self, name: str, *, actor: str | None = None) -> str:
        """Give a rater a new token and return it; the old one is none, a revoked rater is back.

        Whoever is signed in with the old one is signed out.

        Raises:
            UnknownNameError: There is no such rater.
        """
        token = make_token()
        with self._database.writing(durable=True) as connection:
            self._change(
                connection,
                name,
                token_id=token.id,
                digest=token.digest,
                created_at=current_clock().now(),
                actor=actor or settings().actor,
                revoked_at=None,
            )
            sessions.end_sessions(connection, name)
            standstill.settle_all(connection)
        return token.text

    def revoke(self, name: str) -> None:
        """Take a rater's token away; what they voted stays, what they hold is free for others.

        What nobody else is left to answer is set aside, or told of; see `LabelQueue.stranded`.
        Doing it twice changes nothing.

        Raises:
            UnknownNameError: There is no such rater.
        """
        with self._database.writing(durable=True) as connection:
            known = _row(connection, name)
            if known is None or known.revoked_at is None:
                self._change(connection, name, revoked_at=current_clock().now())
            sessions.end_sessions(connection, name)
            standstill.settle_all(connection, leaves=name)

    def sign_in(self, token: str, *, takes_over: bool = False) -> Session:
        """Sign a rater in by their token, and out wherever else they are.

        Args:
            token: What they were given.
            takes_over: Whether to do so while they are seen elsewhere.

        Raises:
            Refused: It is no token, it was taken away, or somebody else is using it.
        """
        with self._database.writing(durable=True) as connection:
            return sessions.sign_in(connection, token, takes_over=takes_over)

    def session(self, cookie: str) -> Session | None:
        """Return who is signed in by a cookie, and note that they were seen; None for nobody."""
        with self._database.reading() as connection:
            row = sessions.session_row(connection, cookie)
        if row is None:
            return None
        if sessions.is_to_be_seen(row):
            with self._database.writing() as connection:
                sessions.write_seen(connection, row.digest)
        return Session(rater=row.rater, adjudicates=row.adjudicates, cookie=cookie, csrf=row.csrf)

    def sign_out(self, cookie: str) -> None:
        """End the session of a cookie; one that there is not changes nothing."""
        with self._database.writing(durable=True) as connection:
            sessions.end_session(connection, cookie)

    @staticmethod
    def _change(connection: Connection, name: str, **values: Any) -> None:
        if _row(connection, name) is None:
            known = connection.scalars(select(label_rater.c.name))
            raise UnknownNameError.of(
                "rater", name, known, remedy="List the raters with `headrace label raters list`."
            )
        mine = label_rater.c.name == name
        connection.execute(update(label_rater).where(mine).values(**values))


def _row(connection: Connection, name: str) -> Row[Any] | None:
    query = select(label_rater).where(label_rater.c.name == name).with_for_update()
    return connection.execute(query).one_or_none()
