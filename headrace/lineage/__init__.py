"""This package remembers what was run, with what, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.lineage.graph import GraphEdge, GraphNode, LineageGraph
from headrace.lineage.records import (
    Approval,
    ArtifactRecord,
    EdgeRecord,
    FeatureRead,
    InvocationRecord,
    Look,
    RunRecord,
)

if TYPE_CHECKING:
    from headrace.lineage.lineage import Lineage

__all__ = [
    "Approval",
    "ArtifactRecord",
    "EdgeRecord",
    "FeatureRead",
    "GraphEdge",
    "GraphNode",
    "InvocationRecord",
    "Lineage",
    "LineageGraph",
    "Look",
    "RunRecord",
]


def __getattr__(name: str) -> Any:
    # SQLAlchemy takes half a second to import; who only handles records does not wait for it.
    if name == "Lineage":
        from headrace.lineage.lineage import Lineage

        return Lineage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
