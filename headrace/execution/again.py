"""This module calls one node of a past run again, on the inputs it had, in this thread.

Nothing is reused and nothing is recorded: it is for looking into a failure with a debugger, and for
finding out whether a body gives the same result twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Partitions, Tabular
from headrace.clock import current_clock
from headrace.errors import HeadraceError, ParameterError, UnknownNameError
from headrace.execution.here import call_here
from headrace.execution.keys import Keys, parts_from_json
from headrace.execution.recorded import Inputs, recorded_inputs
from headrace.execution.stored import flattened
from headrace.identity import difference
from headrace.operation import Operator
from headrace.recording import Invocation

if TYPE_CHECKING:
    from headrace.execution.session import Session
    from headrace.lineage.records import InvocationRecord, RunRecord
    from headrace.plan import Node, Plan
    from headrace.workflow import Flow

Body = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Again:
    """This is a node of a past run, ready to be called again.

    Args:
        run: The past run.
        recorded: What it recorded of the node.
        node: The node in today's plan of the flow with the run's parameters and seed.
        operator: Its operator.
        inputs: Input name to what it read then.
        grants: What external data the flow may read.
        changes: What is not as it was then, a clause each: code, parameters, packages.
        remarks: What does not count here, a sentence each.
    """

    run: RunRecord
    recorded: InvocationRecord
    node: Node
    operator: Operator[..., Any]
    inputs: Inputs
    grants: tuple[str, ...]
    changes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CalledAgain:
    """This is what came of a second call.

    Args:
        outputs: Output name to artifact, partitions as "output[partition]"; in memory only.
        digests: Output name to the digest now.
        recorded: Output name to the digest then; empty if the node gave no result then.
        error: What the body raised.
        seconds: How long it took.
    """

    outputs: Mapping[str, Artifact]
    digests: Mapping[str, str]
    recorded: Mapping[str, str]
    error: BaseException | None
    seconds: float

    @property
    def same(self) -> bool | None:
        """Whether every output is what it was then; None where there is nothing to compare."""
        if self.error is not None or not self.recorded:
            return None
        return dict(self.digests) == dict(self.recorded)


def prepare_again(recorded: InvocationRecord, flow: Flow[..., Any], *, session: Session) -> Again:
    """Plan the flow as the run did and load what the node read then.

    Args:
        recorded: The invocation, of any state that has inputs.
        flow: The flow as it is today.
        session: Store, lineage and roots.

    Raises:
        ParameterError: The flow does not take the run's parameters any more, or the node has
            nothing to call again: an effect, a node that was skipped, an artifact handed in.
        UnknownNameError: Today's flow has no such node.
        StoreError: An input is not in the store any more, or damaged.
    """
    run = session.lineage.run(recorded.run_id)
    _refuse_what_has_no_body(recorded, run)
    plan = planned_as(run, flow)
    node = _node_of(plan, recorded)
    if node.operator is None or node.effect:
        raise _acts(recorded, run)
    inputs = recorded_inputs(
        recorded,
        node,
        others=session.lineage.invocations(run.id),
        store=session.store,
        lineage=session.lineage,
    )
    return Again(
        run=run,
        recorded=recorded,
        node=node,
        operator=node.operator,
        inputs=inputs,
        grants=plan.grants,
        changes=_changes(recorded, node, inputs, session),
        remarks=tuple(_remarks(node.operator, plan)),
    )


def planned_as(run: RunRecord, flow: Flow[..., Any]) -> Plan:
    """Return today's plan of a flow with the parameters and the seed of a past run.

    Raises:
        ParameterError: The flow does not take these parameters any more, or takes artifacts, which
            are not among the recorded parameters.
    """
    shown = f"run:{run.id[:12]}"
    if flow.parameters.artifacts:
        names = ", ".join(f"'{name}'" for name in flow.parameters.artifacts)
        raise ParameterError(
            f"Flow '{flow.name}' takes artifacts ({names}), which {shown} recorded without names.",
            remedy=f'call it in Python on what was handed in: `load("{shown}/given")`.',
        )
    try:
        return flow.plan_with(run.parameters, seed=run.seed)
    except ParameterError as error:
        raise ParameterError(
            f"The parameters of {shown} do not fit the flow of today. {error.problem}",
            remedy=f"change them: `headrace runs fork {shown} -p name=value --without name`.",
        ) from error


def call_again(
    again: Again,
    *,
    through: Callable[[Body], Body] | None = None,
    tell: Callable[[str], None] | None = None,
) -> CalledAgain:
    """Call the body in this thread and compare what it gives with what was recorded.

    Args:
        again: The prepared node.
        through: Wraps the body, as a debugger does; None calls it as it is.
        tell: Is given what the body says of how far it is.
    """
    operator = again.operator
    if through is not None:
        operator = _with_body(operator, through(operator.body))
    invocation = Invocation(
        run_id=again.run.id, node=again.recorded.node, flow=again.run.flow, tell=tell
    )
    started = current_clock().monotonic()
    made: Mapping[str, Artifact] = {}
    failed: BaseException | None = None
    try:
        made = call_here(again.node, operator, again.inputs, again.grants, invocation)
    except (Exception, SystemExit) as error:  # whatever a body raises is what was asked for
        failed = error
    seconds = current_clock().monotonic() - started
    outputs = flattened(made)
    return CalledAgain(
        outputs=outputs,
        digests={name: _digest(artifact) for name, artifact in outputs.items()},
        recorded={edge.name: edge.digest for edge in again.recorded.outputs},
        error=failed,
        seconds=seconds,
    )


def frames_of_body(again: Again, error: BaseException) -> TracebackType | None:
    """Return what was raised from the body's own frame on; None when the body was not reached."""
    code = getattr(inspect.unwrap(again.operator.body), "__code__", None)
    outermost = getattr(again.operator.body, "__code__", None)
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code not in (outermost, code):
        frames = frames.tb_next
    return frames


def _digest(artifact: Artifact) -> str:
    """Return the digest under which the store would keep an artifact."""
    from headrace.content import table_digest

    # a table that was handed on may have fewer columns than the digest it came with
    return table_digest(artifact.arrow()) if isinstance(artifact, Tabular) else artifact.digest


def _with_body(operator: Operator[..., Any], body: Body) -> Operator[..., Any]:
    signature = operator.signature  # read from the hints of its own body
    made: Operator[..., Any] = Operator.__new__(Operator)
    made.__dict__.update({**vars(operator), "signature": signature, "body": body})
    return made


def _refuse_what_has_no_body(recorded: InvocationRecord, run: RunRecord) -> None:
    shown = f"run:{run.id[:12]}"
    if recorded.effect:
        raise _acts(recorded, run)
    if recorded.operator == "given":
        raise ParameterError(
            f"'{recorded.node}' of {shown} was handed in; there is no body to call.",
            remedy="name a node that an operator made.",
        )
    if recorded.state in ("skipped", "waiting"):
        told = {"skipped": "was skipped", "waiting": "waits for a person"}[recorded.state]
        raise ParameterError(
            f"'{recorded.node}' of {shown} {told}, so no inputs were recorded. "
            f"{recorded.message}".rstrip(),
            remedy=f"name a node that ran; `headrace explain {shown}` shows which did.",
        )


def _acts(recorded: InvocationRecord, run: RunRecord) -> ParameterError:
    return ParameterError(
        f"'{recorded.node}' of run:{run.id[:12]} is an effect: it acts on the world, and would "
        "act unrecorded here.",
        remedy=f"go on with the run, `headrace resume run:{run.id[:12]}`, or run the flow again.",
    )


def _node_of(plan: Plan, recorded: InvocationRecord) -> Node:
    """Return the node as it is planned today; a partition belongs to the node that is mapped."""
    nodes = {node.path: node for node in plan.nodes}
    mapped = nodes.get(recorded.node.partition("[")[0])
    if recorded.node in nodes:
        return nodes[recorded.node]
    if recorded.node.endswith("]") and mapped is not None and mapped.over is not None:
        return mapped
    if plan.problems:
        plan.require_sound()
    raise UnknownNameError.of(
        f"node of today's flow '{plan.flow}' called",
        recorded.node,
        nodes,
        remedy=f"name a node that it still has; `headrace plan {plan.flow}` lists them.",
    )


def _changes(
    recorded: InvocationRecord, node: Node, inputs: Inputs, session: Session
) -> tuple[str, ...]:
    """Say what of the key is not as it was; nothing where no key was recorded."""
    if not recorded.key_parts:
        return ()
    labelled = {
        name: [
            (edge.name.removeprefix(name), artifact)
            for edge, artifact in zip(_edges(recorded, name), _listed(value), strict=True)
        ]
        for name, value in inputs.items()
    }
    try:
        key = Keys(session.roots, recorded.run_id).of(node, labelled)
    except HeadraceError:  # external data cannot be read; the body will say so
        return ()
    return difference(parts_from_json(recorded.key_parts), key.parts)


def _edges(recorded: InvocationRecord, name: str) -> list[Any]:
    return [edge for edge in recorded.inputs if edge.name.partition("[")[0] == name]


def _listed(value: Artifact | list[Artifact]) -> list[Artifact]:
    if isinstance(value, list):
        return value
    return list(value.items.values()) if isinstance(value, Partitions) else [value]


def _remarks(operator: Operator[..., Any], plan: Plan) -> list[str]:
    said = []
    if operator.options.timeout is not None:
        said.append(
            f"Its timeout of {operator.options.timeout:g} s does not count here: it runs in this "
            "process."
        )
    if operator.options.retries:
        said.append("It is called once; its retries do not count here.")
    if plan.problems:
        count = len(plan.problems)
        said.append(
            f"The flow of today has {count} problem{'s' if count > 1 else ''}; "
            f"`headrace plan {plan.flow}` tells."
        )
    return said
