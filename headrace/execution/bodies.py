"""This module calls a node's body: with its grants, with retries, in a process if it must be."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Partitions
from headrace.errors import HeadraceError, ServiceError
from headrace.execution.keys import promised_of
from headrace.grants import granting
from headrace.invoke import invoke
from headrace.recording import Invocation, invoking
from headrace.signature import Bound

if TYPE_CHECKING:
    from headrace.execution.session import Session
    from headrace.operation import Operator
    from headrace.plan import Node


def call_body(
    node: Node,
    operator: Operator[..., Any],
    inputs: Mapping[str, Artifact | list[Artifact]],
    *,
    grants: Sequence[str],
    invocation: Invocation,
    session: Session,
) -> dict[str, Artifact]:
    """Return the outputs of a node's body by name; what fails for the system's sake is retried.

    Args:
        node: The node.
        operator: Its operator.
        inputs: Input name to artifact, or the list of them.
        grants: What external data the flow may read.
        invocation: What the body may know of where it runs.
        session: Store and lineage, for a body in a process of its own.

    Raises:
        Exception: Whatever the body raised at its last attempt.
    """
    attempts = operator.options.retries + 1
    for attempt in range(1, attempts + 1):
        try:
            if operator.options.timeout is not None:
                from headrace.execution.isolated import call_in_process

                return call_in_process(
                    node, operator, inputs, grants=grants, invocation=invocation, session=session
                )
            return call_here(node, operator, inputs, grants, invocation)
        except HeadraceError as error:
            if attempt == attempts or not isinstance(error, ServiceError):
                raise  # wrong code and wrong data stay wrong
        except Exception:
            if attempt == attempts:
                raise
        time.sleep(min(30.0, 0.5 * 2 ** (attempt - 1)))
    raise AssertionError("the last attempt returns or raises")


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
    with granting(grants), invoking(invocation):
        made = invoke(operator, bound, promised=promised)
    if not slots:
        return {}
    values = (made,) if operator.signature.single else made
    named = dict(zip((s.name for s in slots), values, strict=True))
    if node.over is not None:  # a mapped node's outputs are put together by the caller
        return {k: v for k, v in named.items() if not isinstance(v, Partitions)}
    return named
