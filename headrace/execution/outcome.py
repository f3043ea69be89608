"""This module holds what came of a run: per node, and as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact
from headrace.errors import Fault, HeadraceError, UnknownNameError

if TYPE_CHECKING:
    from headrace.lineage import InvocationRecord
    from headrace.plan import Plan


class RunError(HeadraceError):
    """This run failed; the message names the nodes and why, `fault` whose it is."""

    def __init__(self, problem: str, *, remedy: str, fault: Fault = "system") -> None:
        super().__init__(problem, remedy=remedy)
        self.fault = fault  # type: ignore[misc]


@dataclass(frozen=True, kw_only=True)
class NodeOutcome:
    """This is what came of a node.

    Args:
        path: The node.
        state: "executed", "cached", "failed", "skipped" or "waiting" (for a person).
        outputs: Output name to artifact; empty unless it was executed or cached.
        seconds: How long it took.
        message: Why it was executed, reused, skipped or has failed, in a sentence.
        error: What was raised, for a failed node.
        invocation: The record in lineage; None for an artifact that was handed in.
    """

    path: str
    state: str
    outputs: Mapping[str, Artifact] = field(default_factory=dict)
    seconds: float = 0.0
    message: str = ""
    error: BaseException | None = None
    invocation: InvocationRecord | None = None


@dataclass(frozen=True, kw_only=True)
class FlowRun:
    """This is a finished run.

    Args:
        id: The run's id, as in `run:<id>`.
        plan: What was run.
        state: "completed", "failed", or "paused" when it waits for a person.
        outcomes: Node path to what came of it.
        mlflow_run_id: The run in MLflow, None when nothing is logged.
        links: Title to address, for people.
    """

    id: str
    plan: Plan
    state: str
    outcomes: Mapping[str, NodeOutcome]
    mlflow_run_id: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)

    def returned(self) -> Any:
        """Return what the flow returned, as artifacts with data; None where it was skipped."""
        values = tuple(self.outcomes[ref.node].outputs.get(ref.slot) for ref in self.plan.results)
        if self.plan.returns_many:
            return values
        return values[0] if values else None

    def __getitem__(self, name: str) -> Artifact:
        """Return an output by node path, or by "node.output" where the node has several."""
        node, _, slot = name.partition(".")
        if node not in self.outcomes:
            raise UnknownNameError.of(
                "node", node, self.outcomes, remedy="Use the path that the plan shows."
            )
        outputs = self.outcomes[node].outputs
        if not slot and len(outputs) == 1:
            return next(iter(outputs.values()))
        if slot not in outputs:
            raise UnknownNameError.of(
                "output", name, [f"{node}.{s}" for s in outputs], remedy="Name one output."
            )
        return outputs[slot]

    def count(self, state: str) -> int:
        """Return how many operators ended in a state; effects count as executed."""
        return sum(o.state == state for p, o in self.outcomes.items() if self.plan.node(p).operator)

    def pure_executed(self) -> int:
        """Return how many pure operators really ran."""
        return sum(
            o.state == "executed"
            for p, o in self.outcomes.items()
            if self.plan.node(p).operator and not self.plan.node(p).effect
        )

    def require_completed(self) -> FlowRun:
        """Return the run, or raise what made it fail or wait.

        Raises:
            RunError: At least one node failed, or waits for a person.
        """
        waiting = [o for o in self.outcomes.values() if o.state == "waiting" and o.invocation]
        if self.state == "paused" and waiting:
            raise RunError(
                f"Flow '{self.plan.flow}' waits for a person at '{waiting[0].path}'.",
                remedy=f"Answer with `headrace approve run:{self.id[:12]}`, then run "
                f"`headrace resume run:{self.id[:12]}`.",
            )
        failed = [o for o in self.outcomes.values() if o.state == "failed"]
        if not failed:
            return self
        listed = "\n".join(f"  - {o.path}: {o.message}" for o in failed)
        cause = failed[0].error
        fault: Fault = cause.fault if isinstance(cause, HeadraceError) else "system"
        raise RunError(
            f"Flow '{self.plan.flow}' failed in {len(failed)} of {len(self.outcomes)} nodes:\n"
            f"{listed}",
            remedy="Correct the cause and run it again; what was done is reused.",
            fault=fault,
        ) from cause
