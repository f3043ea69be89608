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
    from headrace.lineage import InvocationRecord
    from headrace.operation import Operator
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
    look = _Look(plan, session)
    by_node = {node.path: look.at(node) for node in plan.nodes}
    return PlanStatus(by_node=by_node, cached=tuple(look.outputs), uncached=look.uncached)


class _Look:
    """This goes through a plan in order and remembers what each reused node would give."""

    def __init__(self, plan: Plan, session: Session) -> None:
        self._plan, self._session = plan, session
        self._keys = Keys(session.roots, None)
        self.outputs: dict[str, Mapping[str, Artifact]] = {}
        self.uncached: dict[str, str] = {}

    def at(self, node: Node) -> str:
        """Return what a run would do with a node."""
        operator = node.operator
        if operator is None:
            if node.given is not None:
                self.outputs[node.path] = {"result": node.given}
            return "handed in"
        if operator.options.effect:
            return "effect, acts every time"
        missing = [path for path in node.upstream() if path not in self.outputs]
        if missing:
            return f"depends on upstream '{missing[0]}'"
        if node.over is not None:
            return "one for each partition, decided at the run"
        return self._keyed(node, operator)

    def _keyed(self, node: Node, operator: Operator[..., Any]) -> str:
        try:
            key = self._keys.of(node, self._arriving(node, operator))
        except HeadraceError as error:
            return f"will fail: {error.problem}"
        if not operator.options.always:
            if key.digest is None:
                self.uncached[node.path] = " ".join(key.unresolved)
            elif (found := self._reusable(key.digest)) is not None:
                store, lineage = self._session.store, self._session.lineage
                self.outputs[node.path] = outputs_of(found, lineage, store)
                return f"cached (run {found.run_id[:8]})"
        return f"will run: {why_not_cached(node, operator, key, self._plan.flow, self._session)}"

    def _arriving(
        self, node: Node, operator: Operator[..., Any]
    ) -> dict[str, list[tuple[str, Artifact]]]:
        lists = {slot.name for slot in operator.signature.inputs if slot.many}
        return {
            name: [
                (f"[{i}]" if name in lists else "", self.outputs[ref.node][ref.slot])
                for i, ref in enumerate(refs)
            ]
            for name, refs in node.inputs.items()
        }

    def _reusable(self, key: str) -> InvocationRecord | None:
        found = self._session.lineage.reusable(key)
        if found is None or not all(self._session.store.has(e.digest) for e in found.outputs):
            return None
        return found
