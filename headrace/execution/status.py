"""This module says, before a run, what will be reused and what will run, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact
from headrace.errors import HeadraceError
from headrace.execution.keys import Keys
from headrace.execution.node_run import why_not_cached
from headrace.execution.stored import outputs_of

if TYPE_CHECKING:
    from headrace.execution.session import Session
    from headrace.plan import Node, Plan


@dataclass(frozen=True, kw_only=True)
class PlanStatus:
    """This is what a run of a plan would do now.

    Args:
        by_node: Node path to "cached (run 1a2b3c4d)" or why it will run.
        cached: Paths of the nodes that would be reused.
        uncached: Paths of pure nodes whose key cannot be known, with the reason.
    """

    by_node: Mapping[str, str]
    cached: tuple[str, ...]
    uncached: Mapping[str, str]

    @property
    def share_uncached(self) -> float:
        """The share of nodes whose code cannot be seen through, between 0 and 1."""
        return len(self.uncached) / len(self.by_node) if self.by_node else 0.0


def plan_status(plan: Plan, session: Session) -> PlanStatus:
    """Return what a run of the plan would reuse, and why the rest would run.

    Args:
        plan: The plan; problems are allowed.
        session: Store and lineage.
    """
    keys = Keys(session.roots, None)
    outputs: dict[str, Mapping[str, Artifact]] = {}
    by_node: dict[str, str] = {}
    uncached: dict[str, str] = {}
    for node in plan.nodes:
        by_node[node.path] = _status(node, plan, session, keys, outputs, uncached)
    return PlanStatus(by_node=by_node, cached=tuple(outputs), uncached=uncached)


def _status(
    node: Node,
    plan: Plan,
    session: Session,
    keys: Keys,
    outputs: dict[str, Mapping[str, Artifact]],
    uncached: dict[str, str],
) -> str:
    operator = node.operator
    if operator is None:
        if node.given is not None:
            outputs[node.path] = {"result": node.given}
        return "handed in"
    missing = [path for path in node.upstream() if path not in outputs]
    if operator.options.effect:
        return "effect, acts every time"
    if missing:
        return f"depends on upstream '{missing[0]}'"
    if node.over is not None:
        return "one for each partition, decided at the run"
    arriving: dict[str, list[tuple[str, Any]]] = {}
    for name, refs in node.inputs.items():
        many = any(s.name == name and s.many for s in operator.signature.inputs)
        arriving[name] = [
            (f"[{i}]" if many else "", outputs[r.node][r.slot]) for i, r in enumerate(refs)
        ]
    try:
        key = keys.of(node, arriving)
    except HeadraceError as error:
        return f"will fail: {error.problem}"
    if key.digest is None and not operator.options.always:
        uncached[node.path] = " ".join(key.unresolved)
    if key.digest is not None and not operator.options.always:
        found = session.lineage.reusable(key.digest)
        if found is not None and all(session.store.has(e.digest) for e in found.outputs):
            outputs[node.path] = outputs_of(found, session.lineage, session.store)
            return f"cached (run {found.run_id[:8]})"
    return f"will run: {why_not_cached(node, operator, key, plan.flow, session)}"
