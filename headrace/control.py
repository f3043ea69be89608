"""This module holds what a flow may say beyond calls: run only when, and once for each."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast, overload

from headrace.artifacts import Artifact, Partitions, Report
from headrace.errors import DefinitionError, HeadraceError, ParameterError
from headrace.operation import Operator
from headrace.symbols import TraceStopped
from headrace.tracing import current_tracer

A = TypeVar("A", bound=Artifact)


class FlowTracer(Protocol):
    """This is what the planner offers beyond recording calls."""

    def group(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Put the nodes of the block into a folder."""
        ...

    def condition(
        self, report: object, *, expected: bool
    ) -> contextlib.AbstractContextManager[None]:
        """Let the nodes of the block run only if the report turns out as expected."""
        ...

    def call_over(
        self, operator: Operator[..., Any], over: str, kwargs: Mapping[str, Any]
    ) -> object:
        """Record a call for every partition of the argument `over`."""
        ...

    def stop(self, reason: TraceStopped) -> TraceStopped:
        """Note why the flow body cannot be read on, and return it to be raised."""
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


def refusal(error: HeadraceError, *, rule: str = "definition") -> BaseException:
    """Return what to raise: in a flow body what stops the plan, elsewhere the error itself."""
    tracer = current_tracer()
    if tracer is None:
        return error
    return tracer.stop(TraceStopped(error.problem, remedy=error.remedy, rule=rule))


def when(report: Report) -> contextlib.AbstractContextManager[None]:
    """Run the operators of a `with` block only if the report passed.

    What is skipped is shown as skipped, and so is what needs it.

    Args:
        report: The report whose `passed` decides.
    """
    return flow_tracer("when").condition(report, expected=True)


def otherwise(report: Report) -> contextlib.AbstractContextManager[None]:
    """Run the operators of a `with` block only if the report did not pass; see `when`."""
    return flow_tracer("otherwise").condition(report, expected=False)


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
        DefinitionError: It is given a flow or a plain function.
    """
    if not isinstance(operator, Operator):
        raise refusal(
            DefinitionError(
                f"`map_over` takes an operator, got {operator!r}.",
                remedy="Call it in a list comprehension: `[f(item) for item in items]`.",
            )
        )
    argument = next((n for n in operator.signature.order if n not in fixed), None)
    if argument is None:
        raise refusal(
            ParameterError(
                f"`map_over` of operator '{operator.name}' fixes every argument.",
                remedy="Leave out the argument that takes the items.",
            )
        )
    if not isinstance(over, Partitions):
        return [operator(**{argument: item}, **fixed) for item in over]
    if over._symbol is None:
        made = {k: operator(**{argument: v}, **fixed) for k, v in over.items.items()}
        return Partitions.of(made)
    recorded = flow_tracer("map_over").call_over(operator, argument, {argument: over, **fixed})
    return cast("Partitions[A]", recorded)
