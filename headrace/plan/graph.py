"""This module holds a plan as a value: nodes, edges, problems, and how to look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.errors import DefinitionError
from headrace.symbols import Symbol

if TYPE_CHECKING:
    from headrace.artifacts import Artifact
    from headrace.operation import Operator


@dataclass(frozen=True, kw_only=True)
class Location:
    """This is a place in the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True, order=True)
class Ref:
    """This names an output of a node."""

    node: str
    slot: str

    def __str__(self) -> str:
        return self.node if self.slot == "result" else f"{self.node}.{self.slot}"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """This lets a node run only if a report turns out as expected."""

    ref: Ref
    expected: bool

    def __str__(self) -> str:
        return f"when {self.ref}" if self.expected else f"unless {self.ref}"


@dataclass(frozen=True, kw_only=True)
class Node:
    """This is one call of an operator in a plan.

    Args:
        path: Name, unique in the plan; subflows are its folders.
        operator: The operator; None for an artifact that was handed in.
        inputs: Input name to the outputs it comes from; a list input has several.
        parameters: Parameter values, defaults filled in.
        outputs: Output name to what is known of it.
        location: Where the flow calls it.
        seed: The seed filled into the parameter `seed`, None if the operator has none.
        conditions: All must hold for the node to run.
        over: The argument that `map` runs over when only the data knows the partitions.
        given: The artifact that was handed in.
    """

    path: str
    operator: Operator[..., Any] | None
    inputs: Mapping[str, tuple[Ref, ...]] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Symbol] = field(default_factory=dict)
    location: Location
    seed: int | None = None
    conditions: tuple[Condition, ...] = ()
    over: str | None = None
    given: Artifact | None = None

    @property
    def effect(self) -> bool:
        """Whether the node changes something outside."""
        return self.operator is not None and self.operator.options.effect

    def upstream(self) -> Iterator[str]:
        """Yield the paths of the nodes it waits for."""
        seen: set[str] = set()
        for refs in self.inputs.values():
            seen.update(r.node for r in refs)
        seen.update(c.ref.node for c in self.conditions)
        yield from sorted(seen)


@dataclass(frozen=True, kw_only=True)
class Edge:
    """This is an output that flows into an input.

    Args:
        source: The output.
        target: Path of the node that receives it.
        input: Name of the input.
        checked: Whether the columns could be checked; if not, they are at the run.
    """

    source: Ref
    target: str
    input: str
    checked: bool


@dataclass(frozen=True, kw_only=True)
class Problem:
    """This is something wrong with a flow, found before it runs.

    Args:
        rule: Short name of the rule that is broken, such as "missing column".
        problem: What is wrong, as whole sentences with both ends of the edge.
        remedy: What to do about it.
        location: Where in the flow.
    """

    rule: str
    problem: str
    remedy: str
    location: Location

    def __str__(self) -> str:
        return f"{self.location}: {self.rule}: {self.problem}\n  Fix: {self.remedy}"


class PlanError(DefinitionError):
    """This flow does not fit together; `problems` names everything that is wrong."""

    def __init__(self, problem: str, *, remedy: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(problem, remedy=remedy)
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class Plan:
    """This is a flow, read and checked; nothing has run.

    Args:
        flow: Name of the flow.
        parameters: Flow parameters as plain values.
        seed: The seed that node seeds derive from.
        nodes: The nodes that will run, in an order in which they can.
        edges: What flows where.
        results: What the flow returns, by position.
        returns_many: Whether the flow returns a tuple.
        problems: Everything that is wrong; a plan with problems cannot run.
        warnings: What looks like a mistake but does not stop the run.
        pruned: Paths of pure nodes whose output nobody uses; they will not run.
        grants: What external data the flow may read.
    """

    flow: str
    parameters: Mapping[str, Any]
    seed: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    results: tuple[Ref, ...] = ()
    returns_many: bool = False
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()

    def node(self, path: str) -> Node:
        """Return a node by its path."""
        from headrace.errors import UnknownNameError

        for node in self.nodes:
            if node.path == path:
                return node
        raise UnknownNameError.of(
            "node",
            path,
            [n.path for n in self.nodes],
            remedy=f"See the nodes with `headrace plan {self.flow}`.",
        )

    def require_sound(self) -> Plan:
        """Return the plan, or refuse it with every problem that it has.

        Raises:
            PlanError: The plan has problems.
        """
        if not self.problems:
            return self
        count = len(self.problems)
        listed = "\n".join(str(p) for p in self.problems)
        raise PlanError(
            f"Flow '{self.flow}' has {count} problem{'s' if count > 1 else ''}:\n{listed}",
            remedy="Correct the flow; nothing has run.",
            problems=self.problems,
        )

    def table(self, status: Mapping[str, str] | None = None) -> str:
        """Return the plan as a plain-text table; `status` adds a column by node path."""
        from headrace.plan.drawing import table

        return table(self, status)

    def mermaid(self, status: Mapping[str, str] | None = None) -> str:
        """Return the plan as a Mermaid flowchart."""
        from headrace.plan.drawing import mermaid

        return mermaid(self, status)

    def svg(self, status: Mapping[str, str] | None = None) -> str:
        """Return the plan as a drawing that stands alone."""
        from headrace.plan.svg import svg

        return svg(self, status)

    def to_json(self, status: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the plan as JSON-like data."""
        from headrace.plan.drawing import as_json

        return as_json(self, status)
