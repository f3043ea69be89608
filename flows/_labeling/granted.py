"""This module binds a flow to the labeling loop that its parameters lead to.

The flow may read what the loop was granted. A name that no loop has, or a batch that is still being
answered, is refused before the flow is read: that is no fault of the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from headrace.workflow import Flow

if TYPE_CHECKING:
    from headrace.plan import Plan

P = ParamSpec("P")
R = TypeVar("R")
Grants = Callable[[Mapping[str, Any]], tuple[str, ...]]
Require = Callable[[Mapping[str, Any]], None]


def _nothing(parameters: Mapping[str, Any]) -> None:
    """Require nothing."""


class LoopFlow(Flow[P, R]):
    """This is a flow whose grants its parameters decide: those of the loop that they name."""

    def __init__(self, declared: Flow[P, R], grants_of: Grants, require: Require) -> None:
        super().__init__(
            declared.body,
            declared.grants,
            schedules=declared.schedules,
            triggers=declared.triggers,
            partition=declared.partition,
            at_once=declared.at_once,
        )
        self._grants_of = grants_of
        self._require = require

    def plan_with(self, arguments: Mapping[str, Any], *, seed: int | None = None) -> Plan:
        """Read the flow's body; see `Flow.plan_with`.

        Raises:
            UnknownNameError: There is no such loop or batch.
            DataError: The loop stands so that this cannot be done now.
        """
        from headrace.plan import plan_flow

        checked = self.parameters.check(arguments)
        self._require(checked)
        return plan_flow(
            self.name,
            self.body,
            checked,
            parameters=self.parameters.plain(checked),
            seed=0 if seed is None else seed,
            grants=(*self.grants, *self._grants_of(checked)),
        )


def granted_by_loop(
    grants_of: Grants, require: Require = _nothing
) -> Callable[[Flow[P, R]], Flow[P, R]]:
    """Return a decorator, over `@flow`, that adds grants and refuses what cannot be done now.

    Args:
        grants_of: Returns the grants that the parameters lead to.
        require: Raises what is wrong with the parameters as the loop stands.
    """

    def decorate(declared: Flow[P, R]) -> Flow[P, R]:
        return LoopFlow(declared, grants_of, require)

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

    if parameters.get("loop") is not None or parameters.get("batch") is None:
        return grants_of_loop(parameters)
    return grants_of_loop({"loop": batch_named(parameters["batch"]).task})


def require_round(parameters: Mapping[str, Any]) -> None:
    """Refuse to ask for a round of a loop that there is not, or whose labels changed meanwhile."""
    from flows._labeling.catalog import loop_named
    from flows._labeling.standing import standing_of
    from headrace.labels.queue import LabelQueue

    standing_of(loop_named(parameters["loop"]), LabelQueue())


def require_collectable(parameters: Mapping[str, Any]) -> None:
    """Refuse to collect what there is not, or what is still being answered."""
    from flows._labeling.gathering import ended_until, loop_to_follow
    from flows._labeling.standing import batch_named
    from headrace.labels.queue import LabelQueue

    named = parameters.get("batch")
    meant = None if named is None else batch_named(named)
    loop = loop_to_follow(parameters.get("loop"), meant)
    if loop is not None:
        ended_until(loop, LabelQueue(), meant)
