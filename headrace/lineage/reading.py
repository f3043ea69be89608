"""This module reads invocations with their edges, for everything that asks for them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, Select, select

from headrace.lineage import tables
from headrace.lineage.closure import chunks
from headrace.lineage.records import EdgeRecord, InvocationRecord

_edge = tables.edge


def read_invocations(connection: Connection, query: Select[Any]) -> list[InvocationRecord]:
    """Return the invocations that a query over their table finds, edges and all."""
    rows = connection.execute(query).all()
    inputs: dict[str, list[EdgeRecord]] = defaultdict(list)
    outputs: dict[str, list[EdgeRecord]] = defaultdict(list)
    ids = [row.id for row in rows]
    for chunk in chunks(ids):
        read = select(_edge).where(_edge.c.later.in_(chunk), _edge.c.sort == "input")
        for edge in connection.execute(read.order_by(_edge.c.position)):
            inputs[edge.later].append(
                EdgeRecord(name=edge.name, digest=edge.earlier, kind=edge.kind)
            )
        made = select(_edge).where(
            _edge.c.earlier.in_(chunk), _edge.c.sort.in_(("output", "repeat"))
        )
        for edge in connection.execute(made.order_by(_edge.c.position)):
            outputs[edge.earlier].append(
                EdgeRecord(name=edge.name, digest=edge.later, kind=edge.kind)
            )
    return [
        InvocationRecord(
            **row._mapping, inputs=tuple(inputs[row.id]), outputs=tuple(outputs[row.id])
        )
        for row in rows
    ]
