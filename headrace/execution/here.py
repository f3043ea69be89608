"""This module calls a node's body in this thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Partitions
from headrace.execution.keys import promised_of
from headrace.grants import granting
from headrace.invoke import invoke
from headrace.recording import Invocation, invoking
from headrace.signature import Bound

if TYPE_CHECKING:
    from headrace.operation import Operator
    from headrace.plan import Node


def call_here(
    node: Node,
    operator: Operator[..., Any],
    inputs: Mapping[str, Artifact | list[Artifact]],
    grants: Sequence[str],
    invocation: Invocation,
) -> dict[str, Artifact]:
    """Return the outputs of a node's body by name, called in this thread; see `call_body`."""
    slots = operator.signature.outputs
    promised = promised_of(node.outputs)
    bound = Bound(inputs=inputs, parameters=node.parameters)
    with granting(grants, flow=invocation.flow), invoking(invocation):
        made = invoke(operator, bound, promised=promised)
    if not slots:
        return {}
    values = (made,) if operator.signature.single else made
    named = dict(zip((s.name for s in slots), values, strict=True))
    if node.over is not None:  # a mapped node's outputs are put together by the caller
        return {k: v for k, v in named.items() if not isinstance(v, Partitions)}
    return named
