"""This module holds what was found out about each function, class and constant, and sums it up.

Records refer to one another, in cycles too. The digest of a function is that of the graph from it
on, numbered in the order of the walk: names do not count unless something may ask for them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.identity.installed import Installed
from headrace.identity.parts import Part


class Edge(NamedTuple):
    """This is a reference to another record; `named` when its name and parameters can matter."""

    record: Record
    named: bool


@dataclass(eq=False, slots=True)
class Record:
    """This is what one function, class or value says for itself, and what it refers to.

    Args:
        kind: Kind of its part; empty when it has none of its own.
        name: Name of its part.
        content: Digest of what it says for itself.
        shown: The value, where that is short enough to read.
        label: Its own name and parameters, and the parameters alone.
        edges: What it refers to, in order.
        packages: Distributions that it uses directly.
        kernel: Kernel modules that it uses directly.
        unresolved: What in it cannot be seen through, as sentences.
        reads: What its code asks other code for; see `extras`.
        extras: What may be asked for, by what reads it.
    """

    kind: str = ""
    name: str = ""
    content: bytes = b""
    shown: str | None = None
    label: tuple[str, str] = ("", "")
    edges: list[Edge] = field(default_factory=list)
    packages: set[Installed] = field(default_factory=set)
    kernel: set[str] = field(default_factory=set)
    unresolved: list[str] = field(default_factory=list)
    reads: frozenset[str] = frozenset()
    extras: dict[str, str] = field(default_factory=dict)
    part: Part | None = None


def reached(root: Record) -> list[Record]:
    """Return all records from `root` on, breadth first."""
    order, seen = [root], {id(root)}
    for record in order:
        for edge in record.edges:
            if id(edge.record) not in seen:
                seen.add(id(edge.record))
                order.append(edge.record)
    return order


def structure(order: list[Record]) -> str:
    """Return the digest of all records together: what each says, and what it refers to.

    Args:
        order: The records, the root first.
    """
    numbers = {id(record): number for number, record in enumerate(order)}
    reads = sorted(frozenset().union(*(record.reads for record in order)))
    content = hashlib.sha256(order[0].label[1].encode())
    for record in order:
        edges = [
            (numbers[id(edge.record)], edge.record.label if edge.named else ())
            for edge in record.edges
        ]
        asked = [record.extras.get(name, "") for name in reads]
        content.update(record.content)
        content.update(repr((edges, asked)).encode("utf-8", "backslashreplace"))
    return content.hexdigest()


def part_of(record: Record) -> Part | None:
    """Return the part that shows a record to a reader, None when it has none."""
    if record.part is None and record.kind:
        record.part = Part(kind=record.kind, name=record.name, digest=_shown(record))
    return record.part


def _shown(record: Record) -> str:
    if record.shown is not None:
        return record.shown
    content = hashlib.sha256(record.content)
    for target, named in record.edges:
        # what has no name that one could tell apart is told apart by what it says
        anonymous = not target.name or "<" in target.name
        said = target.content if anonymous else b""
        content.update(repr((target.name, named and target.label, said)).encode())
    return ("#" if record.kind in ("constant", "parameter") else "") + content.hexdigest()[:24]
