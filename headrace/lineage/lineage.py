"""This module records runs and invocations, and answers what was made when, by whom, from what."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Select,
    Table,
    bindparam,
    insert,
    select,
    update,
)

from headrace.clock import current_clock
from headrace.errors import ParameterError, UnknownNameError
from headrace.lineage import people, tables
from headrace.lineage.closure import closure
from headrace.lineage.database import Database
from headrace.lineage.graph import Direction, LineageGraph
from headrace.lineage.reading import read_invocations
from headrace.lineage.records import (
    Approval,
    ArtifactRecord,
    InvocationRecord,
    Look,
    RunRecord,
)

_run, _artifact = tables.run, tables.artifact
_invocation, _edge = tables.invocation, tables.edge


class Lineage:
    """This is what is remembered of every run, safe among threads and processes.

    Args:
        url_or_path: A path of an SQLite file, made when missing, or an SQLAlchemy URL.

    Raises:
        StoreError: The database cannot be opened.
    """

    def __init__(self, url_or_path: str | Path) -> None:
        self.database = Database(url_or_path)

    def close(self) -> None:
        """Close the pooled connections; the next use opens new ones."""
        self.database.close()

    # --- writing ---

    def start_run(self, run: RunRecord) -> None:
        """Record a run; the same id again changes nothing."""
        with self.database.writing() as connection:
            _insert_new(connection, _run, [asdict(run)])

    def finish_run(self, run_id: str, state: str, message: str, ended_at: datetime) -> None:
        """Record how a run ended.

        Raises:
            UnknownNameError: There is no such run.
        """
        self._update_run(run_id, state=state, message=message, ended_at=ended_at)

    def take_up_run(self, run_id: str, machine: dict[str, Any]) -> None:
        """Record that a run goes on in another process; its start and what is done stay.

        Args:
            run_id: The run.
            machine: What it runs on now, with what names the process.

        Raises:
            UnknownNameError: There is no such run.
        """
        self._update_run(run_id, state="running", message="", ended_at=None, machine=machine)

    def update_run(self, run_id: str, **fields: str | None) -> None:
        """Record the run's `prefect_run_id` or `mlflow_run_id`, once they are known.

        Raises:
            UnknownNameError: There is no such run.
            ParameterError: Another field was given; the rest of a run does not change.
        """
        wrong = sorted(set(fields) - {"prefect_run_id", "mlflow_run_id"})
        if wrong:
            raise ParameterError(
                f"A run's '{wrong[0]}' does not change once it is recorded.",
                remedy="update 'prefect_run_id' or 'mlflow_run_id'; end it with finish_run.",
            )
        self._update_run(run_id, **fields)

    def record(
        self, invocation: InvocationRecord, artifacts: Sequence[ArtifactRecord] = ()
    ) -> None:
        """Record an invocation, its edges and its artifacts, all or nothing.

        The same invocation id again changes nothing, so that a retry is harmless.

        Raises:
            UnknownNameError: Its run was never started.
        """
        row = dict(vars(invocation))
        del row["inputs"], row["outputs"]
        with self.database.writing() as connection:
            if not connection.scalar(_RUN_EXISTS, {"run_id": invocation.run_id}):
                raise _unknown_run(invocation.run_id)
            if artifacts:
                _insert_new(connection, _artifact, [dict(vars(artifact)) for artifact in artifacts])
            if _insert_new(connection, _invocation, [row]):
                edges = _edges_of(invocation)
                if edges:
                    connection.execute(_INSERT_EDGES, edges)

    def tag_run(self, run_id: str, name: str, value: str, *, actor: str) -> None:
        """Give a run a tag, or the tag another value.

        Raises:
            UnknownNameError: There is no such run.
            ParameterError: The name is empty, too long, or has blanks at its ends.
        """
        run = self.run(run_id)
        at = current_clock().now()
        people.set_tag(self.database, run.id, name, value, actor=actor, at=at)

    def untag_run(self, run_id: str, name: str) -> None:
        """Take a tag from a run.

        Raises:
            UnknownNameError: The run has no such tag.
        """
        people.remove_tag(self.database, run_id, name)

    def ask(self, question: Approval) -> Approval:
        """Record what a run asks, and return it with its answer; see `people.ask`."""
        return people.ask(self.database, question)

    def answer(self, given: Approval) -> Approval:
        """Record what a person answers; see `people.answer`."""
        return people.answer(self.database, given)

    # --- reading ---

    def run(self, run_id: str) -> RunRecord:
        """Return a run by its whole id.

        Raises:
            UnknownNameError: There is no such run.
        """
        with self.database.reading() as connection:
            row = connection.execute(select(_run).where(_run.c.id == run_id)).one_or_none()
        if row is None:
            raise _unknown_run(run_id)
        return RunRecord(**row._mapping)

    def runs(self, limit: int = 20, flow: str | None = None) -> list[RunRecord]:
        """Return the newest runs first, of one flow or of all."""
        query = select(_run).order_by(_run.c.started_at.desc(), _run.c.id.desc()).limit(limit)
        if flow is not None:
            query = query.where(_run.c.flow == flow)
        with self.database.reading() as connection:
            return [RunRecord(**row._mapping) for row in connection.execute(query)]

    def running(self) -> list[RunRecord]:
        """Return the runs that say "running", newest first."""
        query = select(_run).where(_run.c.state == "running").order_by(_run.c.started_at.desc())
        with self.database.reading() as connection:
            return [RunRecord(**row._mapping) for row in connection.execute(query)]

    def runs_in_prefect(self, prefect_run_id: str) -> list[RunRecord]:
        """Return the runs that a flow run in Prefect stands for: one, or none."""
        query = select(_run).where(_run.c.prefect_run_id == prefect_run_id)
        with self.database.reading() as connection:
            return [RunRecord(**row._mapping) for row in connection.execute(query)]

    def tags(self, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the tags of runs by name; a run without tags is left out."""
        return people.tags_of(self.database, run_ids)

    def approvals(self, run_id: str) -> list[Approval]:
        """Return what a run asks or asked, in the order in which it did."""
        return people.approvals_of(self.database, run_id)

    def invocations(self, run_id: str) -> list[InvocationRecord]:
        """Return the invocations of a run in the order in which they started."""
        query = select(_invocation).where(_invocation.c.run_id == run_id)
        query = query.order_by(_invocation.c.started_at, _invocation.c.node)
        with self.database.reading() as connection:
            return read_invocations(connection, query)

    def invocation(self, invocation_id: str) -> InvocationRecord:
        """Return an invocation by its whole id.

        Raises:
            UnknownNameError: There is no such invocation.
        """
        found = self._first(_BY_ID, id=invocation_id)
        if found is None:
            raise UnknownNameError(
                f"There is no invocation '{invocation_id}'.",
                remedy="take an id from Lineage.invocations(run_id).",
            )
        return found

    def artifact(self, digest: str, *, kind: str | None = None) -> ArtifactRecord:
        """Return an artifact by its whole digest, as this kind if it is known as several.

        Raises:
            UnknownNameError: There is no such artifact.
        """
        query = select(_artifact).where(_artifact.c.digest == digest).order_by(_artifact.c.kind)
        if kind is not None:
            query = query.where(_artifact.c.kind == kind)
        with self.database.reading() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
        if row is None:
            raise UnknownNameError(
                f"Lineage knows no {kind or 'artifact'} '{digest[:12]}'.",
                remedy="list runs with `headrace runs` and their artifacts with "
                "`headrace explain run:<id>`.",
            )
        return ArtifactRecord(**row._mapping)

    def reusable(self, key: str) -> InvocationRecord | None:
        """Return the newest invocation of a pure operator that executed with this cache key."""
        return self._first(_REUSABLE, key=key)

    def last_of(self, flow: str, node: str) -> InvocationRecord | None:
        """Return the newest invocation of a flow's node that gave a result, executed or cached."""
        return self._first(_LAST_OF, flow=flow, node=node)

    def last_key_parts(self, flow: str, node: str) -> list[dict[str, Any]] | None:
        """Return what the key of `last_of` was made of; None if the node never gave a result."""
        with self.database.reading() as connection:
            found: list[dict[str, Any]] | None = connection.scalar(
                _LAST_KEY_PARTS, {"flow": flow, "node": node}
            )
        return found

    def resolve(self, ref: str) -> RunRecord | InvocationRecord | ArtifactRecord:
        """Return what a reference names.

        Args:
            ref: `run:<id>`, `run:<id>/<node>`, `run:<id>/<node>.<output>`, `latest:<flow>`,
                `latest:<flow>/<node>`, `artifact:<digest>`, or a bare id or digest. Any unique
                prefix of an id or digest will do.

        Raises:
            UnknownNameError: Nothing has this name, or a prefix fits several; they are listed.
        """
        from headrace.lineage.references import resolve

        with self.database.reading() as connection:
            return resolve(connection, ref)

    def closure(self, node: str, direction: Direction) -> LineageGraph:
        """Return all that led to an artifact or invocation (`up`), or came of it (`down`).

        Args:
            node: The digest or the invocation id, in full.
            direction: `up` or `down`.

        Raises:
            UnknownNameError: Nothing has this digest or id.
            ParameterError: The direction is neither.
        """
        with self.database.reading() as connection:
            return closure(connection, node, direction)

    def looks(self, digest: str) -> list[Look]:
        """Return every time that a test set was opened, oldest first.

        A cached invocation does not open its inputs; one that failed may have.
        """
        query = (
            select(_edge.c.name, _invocation, _run.c.flow, _run.c.actor)
            .join_from(_edge, _invocation, _edge.c.later == _invocation.c.id)
            .join(_run, _invocation.c.run_id == _run.c.id)
            .where(_edge.c.earlier == digest, _edge.c.sort == "input", _edge.c.kind == "TestSet")
            .where(_invocation.c.state.in_(("executed", "failed")))
            .order_by(_invocation.c.started_at, _invocation.c.id)
        )
        with self.database.reading() as connection:
            return [
                Look(
                    digest=digest,
                    invocation_id=row.id,
                    run_id=row.run_id,
                    flow=row.flow,
                    node=row.node,
                    operator=row.operator,
                    parameter=row.name,
                    state=row.state,
                    actor=row.actor,
                    at=row.started_at,
                )
                for row in connection.execute(query)
            ]

    def _update_run(self, run_id: str, **values: Any) -> None:
        with self.database.writing() as connection:
            changed = connection.execute(update(_run).where(_run.c.id == run_id).values(**values))
        if not changed.rowcount:
            raise _unknown_run(run_id)

    def _first(self, query: Select[Any], **values: str) -> InvocationRecord | None:
        with self.database.reading() as connection:
            return next(iter(read_invocations(connection, query.params(**values))), None)


def _newest(query: Select[Any], *conditions: ColumnElement[bool]) -> Select[Any]:
    newest = (_invocation.c.started_at.desc(), _invocation.c.id.desc())
    return query.join(_run).where(*conditions).order_by(*newest).limit(1)


# Statements are built once: for each node of each run, building takes longer than executing.
_REUSABLE = _newest(
    select(_invocation),
    _invocation.c.key == bindparam("key"),
    _invocation.c.state == "executed",
    _invocation.c.effect.is_(False),
)
_BY_ID = _newest(select(_invocation), _invocation.c.id == bindparam("id"))
_GAVE_A_RESULT = (
    _invocation.c.node == bindparam("node"),
    _run.c.flow == bindparam("flow"),
    _invocation.c.state.in_(("executed", "cached")),
)
_LAST_OF = _newest(select(_invocation), *_GAVE_A_RESULT)
_LAST_KEY_PARTS = _newest(select(_invocation.c.key_parts).select_from(_invocation), *_GAVE_A_RESULT)
_RUN_EXISTS = select(_run.c.id).where(_run.c.id == bindparam("run_id"))
_INSERT_EDGES = insert(_edge)


def _edges_of(invocation: InvocationRecord) -> list[dict[str, Any]]:
    passed_on = "repeat" if invocation.state == "cached" else "output"
    edges = [
        (edge.digest, invocation.id, "input", edge.name, edge.kind) for edge in invocation.inputs
    ]
    edges += [
        (invocation.id, edge.digest, passed_on, edge.name, edge.kind) for edge in invocation.outputs
    ]
    if invocation.reused_from:
        edges.append((invocation.reused_from, invocation.id, "reuse", "", "invocation"))
    names = ("earlier", "later", "sort", "name", "kind")
    return [
        {**dict(zip(names, edge, strict=True)), "position": position}
        for position, edge in enumerate(edges)
    ]


def _insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert the rows whose primary key is new; return how many there were, of one row."""
    return connection.execute(_insert_if_new(connection.dialect.name, table), rows).rowcount


@functools.cache
def _insert_if_new(dialect: str, table: Table) -> Insert:
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table).on_conflict_do_nothing()


def _unknown_run(run_id: str) -> UnknownNameError:
    return UnknownNameError(
        f"There is no run '{run_id}'.", remedy="list the runs with `headrace runs`."
    )
