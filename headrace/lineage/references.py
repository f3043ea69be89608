"""This module finds what a short reference names: a run, a node of it, or an artifact."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, select

from headrace.errors import UnknownNameError, nearest
from headrace.lineage import tables
from headrace.lineage.reading import read_invocations
from headrace.lineage.records import ArtifactRecord, EdgeRecord, InvocationRecord, RunRecord

_run, _artifact = tables.run, tables.artifact
_invocation, _edge = tables.invocation, tables.edge
_LISTED = 12

Found = RunRecord | InvocationRecord | ArtifactRecord


def resolve(connection: Connection, ref: str) -> Found:
    """Return what `ref` names; see `Lineage.resolve`."""
    sort, colon, rest = ref.partition(":")
    if not colon:
        sort, rest = "", ref
    if sort == "artifact":
        return _artifact_by_prefix(connection, rest)
    if sort == "latest":
        flow, _, node = rest.partition("/")
        return _latest(connection, flow, node)
    run_name, _, node = (rest if sort == "run" else ref).partition("/")
    if node or sort == "run":
        run_id = _unique(run_name, "run", _with_prefix(connection, _run.c.id, run_name))
        if not node:
            return _run_by_id(connection, run_id)
        what = f"node of the run {run_id[:12]}"
        return _node(connection, what, node, _invocation.c.run_id == run_id)
    return _bare(connection, ref)


def _bare(connection: Connection, ref: str) -> Found:
    runs = _with_prefix(connection, _run.c.id, ref)
    artifacts = _with_prefix(connection, _artifact.c.digest, ref)
    invocations = _with_prefix(connection, _invocation.c.id, ref)
    found = [f"run:{run_id}" for run_id in runs] + [f"artifact:{digest}" for digest in artifacts]
    chosen = _unique(ref, "run, artifact or invocation", found + invocations)
    if chosen in invocations:
        query = select(_invocation).where(_invocation.c.id == chosen)
        return read_invocations(connection, query)[0]
    return resolve(connection, chosen)


def _latest(connection: Connection, flow: str, node: str) -> Found:
    runs = select(_run).where(_run.c.flow == flow)
    newest = runs.order_by(_run.c.started_at.desc(), _run.c.id.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    if row is None:
        flows = connection.scalars(select(_run.c.flow).distinct()).all()
        near = nearest(flow, flows)
        remedy = (
            f"name a flow that has run, as in `latest:{near[0]}`."
            if near
            else (f"run it first: `headrace run {flow}`.")
        )
        raise UnknownNameError.of("run of the flow", flow, flows, remedy=remedy)
    if not node:
        return RunRecord(**row._mapping)
    finished = _invocation.c.state.in_(("executed", "cached"))
    return _node(
        connection, f"finished node of the flow '{flow}'", node, _run.c.flow == flow, finished
    )


def _node(
    connection: Connection, what: str, name: str, *conditions: ColumnElement[bool]
) -> InvocationRecord | ArtifactRecord:
    """Return the newest such invocation, or its output where the name ends in `.<output>`."""
    head, _, slot = name.rpartition(".")
    for node, output in ((name, ""), (head, slot)):
        query = select(_invocation).join(_run).where(_invocation.c.node == node, *conditions)
        query = query.order_by(_invocation.c.started_at.desc(), _invocation.c.id.desc()).limit(1)
        for found in read_invocations(connection, query):
            return _output(connection, found, output) if output else found
    known = select(_invocation.c.node).join(_run).where(*conditions).distinct()
    raise UnknownNameError.of(
        what,
        name,
        connection.scalars(known),
        remedy="name a node, or <node>.<output>; `headrace explain run:<id>` lists them.",
    )


def _output(connection: Connection, found: InvocationRecord, slot: str) -> ArtifactRecord:
    for edge in found.outputs:
        if edge.name == slot:
            return _artifact_of(connection, edge)
    raise UnknownNameError.of(
        f"output of the node '{found.node}' named",
        slot,
        [edge.name for edge in found.outputs],
        remedy="name one of its outputs, or the node alone.",
    )


def _artifact_of(connection: Connection, edge: EdgeRecord) -> ArtifactRecord:
    same = (_artifact.c.digest == edge.digest) & (_artifact.c.kind == edge.kind)
    row = connection.execute(select(_artifact).where(same)).one_or_none()
    # The edge itself knows as much when the artifact was recorded as another kind only.
    return ArtifactRecord(digest=edge.digest, kind=edge.kind) if row is None else _as_artifact(row)


def _run_by_id(connection: Connection, run_id: str) -> RunRecord:
    row = connection.execute(select(_run).where(_run.c.id == run_id)).one()
    return RunRecord(**row._mapping)


def _artifact_by_prefix(connection: Connection, prefix: str) -> ArtifactRecord:
    digest = _unique(prefix, "artifact", _with_prefix(connection, _artifact.c.digest, prefix))
    query = select(_artifact).where(_artifact.c.digest == digest).order_by(_artifact.c.kind)
    return _as_artifact(connection.execute(query.limit(1)).one())


def _as_artifact(row: Row[Any]) -> ArtifactRecord:
    return ArtifactRecord(**row._mapping)


def _with_prefix(connection: Connection, column: Column[str], prefix: str) -> list[str]:
    """Return the names that begin with `prefix`, or the one that is exactly it."""
    if not prefix:
        return []
    # A range, because LIKE ignores case and, in SQLite, the index with it.
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    query = select(column).where(column >= prefix, column < after).distinct().order_by(column)
    names = list(connection.scalars(query.limit(_LISTED + 1)))
    return [prefix] if prefix in names else names


def _unique(prefix: str, what: str, names: list[str]) -> str:
    if not names:
        raise UnknownNameError(
            f"There is no {what} '{prefix}'.",
            remedy="list the runs with `headrace runs` and what they made with "
            "`headrace explain run:<id>`.",
        )
    if len(names) > 1:
        shown = ", ".join(f"'{name}'" for name in names[:_LISTED])
        more = " and more" if len(names) > _LISTED else ""
        raise UnknownNameError(
            f"'{prefix}' is the beginning of several: {shown}{more}.",
            remedy="give more characters, until only one is left.",
        )
    return names[0]
