"""This module is the door to what is recorded of clients: who may ask which endpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import Connection, Row, func, insert, select, update

from headrace.clock import current_clock
from headrace.errors import ParameterError, UnknownNameError, did_you_mean
from headrace.lineage.database import Database
from headrace.settings import settings
from serving._endpoint_tables import client as _table
from serving.access_keys import NewKey, Verb, make_key

VERBS: tuple[Verb, ...] = get_args(Verb)
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_PATTERN = re.compile(r"[a-z0-9_*]{1,64}")
_REVISION = select(
    func.count(), func.count(_table.c.revoked_at), func.max(_table.c.made_at)
).select_from(_table)


@dataclass(frozen=True, kw_only=True)
class ApiClient:
    """This is who may ask endpoints.

    Args:
        name: What it is called; it stands in the log of every decision that it asked for.
        key_id: The part of its key that may be shown.
        digest: What is kept of its secret.
        endpoints: Names of endpoints that it may ask; `*` stands for any letters.
        verbs: What it may do there: "decide", tell "outcomes", "read" what is shown of them.
        per_second: How many requests a second it may send to an endpoint; None for any number.
        burst: How many of them at once, after a pause.
        made_by: Who gave it the key.
        made_at: When.
        expires_at: From when on the key is none; None for never.
        revoked_at: Since when it is none; None while it is one.
        revoked_by: Who took it away.
    """

    name: str
    key_id: str
    digest: str
    endpoints: tuple[str, ...]
    verbs: tuple[Verb, ...]
    per_second: float | None
    burst: int | None
    made_by: str
    made_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    def is_good(self, now: datetime) -> bool:
        """Return whether its key is one at a moment."""
        expired = self.expires_at is not None and self.expires_at <= now
        return self.revoked_at is None and not expired

    def shown(self) -> dict[str, Any]:
        """Return what people may see of it."""
        return {name: value for name, value in vars(self).items() if name != "digest"}


class ApiClients:
    """These are the clients of one installation, safe among threads and processes.

    Args:
        database: Where they are recorded; the shared database of the settings by default.
    """

    def __init__(self, database: Database | None = None) -> None:
        self._database = database or Database(settings().database_url)

    def all(self) -> list[ApiClient]:
        """Return all clients by name, those whose key was taken away too."""
        with self._database.reading() as connection:
            rows = connection.execute(select(_table).order_by(_table.c.name)).all()
        return [_client(row) for row in rows]

    def revision(self) -> tuple[Any, ...]:
        """Return what differs after every change, in one cheap query."""
        with self._database.reading() as connection:
            return tuple(connection.execute(_REVISION).one())

    def add(
        self,
        name: str,
        *,
        endpoints: Sequence[str],
        verbs: Sequence[str] = VERBS,
        per_second: float | None = None,
        burst: int | None = None,
        expires_at: datetime | None = None,
    ) -> NewKey:
        """Make a client and its key, which is returned here and never again.

        Args:
            name: What it is called: small letters, digits, `_`, `.` and `-`, a letter first.
            endpoints: Names of endpoints; `*` stands for any letters.
            verbs: What it may do there.
            per_second: How many requests a second it may send; None for any number.
            burst: How many of them at once; twice as many as a second allows by default.
            expires_at: From when on the key is none, aware.

        Raises:
            ParameterError: An argument is not allowed, or there is such a client.
        """
        _require(name, endpoints, verbs, per_second=per_second, burst=burst, expires_at=expires_at)
        if per_second is not None and burst is None:
            burst = max(1, round(2 * per_second))
        key = make_key()
        with self._database.writing() as connection:
            if _row(connection, name) is not None:
                raise ParameterError(
                    f"There is a client '{name}' already.",
                    remedy=f"Choose another name, or give it a new key: `headrace clients rotate "
                    f"{name}`.",
                )
            connection.execute(
                insert(_table).values(
                    name=name,
                    key_id=key.id,
                    digest=key.digest,
                    endpoints=list(endpoints),
                    verbs=list(dict.fromkeys(verbs)),
                    per_second=per_second,
                    burst=burst,
                    made_by=settings().actor,
                    made_at=current_clock().now(),
                    expires_at=expires_at,
                )
            )
        return key

    def rotate(self, name: str) -> NewKey:
        """Give a client a new key; the old one is none from now on, and a revoked one is back.

        Raises:
            UnknownNameError: There is no such client.
        """
        key = make_key()
        self._change(
            name,
            key_id=key.id,
            digest=key.digest,
            made_by=settings().actor,
            made_at=current_clock().now(),
            revoked_at=None,
            revoked_by=None,
        )
        return key

    def revoke(self, name: str) -> None:
        """Take a client's key away; doing it twice changes nothing.

        Raises:
            UnknownNameError: There is no such client.
        """
        with self._database.reading() as connection:
            known = _row(connection, name)
        if known is None or known.revoked_at is None:
            self._change(name, revoked_at=current_clock().now(), revoked_by=settings().actor)

    def _change(self, name: str, **values: Any) -> None:
        with self._database.writing() as connection:
            if _row(connection, name) is None:
                known = list(connection.scalars(select(_table.c.name)))
                raise UnknownNameError.of(
                    "client", name, known, remedy="List the clients with `headrace clients list`."
                )
            connection.execute(update(_table).where(_table.c.name == name).values(**values))


def _row(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(_table).where(_table.c.name == name)).one_or_none()


def _client(row: Row[Any]) -> ApiClient:
    values: dict[str, Any] = dict(row._mapping)
    return ApiClient(**values | {key: tuple(values[key]) for key in ("endpoints", "verbs")})


def _require(
    name: str,
    endpoints: Sequence[str],
    verbs: Sequence[str],
    *,
    per_second: float | None,
    burst: int | None,
    expires_at: datetime | None,
) -> None:
    if not _NAME.fullmatch(name):
        raise ParameterError(
            f"A client cannot be named {name!r}.",
            remedy="Begin with a small letter and go on with small letters, digits, '_', '.' or "
            "'-', at most 64.",
        )
    wrong = [each for each in endpoints if not _PATTERN.fullmatch(each)]
    if wrong or not endpoints:
        raise ParameterError(
            f"The client '{name}' was given the endpoints {', '.join(map(repr, endpoints))}."
            if endpoints
            else f"The client '{name}' was given no endpoint.",
            remedy="Name endpoints, such as 'flight_delay', or 'flight_*' for all of that name.",
        )
    for verb in verbs:
        if verb not in VERBS:
            raise ParameterError(
                f"The client '{name}' was given the right to {verb!r}.{did_you_mean(verb, VERBS)}",
                remedy="Give 'decide', 'outcomes' or 'read'.",
            )
    if not verbs:
        raise ParameterError(
            f"The client '{name}' was given no right.",
            remedy="Give 'decide', 'outcomes' or 'read'.",
        )
    for count, words in ((per_second, "requests a second"), (burst, "requests at once")):
        if count is not None and count <= 0:
            raise ParameterError(
                f"The client '{name}' cannot send {count:g} {words}.",
                remedy="Give more than 0, or leave it out.",
            )
    if burst is not None and per_second is None:
        raise ParameterError(
            f"The client '{name}' was given {burst} requests at once without a rate.",
            remedy="Say how many a second, too.",
        )
    if expires_at is not None and expires_at <= current_clock().now():
        raise ParameterError(
            f"The key of client '{name}' would have expired at {expires_at:%Y-%m-%d %H:%M} UTC.",
            remedy="Give a moment in the future.",
        )
