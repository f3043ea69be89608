"""This module signs raters in: one at a time with a token, so that a vote has one author."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from headrace.clock import current_clock
from headrace.labels.refusals import Refused, shown_time
from headrace.labels.tables import label_rater, label_session
from headrace.labels.tokens import digest_of, is_secret, make_secret, parts_of

IN_USE = timedelta(minutes=10)
"""Whoever was seen so recently is still there."""

_ENDS_AFTER = timedelta(hours=12)  # without being seen
_SEEN_EVERY = timedelta(minutes=1)  # a write at most so often: every request asks


@dataclass(frozen=True, kw_only=True)
class Session:
    """This is a rater who is signed in.

    Attributes:
        rater: Who.
        adjudicates: Whether they may settle ties.
        cookie: What the browser keeps; here it is known by a hash alone.
        csrf: What every form of this session sends.
    """

    rater: str
    adjudicates: bool
    cookie: str
    csrf: str


def sign_in(connection: Connection, token: str, *, takes_over: bool) -> Session:
    """Begin a session and end every other one of the rater.

    Args:
        connection: A writing one.
        token: What the rater was given.
        takes_over: Whether to end a session that is in use.

    Raises:
        Refused: It is no token, it was taken away, or somebody is using it.
    """
    parts = parts_of(token)
    identity, secret = parts or ("", "")
    query = select(label_rater).where(label_rater.c.token_id == identity).with_for_update()
    rater = connection.execute(query).one_or_none()
    if not is_secret(secret, None if rater is None else rater.digest) or rater is None:
        raise Refused(
            "This is no token of a rater.",
            remedy="Paste the whole token, from 'hl_' on, as you were given it.",
            reason="wrong",
        )
    if rater.revoked_at is not None:
        raise Refused(
            f"The token of '{rater.name}' was taken away at {shown_time(rater.revoked_at)}.",
            remedy="Ask whoever gave it to you for a new one.",
            reason="revoked",
        )
    now = current_clock().now()
    live = _latest(connection, rater.name)
    if live is not None and now - live.seen_at < IN_USE and not takes_over:
        raise Refused(
            f"'{rater.name}' is signed in elsewhere since {shown_time(live.began_at)}, and was "
            f"there at {shown_time(live.seen_at)}.",
            remedy="Each rater needs a token of their own. If it was you, take over: the other "
            "place is signed out, and no vote is lost.",
            reason="in_use",
        )
    end_sessions(connection, rater.name)
    cookie, csrf = make_secret(), make_secret()
    connection.execute(
        insert(label_session).values(
            digest=digest_of(cookie), rater=rater.name, csrf=csrf, began_at=now, seen_at=now
        )
    )
    return Session(rater=rater.name, adjudicates=rater.adjudicates, cookie=cookie, csrf=csrf)


def session_row(connection: Connection, cookie: str) -> Row[Any] | None:
    """Return a session that has not ended, with its rater, by its cookie."""
    now = current_clock().now()
    query = (
        select(label_session, label_rater.c.adjudicates)
        .select_from(label_session.join(label_rater, label_rater.c.name == label_session.c.rater))
        .where(label_session.c.digest == digest_of(cookie), label_session.c.ended_at.is_(None))
        .where(label_session.c.seen_at > now - _ENDS_AFTER, label_rater.c.revoked_at.is_(None))
    )
    return connection.execute(query).one_or_none()


def is_to_be_seen(row: Row[Any]) -> bool:
    """Return whether it is time to write down that a session's rater was seen."""
    return bool(current_clock().now() - row.seen_at >= _SEEN_EVERY)


def write_seen(connection: Connection, digest: str) -> None:
    """Write down that the rater of a session was seen, unless it was ended meanwhile."""
    mine = (label_session.c.digest == digest) & label_session.c.ended_at.is_(None)
    connection.execute(update(label_session).where(mine).values(seen_at=current_clock().now()))


def end_sessions(connection: Connection, rater: str) -> None:
    """Sign a rater out everywhere."""
    mine = (label_session.c.rater == rater) & label_session.c.ended_at.is_(None)
    connection.execute(update(label_session).where(mine).values(ended_at=current_clock().now()))


def end_session(connection: Connection, cookie: str) -> None:
    """Sign out here; a cookie of no session changes nothing."""
    mine = (label_session.c.digest == digest_of(cookie)) & label_session.c.ended_at.is_(None)
    connection.execute(update(label_session).where(mine).values(ended_at=current_clock().now()))


def _latest(connection: Connection, rater: str) -> Row[Any] | None:
    query = (
        select(label_session)
        .where(label_session.c.rater == rater, label_session.c.ended_at.is_(None))
        .order_by(label_session.c.seen_at.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()
