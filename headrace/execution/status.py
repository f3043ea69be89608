"""This module says, before a run, what will be reused and what will run, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Partitions, Report
from headrace.errors import HeadraceError
from headrace.execution.keys import Keys, parts_from_json
from headrace.execution.node_run import why_not_cached
from headrace.execution.stored import outputs_of
from headrace.identity import Key, difference

if TYPE_CHECKING:
    from headrace.execution.session import Session
    from headrace.lineage import InvocationRecord
    from headrace.operation import Operator
    from headrace.plan import Node, Plan

Inputs = Mapping[str, Artifact | list[Artifact]]


@dataclass(frozen=True, kw_only=True)
class PlanStatus:
    """This is what a run of a plan would do now.

    Args:
        by_node: Node path to "cached (run 1a2b3c4d)" or why it will run.
        cached: Paths of the nodes that would be reused.
        uncached: Paths of pure nodes whose key cannot be known, with the reason.
        stale: Paths of the pure nodes that would run, with the reason.
    """

    by_node: Mapping[str, str]
    cached: tuple[str, ...]
    uncached: Mapping[str, str]
    stale: Mapping[str, str]

    @property
    def share_uncached(self) -> float:
        """The share of nodes whose code cannot be seen through, between 0 and 1."""
        return len(self.uncached) / len(self.by_node) if self.by_node else 0.0


def plan_status(plan: Plan, session: Session, *, since: str | None = None) -> PlanStatus:
    """Return what a run of the plan would reuse, and why the rest would run.

    Args:
        plan: The plan; problems are allowed.
        session: Store and lineage.
        since: Id of an earlier run with the same parameters. Effects are taken to give what they
            gave there, so that what follows them is known too; reasons are what changed since.
    """
    look = _Look(plan, session, since)
    by_node = {node.path: look.at(node) for node in plan.nodes}
    cached = tuple(path for path in look.outputs if path not in look.effects)
    return PlanStatus(by_node=by_node, cached=cached, uncached=look.uncached, stale=look.stale)


class _Look:
    """This goes through a plan in order and remembers what each reused node would give."""

    def __init__(self, plan: Plan, session: Session, since: str | None) -> None:
        self._plan, self._session = plan, session
        self._keys = Keys(session.roots, None)
        earlier = [] if since is None else session.lineage.invocations(since)
        self._since = {each.node: each for each in earlier}
        self._skipped: set[str] = set()
        self.outputs: dict[str, Mapping[str, Artifact]] = {}
        self.effects: set[str] = set()
        self.uncached: dict[str, str] = {}
        self.stale: dict[str, str] = {}

    def at(self, node: Node) -> str:
        """Return what a run would do with a node."""
        operator = node.operator
        if operator is None:
            if node.given is not None:
                self.outputs[node.path] = {"result": node.given}
            return "handed in"
        skipped = self._skip_reason(node)
        if skipped is not None:
            self._skipped.add(node.path)
            return f"skipped: {skipped}"
        if operator.options.effect:
            self._acted(node)
            return "effect, acts every time"
        missing = [path for path in node.upstream() if path not in self.outputs]
        if missing:
            said = f"depends on upstream '{missing[0]}'"
            self.stale[node.path] = said
            return said
        if node.over is not None:
            return self._mapped(node, operator, node.over)
        outputs, said = self._keyed(node, operator, self._inputs(node, operator))
        if outputs is None:
            self.stale[node.path] = said
        else:
            self.outputs[node.path] = outputs
        return said

    def _acted(self, node: Node) -> None:
        found = self._since.get(node.path)
        if found is not None and all(self._session.store.has(e.digest) for e in found.outputs):
            self.effects.add(node.path)
            self.outputs[node.path] = outputs_of(found, self._session.lineage, self._session.store)

    def _skip_reason(self, node: Node) -> str | None:
        """Return why a run would skip the node, as far as its conditions are known."""
        for path in node.upstream():
            if path in self._skipped:
                return f"'{path}' was skipped"
        for condition in node.conditions:
            report = self.outputs.get(condition.ref.node, {}).get(condition.ref.slot)
            if isinstance(report, Report) and report.passed is not condition.expected:
                return f"'{condition.ref}' {'passed' if report.passed else 'did not pass'}"
        return None

    def _mapped(self, node: Node, operator: Operator[..., Any], over: str) -> str:
        inputs = self._inputs(node, operator)
        partitions = inputs[over]
        if not isinstance(partitions, Partitions):
            return "one for each partition, decided at the run"
        made: dict[str, Mapping[str, Artifact]] = {}
        stale: dict[str, str] = {}
        for name, item in partitions.items.items():
            outputs, said = self._keyed(node, operator, {**inputs, over: item}, f"[{name}]")
            if outputs is None:
                stale[name] = said
            else:
                made[name] = outputs
        if stale:
            name, said = next(iter(stale.items()))
            told = f"{len(stale)} of {len(partitions.items)} partitions will run; {name} {said}"
            self.stale[node.path] = told
            return told
        self.outputs[node.path] = {
            slot.name: Partitions.of({name: each[slot.name] for name, each in made.items()})
            for slot in operator.signature.outputs
        }
        return f"cached ({len(made)} partitions)"

    def _keyed(
        self, node: Node, operator: Operator[..., Any], inputs: Inputs, partition: str = ""
    ) -> tuple[Mapping[str, Artifact] | None, str]:
        """Return what is reused of a call, None if it would run; and the word for it."""
        labelled = {name: _labelled(value) for name, value in inputs.items()}
        try:
            key = self._keys.of(node, labelled)
        except HeadraceError as error:
            return None, f"will fail: {error.problem}"
        if not operator.options.always:
            if key.digest is None:
                self.uncached[node.path] = " ".join(key.unresolved)
            elif (found := self._reusable(key.digest)) is not None:
                store, lineage = self._session.store, self._session.lineage
                return outputs_of(found, lineage, store), f"cached (run {found.run_id[:8]})"
        return None, f"will run: {self._why(node, operator, key, partition)}"

    def _why(self, node: Node, operator: Operator[..., Any], key: Key, partition: str) -> str:
        earlier = self._since.get(f"{node.path}{partition}")
        if earlier is not None and key.digest is not None and not operator.options.always:
            changes = difference(parts_from_json(earlier.key_parts), key.parts)
            if changes:
                return "; ".join(changes[:3])
        recorded = replace(node, path=f"{node.path}{partition}")
        return why_not_cached(recorded, operator, key, self._plan.flow, self._session)

    def _inputs(self, node: Node, operator: Operator[..., Any]) -> dict[str, Any]:
        """Return a node's inputs as a run hands them over."""
        lists = {slot.name for slot in operator.signature.inputs if slot.many}
        inputs: dict[str, Any] = {}
        for name, refs in node.inputs.items():
            artifacts = [self.outputs[ref.node][ref.slot] for ref in refs]
            parts = len(artifacts) == 1 and isinstance(artifacts[0], Partitions)
            inputs[name] = artifacts if name in lists and not parts else artifacts[0]
        return inputs

    def _reusable(self, key: str) -> InvocationRecord | None:
        found = self._session.lineage.reusable(key)
        if found is None or not all(self._session.store.has(e.digest) for e in found.outputs):
            return None
        return found


def _labelled(value: Artifact | list[Artifact]) -> list[tuple[str, Artifact]]:
    if isinstance(value, Partitions):
        return [(f"[{name}]", artifact) for name, artifact in value.items.items()]
    if isinstance(value, list):
        return [(f"[{i}]", artifact) for i, artifact in enumerate(value)]
    return [("", value)]
