"""This module lets a flow read what the labeling loop that it runs was granted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from headrace.workflow import Flow

if TYPE_CHECKING:
    from headrace.plan import Plan

P = ParamSpec("P")
R = TypeVar("R")
Grants = Callable[[Mapping[str, Any]], tuple[str, ...]]


class LoopFlow(Flow[P, R]):
    """This is a flow whose grants its parameters decide: those of the loop that they name."""

    def __init__(self, declared: Flow[P, R], grants_of: Grants) -> None:
        super().__init__(
            declared.body,
            declared.grants,
            schedules=declared.schedules,
            triggers=declared.triggers,
            partition=declared.partition,
            at_once=declared.at_once,
        )
        self._grants_of = grants_of

    def plan_with(self, arguments: Mapping[str, Any], *, seed: int | None = None) -> Plan:
        """Read the flow's body; see `Flow.plan_with`."""
        from headrace.plan import plan_flow

        checked = self.parameters.check(arguments)
        return plan_flow(
            self.name,
            self.body,
            checked,
            parameters=self.parameters.plain(checked),
            seed=0 if seed is None else seed,
            grants=(*self.grants, *self._grants_of(checked)),
        )


def granted_by_loop(grants_of: Grants) -> Callable[[Flow[P, R]], Flow[P, R]]:
    """Return a decorator, over `@flow`, that adds the grants that the parameters lead to."""

    def decorate(declared: Flow[P, R]) -> Flow[P, R]:
        return LoopFlow(declared, grants_of)

    return decorate


def grants_of_loop(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the grants of the loop that the parameter `loop` names; none if there is no such."""
    from flows._labeling.catalog import find_loops

    name = parameters.get("loop")
    found = None if name is None else find_loops().get(name)
    return () if found is None else tuple(found.grants)


def grants_of_batch(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the grants of the loop, or of the one to whose task the parameter `batch` belongs."""
    from flows._labeling.standing import batch_named
    from headrace.errors import UnknownNameError

    if parameters.get("loop") is not None or parameters.get("batch") is None:
        return grants_of_loop(parameters)
    try:
        return grants_of_loop({"loop": batch_named(parameters["batch"]).task})
    except UnknownNameError:
        return ()  # the plan says so
