"""This module calls a node's body: with its grants, with retries, in a process if it must be."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact
from headrace.errors import HeadraceError, ServiceError
from headrace.execution.here import call_here
from headrace.execution.isolated import call_in_process
from headrace.recording import Invocation

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
