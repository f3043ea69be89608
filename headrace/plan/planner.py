"""This module runs a flow's body on symbols and writes down what it calls."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Partitions, kind_named
from headrace.errors import HeadraceError
from headrace.operation import PlannedCall
from headrace.plan.checks import check_call, check_machine
from headrace.plan.graph import Condition, Edge, Location, Node, Plan, Problem, Ref
from headrace.plan.pruning import needed_nodes
from headrace.promise import promised_schemas, symbol_of
from headrace.signature import Slot
from headrace.symbols import DataTouched, Symbol
from headrace.tracing import tracing

if TYPE_CHECKING:
    from headrace.operation import Operator

_KERNEL = str(Path(__file__).parent.parent)


def plan_flow(
    name: str,
    body: Callable[..., Any],
    arguments: Mapping[str, Any],
    *,
    parameters: Mapping[str, Any],
    seed: int = 0,
    grants: Sequence[str] = (),
) -> Plan:
    """Read a flow's body and return its plan, problems included.

    Args:
        name: Name of the flow.
        body: The flow's function.
        arguments: What to call it with.
        parameters: The same as plain values, for the record.
        seed: The flow's seed.
        grants: What external data the flow may read.

    Returns:
        The plan. No operator body has run and no data was read.
    """
    planner = _Planner(name, seed=seed, grants=tuple(grants))
    returned: Any = None
    try:
        with tracing(planner):
            returned = body(**arguments)
    except DataTouched as touched:
        rule = "branch on a symbol" if "branches" in touched.problem else "data touched"
        planner.problem(
            rule,
            f"{touched.problem} What follows in the flow could not be checked.",
            touched.remedy,
            _raised_at(touched),
        )
    except HeadraceError as error:
        planner.problem("definition", error.problem, error.remedy, _raised_at(error))
    except Exception as error:  # a flow body is the user's code: whatever it raises is a finding
        planner.problem(
            "flow body",
            f"The flow body raised {type(error).__name__}: {error}.",
            "Correct the body; it only composes operators and reads parameters.",
            _raised_at(error),
        )
    return planner.finished(returned, parameters)


class _Planner:
    """This records the operator calls of one flow body."""

    def __init__(self, flow: str, *, seed: int, grants: tuple[str, ...]) -> None:
        self.flow, self.seed, self.grants = flow, seed, grants
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.problems: list[Problem] = []
        self._prefix = ""
        self._taken: set[str] = set()
        self._conditions: tuple[Condition, ...] = ()
        self._given: dict[int, Ref] = {}

    def problem(self, rule: str, problem: str, remedy: str, location: Location) -> None:
        """Note a problem, once."""
        found = Problem(rule=rule, problem=problem, remedy=remedy, location=location)
        if found not in self.problems:
            self.problems.append(found)

    @contextlib.contextmanager
    def group(self, name: str) -> Iterator[None]:
        """Put the nodes of the block into a folder: a subflow."""
        before = self._prefix
        self._prefix = f"{self._unique(name)}/"
        try:
            yield
        finally:
            self._prefix = before

    @contextlib.contextmanager
    def condition(self, report: Artifact, *, expected: bool) -> Iterator[None]:
        """Let the nodes of the block run only if the report turns out as expected."""
        if report.kind != "Report":
            self.problem(
                "wrong kind",
                f"`when` takes a Report, got {report!r}.",
                "Let an operator return a Report with `passed`.",
                _caller(),
            )
        before = self._conditions
        self._conditions = (*before, Condition(ref=self._ref(report), expected=expected))
        try:
            yield
        finally:
            self._conditions = before

    def call(
        self, operator: Operator[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> object:
        """Record a call; see `Tracer`."""
        return self._record(operator, args, kwargs, over=None)

    def call_over(
        self, operator: Operator[..., Any], over: str, kwargs: Mapping[str, Any]
    ) -> object:
        """Record a call for every partition of the argument `over`."""
        return self._record(operator, (), kwargs, over=over)

    def _record(
        self,
        operator: Operator[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        over: str | None,
    ) -> object:
        location = _caller()
        signature = operator.signature
        bound = signature.sorted_arguments(args, kwargs)
        path = self._unique(_node_name(operator, bound.parameters))
        for problem, remedy in bound.problems:
            rule = "wrong parameter" if "parameter" in problem else "wrong argument"
            self.problem(rule, problem, remedy, location)
        inputs: dict[str, tuple[Ref, ...]] = {}
        symbols: dict[str, tuple[Symbol, ...]] = {}
        for slot in signature.inputs:
            if slot.name in bound.inputs:
                found = self._sources(slot, bound.inputs[slot.name])
                inputs[slot.name] = tuple(ref for ref, _ in found)
                symbols[slot.name] = tuple(symbol for _, symbol in found)
        parameters = dict(bound.parameters)
        seed = None
        if "seed" in parameters and parameters["seed"] is None:
            seed = parameters["seed"] = derived_seed(self.seed, path)
        call = PlannedCall(operator=operator.name, parameters=parameters, inputs=symbols)
        findings, edges = check_call(
            operator, call, inputs=inputs, path=path, grants=self.grants, over=over
        )
        for rule, problem, remedy in findings:
            self.problem(rule, problem, remedy, location)
        for rule, problem, remedy in check_machine(operator):
            self.problem(rule, problem, remedy, location)
        self.edges.extend(edges)
        outputs = self._outputs(operator, call, path, over, location)
        self.nodes[path] = Node(
            path=path,
            operator=operator,
            inputs=inputs,
            parameters=parameters,
            outputs=outputs,
            location=location,
            seed=seed,
            conditions=self._conditions,
            over=over,
        )
        made = tuple(
            Partitions.symbolic(s) if s.partitioned else kind_named(s.kind).symbolic(s)
            for s in outputs.values()
        )
        if not signature.single:
            return made
        return made[0] if made else None

    def _outputs(
        self,
        operator: Operator[..., Any],
        call: PlannedCall,
        path: str,
        over: str | None,
        location: Location,
    ) -> dict[str, Symbol]:
        try:
            schemas = promised_schemas(operator, call)
        except HeadraceError as error:  # `produces` may meet inputs that were refused above
            if not any(p.location == location for p in self.problems):
                self.problem("definition", error.problem, error.remedy, location)
            schemas = {}
        if operator.options.infer:
            from headrace.plan.inference import inferred_outputs

            schemas = inferred_outputs(operator, call) | {k: v for k, v in schemas.items() if v}
        task = operator.options.task or next(
            (s.task for group in call.inputs.values() for s in group if s.task), None
        )
        return {
            slot.name: Symbol(
                node=path,
                slot=slot.name,
                kind=slot.kinds[0],
                schema=schemas.get(slot.name),
                task=task if slot.kinds[0] in ("Model", "SelectedModel") else None,
                partitioned=slot.partitioned or over is not None,
            )
            for slot in operator.signature.outputs
        }

    def _sources(self, slot: Slot, value: Any) -> list[tuple[Ref, Symbol]]:
        items = list(value) if isinstance(value, list | tuple) else [value]
        return [(self._ref(item), symbol_of(item)) for item in items if isinstance(item, Artifact)]

    def _ref(self, artifact: Artifact) -> Ref:
        symbol = artifact._symbol
        if symbol is not None:
            return Ref(node=symbol.node, slot=symbol.slot)
        if id(artifact) not in self._given:
            path = self._unique("given")
            self.nodes[path] = Node(
                path=path,
                operator=None,
                outputs={"result": symbol_of(artifact)},
                location=_caller(),
                given=artifact,
            )
            self._given[id(artifact)] = Ref(node=path, slot="result")
        return self._given[id(artifact)]

    def _unique(self, name: str) -> str:
        wanted = path = self._prefix + name
        count = 1
        while path in self._taken:
            count += 1
            path = f"{wanted}#{count}"
        self._taken.add(path)
        return path

    def finished(self, returned: Any, parameters: Mapping[str, Any]) -> Plan:
        """Return the plan: pruned, with what the flow returns."""
        many = isinstance(returned, list | tuple)
        listed = list(returned) if many else [returned]
        results = tuple(self._ref(r) for r in listed if isinstance(r, Artifact))
        kept, pruned = needed_nodes(self.nodes, results)
        warnings = tuple(
            f"{self.nodes[path].location}: nobody uses what '{path}' makes, so it will not run."
            for path in pruned
            if self.nodes[path].operator is not None
        )
        return Plan(
            flow=self.flow,
            parameters=dict(parameters),
            seed=self.seed,
            nodes=tuple(n for p, n in self.nodes.items() if p in kept),
            edges=tuple(e for e in self.edges if e.target in kept),
            results=results,
            returns_many=many,
            problems=tuple(self.problems),
            warnings=warnings,
            pruned=tuple(pruned),
            grants=self.grants,
        )


def _node_name(operator: Operator[..., Any], parameters: Mapping[str, Any]) -> str:
    named_by = parameters.get(operator.options.named_by or "")
    name = named_by if isinstance(named_by, str) else getattr(named_by, "name", None)
    return f"{operator.name}:{name}" if name else operator.name


def derived_seed(seed: int, path: str) -> int:
    """Return a node's seed: 31 bits of a hash of the flow's seed and the node's path."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{path}".encode()).digest()[:4]) >> 1


def _caller() -> Location:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(
        (_KERNEL, contextlib.__file__)
    ):
        frame = frame.f_back
    return Location(file=_shown(frame.f_code.co_filename), line=frame.f_lineno)


def _raised_at(error: BaseException) -> Location:
    """Return the innermost place of the traceback that is the user's."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_KERNEL)
    ]
    if not frames:
        return Location(file="<flow>", line=0)
    return Location(file=_shown(frames[-1].filename), line=frames[-1].lineno or 0)


@functools.lru_cache(maxsize=1024)
def _shown(filename: str) -> str:
    path = Path(filename)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return filename
