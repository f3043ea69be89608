"""This module turns a typed function into an operator: a reusable step that flows are made of.

    @operator()
    def label_late(flights: Table[Landed], *, minutes: float = 15.0) -> Labels[Late]:
        ...

Called on its own it runs at once; called in a flow it becomes a node of the plan.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from headrace.calls import Check, Needs, Options, Produces
from headrace.errors import DefinitionError
from headrace.machine import parsed_bytes
from headrace.schemas import Column
from headrace.symbols import TraceStopped
from headrace.tracing import current_tracer, tracer_of_thread

if TYPE_CHECKING:
    from headrace.grants import External
    from headrace.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")


class Operator(Generic[P, R]):
    """This is a typed, reusable step; make one with `@operator`."""

    def __init__(self, body: Callable[P, R], options: Options) -> None:
        self.body = body
        self.options = options
        self.name = body.__name__
        self.module = body.__module__
        functools.update_wrapper(self, body)

    @functools.cached_property
    def signature(self) -> Signature:
        """The inputs, parameters and outputs that the type hints declare."""
        from headrace.signature import Signature

        return Signature.of(self.body, self.name)

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return inspect.cleandoc(self.body.__doc__ or "").split("\n", 1)[0]

    def node_name(self, parameters: Mapping[str, Any]) -> str:
        """Return what a call is named in a plan: the operator, and what it is `named_by`."""
        value = parameters.get(self.options.named_by or "")
        name = value if isinstance(value, str) else getattr(value, "name", None)
        return f"{self.name}:{name}" if name else self.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the body on its inputs, or record the call while a flow is planned."""
        tracer = current_tracer()
        if tracer is not None:
            return cast(R, tracer.call(self, args, kwargs))
        starter = tracer_of_thread()
        if starter is not None:
            raise starter.stop(_called_in_a_thread(self.name))
        from headrace.invoke import invoke

        return cast(R, invoke(self, self.signature.bind(args, kwargs)))

    def __repr__(self) -> str:
        return f"<operator {self.module}.{self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # The decorated name is bound to the operator, so pickling by name finds it again.
        return find_operator, (self.module, self.body.__qualname__)


def find_operator(module: str, qualname: str) -> Operator[..., Any]:
    """Import an operator by module and qualified name."""
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Operator):
        raise DefinitionError(
            f"'{module}.{qualname}' is not an operator that can be found by its name.",
            remedy="Define it at the top of a module and decorate it with `@operator()`.",
        )
    return found


def operator(
    misplaced: None = None,
    /,
    *,
    effect: bool = False,
    deterministic: bool = True,
    always: bool = False,
    cpu: float = 1.0,
    gpu: float = 0.0,
    memory: str | None = None,
    limits: Sequence[str] = (),
    retries: int = 0,
    timeout: float | None = None,
    reads: Callable[[Mapping[str, Any]], Sequence[External]] | None = None,
    keeps: Sequence[str] | None = None,
    adds: Sequence[Column] = (),
    drops: Sequence[str] = (),
    renames: Mapping[str, str] | None = None,
    produces: Produces | None = None,
    check: Check | None = None,
    task: str | None = None,
    infer: bool = False,
    named_by: str | None = None,
    needs: Needs | None = None,
) -> Callable[[Callable[P, R]], Operator[P, R]]:
    """Make a typed function an operator.

    Args:
        misplaced: Nothing belongs here; it catches `@operator` without its brackets.
        effect: It changes something outside (registers, deploys, sends). Never cached, never
            pruned; must be idempotent.
        deterministic: The same inputs give the same output. If not, its result is reused only
            within its run.
        always: It reads a world that changes without a trace (SQL): it runs every time, and what
            follows is reused when its result is unchanged.
        cpu: Cores it uses.
        gpu: GPUs it uses.
        memory: Memory it needs, such as "4GB".
        limits: Named limits it takes a place in while it runs, such as ("warehouse",); how many
            places there are, `[limits]` in headrace.toml says.
        retries: How often a failed body is tried again.
        timeout: Seconds after which the body is stopped; it then runs in a process of its own.
        reads: Given the parameters, the external data it reads; the flow must be granted it, and
            its content is part of the key.
        keeps: Output columns that are kept from the first tabular input; the others are dropped.
        adds: Output columns that are added to those of the first tabular input.
        drops: Columns of the first tabular input that the output lacks.
        renames: Old to new names of columns.
        produces: Given the planned call, the output's schema (or one per output slot).
        check: Given the planned call, what is wrong with it beyond kinds and columns.
        task: For an operator that makes or needs a model: "classification" or "estimation".
        infer: Plan the output's schema by running the body on no rows and on synthetic rows; for
            small pure operators only.
        named_by: A parameter whose value names the node, as in `compute_features:airport_weather`.
        needs: Given the parameters, what the body would fail for because a service is away, None
            when it has all it needs. It is asked when a run starts, so that nothing runs in vain.

    Raises:
        DefinitionError: The options contradict each other.
    """
    if misplaced is not None:
        raise DefinitionError(
            f"`@operator` at '{getattr(misplaced, '__name__', misplaced)}' lacks its brackets.",
            remedy="Write `@operator()`.",
        )
    options = Options(
        effect=effect,
        deterministic=deterministic,
        always=always,
        cpu=cpu,
        gpu=gpu,
        memory=memory,
        limits=_limit_names(limits),
        retries=retries,
        timeout=timeout,
        reads=reads,
        keeps=None if keeps is None else tuple(keeps),
        adds=tuple(adds),
        drops=tuple(drops),
        renames=dict(renames or {}),
        produces=produces,
        check=check,
        task=task,
        infer=infer,
        named_by=named_by,
        needs=needs,
    )

    def decorate(body: Callable[P, R]) -> Operator[P, R]:
        refuse_odd_body("Operator", body)
        _refuse_contradictions(body.__name__, options)
        return Operator(body, options)

    return decorate


def refuse_odd_body(what: str, body: Callable[..., Any]) -> None:
    """Refuse what is no plain function: an operator or flow is called once and returns once.

    Raises:
        DefinitionError: It is a coroutine, a generator, or no function.
    """
    name = getattr(body, "__name__", type(body).__name__)
    if not inspect.isfunction(body):
        raise DefinitionError(
            f"{what} '{name}' is of type {type(body).__name__}, not a function.",
            remedy="Decorate a function defined with `def`, once.",
        )
    if inspect.iscoroutinefunction(body) or inspect.isasyncgenfunction(body):
        raise DefinitionError(
            f"{what} '{name}' is asynchronous, so that calling it does nothing yet.",
            remedy="Write `def` instead of `async def`; nodes run in parallel by themselves.",
        )
    if inspect.isgeneratorfunction(body):
        raise DefinitionError(
            f"{what} '{name}' is a generator, so that calling it does nothing yet.",
            remedy="Return the artifacts instead of yielding them.",
        )


def _called_in_a_thread(name: str) -> TraceStopped:
    return TraceStopped(
        f"Operator '{name}' is called in a thread that the flow body started, where no plan sees "
        "it.",
        remedy="Call it in the flow body itself; nodes run in parallel by themselves.",
        rule="thread",
    )


def _limit_names(limits: Sequence[str]) -> tuple[str, ...]:
    """Return the names of limits as a tuple; a single string would be taken for its letters."""
    if isinstance(limits, str):
        raise DefinitionError(
            f"`limits` is the text '{limits}', not a tuple of names.",
            remedy=f"Write `limits=('{limits or 'warehouse'}',)`.",
        )
    named = tuple(limits)
    if not all(isinstance(n, str) and n for n in named) or len(set(named)) < len(named):
        raise DefinitionError(
            f"`limits` is {named!r}, not a tuple of different names.",
            remedy="Write each name once, as in `limits=('warehouse',)`.",
        )
    return named


def _refuse_contradictions(name: str, options: Options) -> None:
    transforms = bool(options.keeps is not None or options.adds or options.drops or options.renames)
    wrong = None
    if options.effect and options.infer:
        wrong = "is an effect and asks for `infer`", "Declare its output instead."
    elif options.infer and options.reads:
        wrong = "reads external data and asks for `infer`", "Declare its output instead."
    elif transforms and options.produces:
        wrong = "has both `produces` and keeps/adds/drops/renames", "Use one of the two."
    elif options.retries < 0 or options.cpu < 0 or options.gpu < 0:
        wrong = "has negative retries, cpu or gpu", "Use zero or more."
    elif options.timeout is not None and options.timeout <= 0:
        wrong = f"has a timeout of {options.timeout:g} seconds", "Use more than zero, or None."
    if wrong:
        raise DefinitionError(f"Operator '{name}' {wrong[0]}.", remedy=wrong[1])
    if options.memory is not None:
        parsed_bytes(options.memory)
