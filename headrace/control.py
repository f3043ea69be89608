"""This module holds what a flow may say beyond calls: run only when, and once for each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast, overload

from headrace.artifacts import Artifact, Partitions, Report
from headrace.errors import DefinitionError, ParameterError
from headrace.operation import Operator
from headrace.tracing import current_tracer

A = TypeVar("A", bound=Artifact)


class FlowTracer(Protocol):
    """This is what the planner offers beyond recording calls."""

    def group(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Put the nodes of the block into a folder."""
        ...

    def condition(
        self, report: Artifact, *, expected: bool
    ) -> contextlib.AbstractContextManager[None]:
        """Let the nodes of the block run only if the report turns out as expected."""
        ...

    def call_over(
        self, operator: Operator[..., Any], over: str, kwargs: Mapping[str, Any]
    ) -> object:
        """Record a call for every partition of the argument `over`."""
        ...


def flow_tracer(what: str) -> FlowTracer:
    """Return the planner that reads the current flow.

    Raises:
        DefinitionError: No flow is being read; `what` says what was used.
    """
    tracer = current_tracer()
    if tracer is None:
        raise DefinitionError(
            f"`{what}` is used outside a flow.",
            remedy="Use it in the body of a function decorated with `@flow`.",
        )
    return cast(FlowTracer, tracer)


@contextlib.contextmanager
def when(report: Report) -> Iterator[None]:
    """Run the operators of the block only if the report passed.

    What is skipped is shown as skipped, and so is what needs it.

    Args:
        report: The report whose `passed` decides.
    """
    with flow_tracer("when").condition(report, expected=True):
        yield


@contextlib.contextmanager
def otherwise(report: Report) -> Iterator[None]:
    """Run the operators of the block only if the report did not pass; see `when`."""
    with flow_tracer("otherwise").condition(report, expected=False):
        yield


@overload
def map_over(operator: Operator[..., A], over: Partitions[Any], **fixed: Any) -> Partitions[A]: ...


@overload
def map_over(operator: Operator[..., A], over: Sequence[Any], **fixed: Any) -> list[A]: ...


def map_over(
    operator: Operator[..., A], over: Partitions[Any] | Sequence[Any], **fixed: Any
) -> Partitions[A] | list[A]:
    """Call an operator once for each item; the first argument that is not fixed takes the item.

    Args:
        operator: The operator.
        over: Values or artifacts known to the plan (a node each), or partitions whose number only
            the data knows (one node that runs once for each, cached one by one).
        **fixed: The other arguments.

    Raises:
        ParameterError: Every argument is fixed.
    """
    argument = next((n for n in operator.signature.order if n not in fixed), None)
    if argument is None:
        raise ParameterError(
            f"`map_over` of operator '{operator.name}' fixes every argument.",
            remedy="Leave out the argument that takes the items.",
        )
    if not isinstance(over, Partitions):
        return [operator(**{argument: item}, **fixed) for item in over]
    if over._symbol is None:
        made = {k: operator(**{argument: v}, **fixed) for k, v in over.items.items()}
        return Partitions.of(made)
    recorded = flow_tracer("map_over").call_over(operator, argument, {argument: over, **fixed})
    return cast("Partitions[A]", recorded)
