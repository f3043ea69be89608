"""This module walks the edges up to every cause or down to every consequence of a node."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection, literal, select, true

from headrace.errors import ParameterError, UnknownNameError
from headrace.lineage import tables
from headrace.lineage.graph import Direction, GraphEdge, GraphNode, LineageGraph, causes_first

_run, _artifact = tables.run, tables.artifact
_invocation, _edge = tables.invocation, tables.edge
_CHUNK = 900  # SQLite takes a limited number of parameters


def closure(connection: Connection, root: str, direction: Direction) -> LineageGraph:
    """Return everything that led to `root` (`up`), or that came of it (`down`).

    Args:
        connection: An open connection.
        root: An artifact's digest or an invocation's id, in full.
        direction: `up` or `down`. Up from an artifact goes to the invocations that made it, not
            through those that only reused it.

    Raises:
        UnknownNameError: Nothing has this digest or id.
        ParameterError: `direction` is neither.
    """
    if direction not in ("up", "down"):
        raise ParameterError(
            f"The direction is '{direction}'; it may be 'up' or 'down'.",
            remedy="ask 'up' for what led to it, or 'down' for what came of it.",
        )
    edges, kinds = _walk(connection, root, direction)
    ids = dict.fromkeys([root])
    for edge in edges:
        ids[edge.earlier] = ids[edge.later] = None
    nodes = {node.id: node for node in _invocations(connection, list(ids))}
    nodes.update(
        (node.id, node) for node in _artifacts(connection, [i for i in ids if i not in nodes])
    )
    if root not in nodes and not edges:
        raise UnknownNameError(
            f"Lineage knows no artifact or invocation '{root}'.",
            remedy="give the whole digest or id; `headrace lineage REF` finds them by a prefix.",
        )
    found = [nodes.get(i) or _unrecorded(i, kinds) for i in ids]
    return LineageGraph(
        root=root, direction=direction, nodes=causes_first(found, edges), edges=tuple(edges)
    )


def ancestors(connection: Connection, roots: Collection[str]) -> set[str]:
    """Return the roots and the ids and digests of everything that led to any of them.

    One walk for all of them: models of one flow have nearly all of it in common.
    """
    found, fresh = set(roots), sorted(roots)
    while fresh:
        earlier: set[str] = set()
        for chunk in chunks(fresh):
            query = select(_edge.c.earlier).where(
                _edge.c.later.in_(chunk), _edge.c.sort != "repeat"
            )
            earlier.update(connection.scalars(query))
        fresh = sorted(earlier - found)
        found.update(fresh)
    return found


def _walk(
    connection: Connection, root: str, direction: Direction
) -> tuple[list[GraphEdge], dict[str, str]]:
    near, far = (
        (_edge.c.later, _edge.c.earlier) if direction == "up" else (_edge.c.earlier, _edge.c.later)
    )
    walk = select(literal(root).label("node")).cte("walk", recursive=True)
    followed = _edge.c.sort != "repeat" if direction == "up" else true()
    walk = walk.union(select(far).join(walk, near == walk.c.node).where(followed))
    found = (
        select(_edge.c.earlier, _edge.c.later, _edge.c.sort, _edge.c.name, _edge.c.kind)
        .join_from(walk, _edge, near == walk.c.node)
        .where(followed)
    )
    edges, kinds = [], {}
    for earlier, later, sort, name, kind in connection.execute(found).all():
        edges.append(GraphEdge(earlier=earlier, later=later, sort=sort, name=name))
        kinds[earlier if sort == "input" else later] = kind
    return edges, kinds


def _invocations(connection: Connection, ids: Sequence[str]) -> Iterator[GraphNode]:
    columns = (
        _invocation.c.id,
        _invocation.c.operator,
        _invocation.c.state,
        _invocation.c.node,
        _invocation.c.run_id,
        _run.c.flow,
        _invocation.c.started_at,
    )
    for chunk in chunks(ids):
        query = select(*columns).join(_run).where(_invocation.c.id.in_(chunk))
        for found, operator, state, node, run_id, flow, at in connection.execute(query).all():
            yield GraphNode(
                id=found,
                sort="invocation",
                label=operator,
                detail=f"{state}, {flow}/{node} in run {run_id[:12]}",
                attributes={
                    "state": state,
                    "node": node,
                    "flow": flow,
                    "run_id": run_id,
                    "started_at": at.isoformat(),
                },
            )


def _artifacts(connection: Connection, ids: Sequence[str]) -> Iterator[GraphNode]:
    for chunk in chunks(ids):
        query = select(_artifact.c.digest, _artifact.c.kind, _artifact.c.rows, _artifact.c.uri)
        query = query.where(_artifact.c.digest.in_(chunk)).order_by(_artifact.c.kind)
        for digest, kind, rows, uri in connection.execute(query).all():
            yield GraphNode(
                id=digest,
                sort="artifact",
                label=kind,
                detail="" if rows is None else f"{rows:,} rows",
                attributes={"rows": rows, "uri": uri},
            )


def _unrecorded(name: str, kinds: dict[str, str]) -> GraphNode:
    return GraphNode(id=name, sort="artifact", label=kinds.get(name, "artifact"))


def chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the ids in pieces that fit into one statement's parameters."""
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]
