"""This module keeps what people say about runs: tags, and answers to what a run asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, insert, select, update

from headrace.errors import ParameterError, UnknownNameError
from headrace.lineage import tables
from headrace.lineage.records import Approval

if TYPE_CHECKING:
    from headrace.lineage.database import Database

_tag, _approval = tables.run_tag, tables.approval


def set_tag(
    database: Database, run_id: str, name: str, value: str, *, actor: str, at: datetime
) -> None:
    """Give a run a tag, or the tag another value; the run must exist."""
    if not name or name != name.strip() or len(name) > 200:
        raise ParameterError(
            f"'{name}' is no name for a tag.",
            remedy="give it 1 to 200 characters without blanks at its ends.",
        )
    with database.writing() as connection:
        connection.execute(delete(_tag).where(_tag.c.run_id == run_id, _tag.c.name == name))
        row = {"run_id": run_id, "name": name, "value": value, "set_at": at, "actor": actor}
        connection.execute(insert(_tag).values(row))


def remove_tag(database: Database, run_id: str, name: str) -> None:
    """Take a tag from a run.

    Raises:
        UnknownNameError: The run has no such tag.
    """
    with database.writing() as connection:
        mine = _tag.c.run_id == run_id
        removed = connection.execute(delete(_tag).where(mine, _tag.c.name == name)).rowcount
        names = [] if removed else list(connection.scalars(select(_tag.c.name).where(mine)))
    if not removed:
        raise UnknownNameError.of(
            f"tag of the run {run_id[:12]} named", name, names, remedy="name a tag that it has."
        )


def tags_of(database: Database, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the tags of runs by name, sorted; a run without tags is left out."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    query = select(_tag.c.run_id, _tag.c.name, _tag.c.value).order_by(_tag.c.name)
    with database.reading() as connection:
        for start in range(0, len(run_ids), 500):  # databases limit how many values one query takes
            some = query.where(_tag.c.run_id.in_(run_ids[start : start + 500]))
            for run_id, name, value in connection.execute(some):
                found[run_id][name] = value
    return dict(found)


def ask(database: Database, question: Approval) -> Approval:
    """Record a question and return it with the answer that it has.

    An answer counts for what it was about: when that has changed, the question is a new one.
    """
    with database.writing() as connection:
        known = _question(connection, question.run_id, question.node)
        if known is not None and known.about == question.about:
            return known
        mine = (_approval.c.run_id == question.run_id) & (_approval.c.node == question.node)
        connection.execute(delete(_approval).where(mine))
        connection.execute(insert(_approval).values(asdict(question)))
    return question


def answer(database: Database, given: Approval) -> Approval:
    """Record the answer to a question; the same answer again changes nothing.

    Raises:
        UnknownNameError: The run asks no such question.
        ParameterError: It has another answer, or nobody is named as who answers.
    """
    if given.approved is None or not given.actor.strip():
        raise ParameterError(
            f"The answer at '{given.node}' names nobody who answers.",
            remedy="say who approves or refuses.",
        )
    with database.writing() as connection:
        known = _question(connection, given.run_id, given.node)
        if known is None:
            raise _nothing_asked(connection, given)
        if known.approved is not None:
            if known.approved is given.approved:
                return known
            verdict = "approved" if known.approved else "refused"
            asked = f"'{given.node}' of run:{given.run_id[:12]}"
            raise ParameterError(
                f"{asked} was {verdict} by {known.actor} already.",
                remedy="start a new run to be asked again.",
            )
        connection.execute(
            update(_approval)
            .where(_approval.c.run_id == given.run_id, _approval.c.node == given.node)
            .values(
                approved=given.approved,
                actor=given.actor.strip(),
                note=given.note,
                decided_at=given.decided_at,
                origin=given.origin,
            )
        )
        answered = _question(connection, given.run_id, given.node)
    if answered is None:
        raise _unasked(given, ())
    return answered


def approvals_of(database: Database, run_id: str) -> list[Approval]:
    """Return what a run asks or asked, in the order in which it did."""
    query = select(_approval).where(_approval.c.run_id == run_id)
    with database.reading() as connection:
        rows = connection.execute(query.order_by(_approval.c.asked_at, _approval.c.node))
        return [Approval(**row._mapping) for row in rows]


def _question(connection: Connection, run_id: str, node: str) -> Approval | None:
    mine = (_approval.c.run_id == run_id) & (_approval.c.node == node)
    row = connection.execute(select(_approval).where(mine)).one_or_none()
    return None if row is None else Approval(**row._mapping)


def _nothing_asked(connection: Connection, given: Approval) -> UnknownNameError:
    query = select(_approval.c.node).where(_approval.c.run_id == given.run_id)
    return _unasked(given, tuple(connection.scalars(query)))


def _unasked(given: Approval, nodes: Sequence[str]) -> UnknownNameError:
    return UnknownNameError.of(
        f"question of the run {given.run_id[:12]} at the node",
        given.node,
        nodes,
        remedy="name a node that asks, or none when there is only one.",
    )
