"""This module runs a flow's body on symbols and writes down what it calls."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Partitions, kind_named
from headrace.calls import PlannedCall
from headrace.errors import HeadraceError
from headrace.grants import granting
from headrace.plan.checks import check_call, check_machine
from headrace.plan.graph import Condition, Edge, Location, Node, Plan, Problem, Ref
from headrace.plan.leaks import leaking_features
from headrace.plan.locations import calling, defining, raising
from headrace.plan.outputs import planned_outputs
from headrace.plan.pruning import needed_nodes
from headrace.promise import symbol_of
from headrace.signature import Bound, Signature
from headrace.slots import Slot
from headrace.symbols import Symbol, TraceStopped
from headrace.tracing import tracing

if TYPE_CHECKING:
    from headrace.operation import Operator

_DEEPEST = 50  # subflows in subflows; a flow that calls itself without end gets here


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
    planner = _Planner(name, body, seed=seed, grants=tuple(grants))
    returned: Any = None
    try:
        with tracing(planner):
            returned = body(**arguments)
    except TraceStopped as reason:
        planner.stop(reason, raising(reason, body.__code__))
    except HeadraceError as error:
        planner.stopped = True
        planner.problem("definition", error.problem, error.remedy, raising(error, body.__code__))
    except (Exception, SystemExit) as error:  # the body is the user's: what it raises is a finding
        planner.stopped = True
        planner.problem(
            "flow body",
            f"The flow body raised {type(error).__name__}: {error}.",
            "Correct the body; it only composes operators and reads parameters.",
            raising(error, body.__code__),
        )
    return planner.finished(returned, parameters)


class _Planner:
    """This records the operator calls of one flow body."""

    def __init__(
        self, flow: str, body: Callable[..., Any], *, seed: int, grants: tuple[str, ...]
    ) -> None:
        self.flow, self.seed, self.grants = flow, seed, grants
        self.stopped = False
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.problems: list[Problem] = []
        self._warnings: list[str] = []
        self._code = body.__code__
        self._prefix = ""
        self._taken: set[str] = set()
        self._conditions: tuple[Condition, ...] = ()
        self._given: dict[int, Ref] = {}
        self._made: dict[int, Artifact] = {}
        self._reasons: list[TraceStopped] = []
        self._unentered: dict[object, tuple[Location, bool]] = {}

    def problem(
        self, rule: str, problem: str, remedy: str, location: Location | None = None
    ) -> None:
        """Note a problem, once."""
        found = Problem(
            rule=rule, problem=problem, remedy=remedy, location=location or calling(self._code)
        )
        if found not in self.problems:
            self.problems.append(found)

    def stop(self, reason: TraceStopped, location: Location | None = None) -> TraceStopped:
        """Note why the body cannot be read on, even if the body catches it; see `Tracer`."""
        if not any(noted is reason for noted in self._reasons):
            self._reasons.append(reason)
            self.stopped = True
            said = f"{reason.problem} What follows in the flow could not be checked."
            self.problem(reason.rule, said, reason.remedy, location)
        return reason

    @contextlib.contextmanager
    def group(self, name: str) -> Iterator[None]:
        """Put the nodes of the block into a folder: a subflow."""
        before = self._prefix
        if before.count("/") >= _DEEPEST:
            raise self.stop(
                TraceStopped(
                    f"Flow '{name}' is called {_DEEPEST} subflows deep: it may call itself "
                    "without end.",
                    remedy="Give the recursion an end that the parameters decide.",
                    rule="recursion",
                )
            )
        self._prefix = f"{self._unique(name)}/"
        try:
            yield
        finally:
            self._prefix = before

    def condition(
        self, report: object, *, expected: bool
    ) -> contextlib.AbstractContextManager[None]:
        """Let the nodes of a block run only if the report turns out as expected."""
        word = "when" if expected else "otherwise"
        is_report = isinstance(report, Artifact) and symbol_of(report).kind == "Report"
        if not is_report or (isinstance(report, Artifact) and symbol_of(report).partitioned):
            self.problem(
                "wrong kind",
                f"`{word}` takes one Report, got {report!r}.",
                "Let an operator return a Report with `passed`.",
            )
        ref = self._ref(report) if isinstance(report, Artifact) else None
        token = object()
        self._unentered[token] = calling(self._code), expected

        @contextlib.contextmanager
        def block() -> Iterator[None]:
            self._unentered.pop(token, None)
            before = self._conditions
            if ref is not None:
                self._conditions = (*before, Condition(ref=ref, expected=expected))
            try:
                yield
            finally:
                self._conditions = before

        return block()

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
        location, before = calling(self._code), len(self.problems)
        signature, bound = self._bound(operator, args, kwargs, location)
        path = self._unique(operator.node_name(bound.parameters))
        sources = {
            slot.name: self._sources(slot, bound.inputs[slot.name], path, location)
            for slot in signature.inputs
            if slot.name in bound.inputs
        }
        inputs = {name: tuple(ref for ref, _ in found) for name, found in sources.items()}
        parameters = dict(bound.parameters)
        seed = None
        if "seed" in parameters and parameters["seed"] is None:
            seed = parameters["seed"] = derived_seed(self.seed, path)
        call = PlannedCall(
            operator=operator.name,
            parameters=parameters,
            inputs={name: tuple(symbol for _, symbol in found) for name, found in sources.items()},
        )
        complete = len(self.problems) == before
        # the checks are plain code, and may import or call what they like
        with tracing(None), granting(self.grants, flow=self.flow):
            findings, warnings, edges = check_call(
                operator, call, inputs=inputs, path=path, over=over, complete=complete
            )
            outputs, wrong = planned_outputs(operator, call, path=path, over=over)
        findings += check_machine(operator)
        if complete and not findings:  # `produces` may fail on inputs that were refused
            findings += [*wrong, *leaking_features(call, outputs, path=path)]
        for rule, problem, remedy in findings:
            self.problem(rule, problem, remedy, location)
        self._warnings.extend(f"{location}: {warning}" for warning in warnings)
        self.edges.extend(edges)
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
        made = tuple(self._symbolic(symbol) for symbol in outputs.values())
        if not signature.single:
            return made
        return made[0] if made else None

    def _bound(
        self,
        operator: Operator[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        location: Location,
    ) -> tuple[Signature, Bound]:
        """Return a call's arguments sorted; note what is wrong with them."""
        try:
            signature = operator.signature
            bound = signature.sorted_arguments(args, kwargs)
        except HeadraceError as error:  # its signature cannot be read; the flow must not catch it
            reason = TraceStopped(error.problem, remedy=error.remedy, rule="definition")
            raise self.stop(reason, location) from error
        for rule, problem, remedy in bound.problems:
            self.problem(rule, problem, remedy, location)
        return signature, bound

    def _symbolic(self, symbol: Symbol) -> Artifact:
        kind = Partitions if symbol.partitioned else kind_named(symbol.kind)
        made = kind.symbolic(symbol)
        self._made[id(made)] = made
        return made

    def _sources(
        self, slot: Slot, value: Any, path: str, location: Location
    ) -> list[tuple[Ref, Symbol]]:
        """Return where the artifacts of an input come from; note what is no artifact."""
        listed = slot.many and isinstance(value, list | tuple)
        items = list(value) if listed else [value]
        found = []
        for item in items:
            if isinstance(item, Artifact):
                ref = self._ref(item, location)
                found += [] if ref is None else [(ref, symbol_of(item))]
            else:
                self.problem(
                    "value as artifact",
                    f"'{path}.{slot.name}': the input takes {slot.type_name()}, "
                    f"got {_described(item)}.",
                    f"Pass what an operator returns as {slot.type_name()}.",
                    location,
                )
        one = items[0] if len(items) == 1 else None
        if (
            slot.many
            and not listed
            and isinstance(one, Artifact)
            and not symbol_of(one).partitioned
        ):
            self.problem(
                "wrong kind",
                f"'{found[0][0] if found else '?'}' → '{path}.{slot.name}': the input takes "
                f"{slot.type_name()}, got one {one.kind}.",
                f"Pass a list: {slot.name}=[...].",
                location,
            )
        return found

    def _ref(self, artifact: Artifact, location: Location | None = None) -> Ref | None:
        symbol = artifact._symbol
        if symbol is not None:
            if id(artifact) in self._made:
                return Ref(node=symbol.node, slot=symbol.slot)
            self.problem(
                "foreign artifact",
                f"The {symbol.kind} from '{symbol.node}' belongs to the plan of another flow, or "
                "to an earlier plan of this one.",
                "Make it in this flow, or call the other flow here.",
                location,
            )
            return None
        if id(artifact) not in self._given:
            path = self._unique("given")
            self.nodes[path] = Node(
                path=path,
                operator=None,
                outputs={"result": symbol_of(artifact)},
                location=location or calling(self._code),
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

    def _results(self, returned: Any) -> tuple[Ref, ...]:
        listed = list(returned) if isinstance(returned, list | tuple) else [returned]
        wrong = [r for r in listed if not isinstance(r, Artifact)]
        if returned is not None and wrong:
            inside = "" if wrong[0] is returned else f", in it {_described(wrong[0])}"
            self.problem(
                "flow result",
                f"Flow '{self.flow}' returns {_described(returned)}{inside}; a flow returns "
                "artifacts.",
                "Return an artifact, a tuple of artifacts, or nothing.",
                defining(self._code),
            )
        found = (self._ref(r, defining(self._code)) for r in listed if isinstance(r, Artifact))
        return tuple(ref for ref in found if ref is not None)

    def finished(self, returned: Any, parameters: Mapping[str, Any]) -> Plan:
        """Return the plan: pruned, with what the flow returns."""
        for location, expected in self._unentered.values():
            word = "when" if expected else "otherwise"
            self.problem(
                "idle condition",
                f"`{word}(...)` stands alone, so nothing depends on it.",
                f"Write `with {word}(report):` and indent what it decides.",
                location,
            )
        results = self._results(returned)
        kept, pruned = needed_nodes(self.nodes, results)
        if self.stopped:  # what would have used them was not read
            kept, pruned = frozenset(self.nodes), []
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
            returns_many=isinstance(returned, list | tuple),
            problems=tuple(self.problems),
            warnings=(*self._warnings, *warnings),
            pruned=tuple(pruned),
            grants=self.grants,
        )


def _described(value: object) -> str:
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"


def derived_seed(seed: int, path: str) -> int:
    """Return a node's seed: 31 bits of a hash of the flow's seed and the node's path."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{path}".encode()).digest()[:4]) >> 1
