"""This module reads an operator's signature and sorts a call's arguments by it."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from headrace.artifacts import Artifact
from headrace.errors import DefinitionError, ParameterError, did_you_mean
from headrace.slots import Slot, output_slots, slot_of
from headrace.symbols import shown_in

__all__ = ["Bound", "Parameter", "Signature", "Slot", "Wrong", "slot_of"]


class Wrong(NamedTuple):
    """This is something wrong with a call: a rule's short name, whole sentences, what to do."""

    rule: str
    problem: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """This is an argument with a plain value.

    Args:
        name: Argument name.
        hint: The type it must have; checked by pydantic.
        default: The default, `inspect.Parameter.empty` when required.
    """

    name: str
    hint: Any
    default: Any

    @functools.cached_property
    def _adapter(self) -> Any:
        from pydantic import ConfigDict, TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            return TypeAdapter(self.hint, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # models and dataclasses bring their own configuration
            return TypeAdapter(self.hint)

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty

    def check(self, value: Any) -> tuple[Any, str | None]:
        """Return the value in its type, and what is wrong with it or None."""
        from pydantic import ValidationError

        try:
            made = self._adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f".{p}" if isinstance(p, str) else f"[{p}]" for p in first["loc"])
            return value, f"'{self.name}{where}': {first['msg']}, got {first['input']!r}"
        if isinstance(value, str) and type(made) in (bool, int, float):
            # pydantic reads text as a number; in code that is a mistake, as mypy says
            return value, f"'{self.name}': Input should be a number, not text, got {value!r}"
        return made, None


@dataclass(frozen=True, kw_only=True)
class Bound:
    """These are the arguments of one call, sorted into artifacts and values."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Wrong, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Signature:
    """These are an operator's inputs, parameters and outputs."""

    operator: str
    inputs: tuple[Slot, ...]
    parameters: tuple[Parameter, ...]
    outputs: tuple[Slot, ...]
    single: bool
    order: tuple[str, ...]
    positional: int

    @classmethod
    def of(cls, body: Callable[..., Any], name: str) -> Signature:
        """Read a function's signature.

        Raises:
            DefinitionError: A hint is missing, cannot be resolved, or the output is no artifact.
        """
        try:
            hints = typing.get_type_hints(body, include_extras=True)
        except NameError as error:
            raise DefinitionError(
                f"Operator '{name}' has a type hint that cannot be resolved: {error}.",
                remedy="Import artifact and schema types at the top of the module, "
                "not under TYPE_CHECKING.",
            ) from error
        inputs, parameters, order, positional = [], [], [], 0
        for argument in inspect.signature(body).parameters.values():
            if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
                raise DefinitionError(
                    f"Operator '{name}' takes '{argument}', whose types nobody knows.",
                    remedy="Name every argument and give it a type.",
                )
            if argument.kind is argument.POSITIONAL_ONLY:
                raise DefinitionError(
                    f"Argument '{argument.name}' of operator '{name}' cannot be passed by name.",
                    remedy="Take the `/` out of the signature.",
                )
            if argument.name not in hints:
                raise DefinitionError(
                    f"Argument '{argument.name}' of operator '{name}' has no type hint.",
                    remedy="Give every argument a type.",
                )
            hint = hints[argument.name]
            slot = slot_of(argument.name, hint)
            order.append(argument.name)
            positional += argument.kind is not argument.KEYWORD_ONLY
            if slot is None:
                parameters.append(
                    Parameter(name=argument.name, hint=hint, default=argument.default)
                )
                continue
            if argument.default not in (argument.empty, None):
                raise DefinitionError(
                    f"Input '{argument.name}' of operator '{name}' has an artifact as its default, "
                    "which no plan and no lineage would show.",
                    remedy="Pass it where the operator is called, or make None the default.",
                )
            inputs.append(slot)
        if "return" not in hints:
            raise DefinitionError(
                f"Operator '{name}' does not say what it returns.",
                remedy="Give it a return type, such as `-> Table[Flights]`.",
            )
        outputs, single = output_slots(name, hints["return"])
        return cls(
            operator=name,
            inputs=tuple(inputs),
            parameters=tuple(parameters),
            outputs=outputs,
            single=single,
            order=tuple(order),
            positional=positional,
        )

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Bound:
        """Sort a call's arguments, or refuse it.

        Raises:
            ParameterError: An argument is unknown, missing or of the wrong type.
        """
        bound = self.sorted_arguments(args, kwargs)
        if bound.problems:
            _, problem, remedy = bound.problems[0]
            more = len(bound.problems) - 1
            also = f" (and {more} more)" if more else ""
            raise ParameterError(problem + also, remedy=remedy)
        return bound

    def sorted_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Bound:
        """Sort a call's arguments and list everything that is wrong with them."""
        problems: list[Wrong] = []
        if len(args) > self.positional:
            problems.append(
                Wrong(
                    "wrong arguments",
                    f"Operator '{self.operator}' takes {self.positional} positional arguments "
                    f"but got {len(args)}.",
                    "Pass the others by name.",
                )
            )
        given = dict(zip(self.order[: self.positional], args, strict=False))
        for name, value in kwargs.items():
            if name not in self.order:
                problems.append(
                    Wrong(
                        "unknown argument",
                        f"Operator '{self.operator}' has no argument '{name}'."
                        f"{did_you_mean(name, self.order)}",
                        "Use the name that the operator declares.",
                    )
                )
            elif name in given:
                problems.append(
                    Wrong(
                        "wrong arguments",
                        f"Argument '{name}' of operator '{self.operator}' is given twice.",
                        "Pass it once.",
                    )
                )
            else:
                given[name] = value
        inputs = self._inputs(given, problems)
        parameters = self._parameters(given, problems)
        return Bound(inputs=inputs, parameters=parameters, problems=tuple(problems))

    def _inputs(self, given: dict[str, Any], problems: list[Wrong]) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for slot in self.inputs:
            value = given.get(slot.name)
            if value is not None:
                inputs[slot.name] = value
            elif not slot.optional:
                problems.append(
                    Wrong(
                        "missing input",
                        f"Operator '{self.operator}' needs input '{slot.name}' "
                        f"({slot.type_name()}), which is not given.",
                        f"Pass {slot.name}=...",
                    )
                )
        return inputs

    def _parameters(self, given: dict[str, Any], problems: list[Wrong]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.name not in given and parameter.required:
                problems.append(
                    Wrong(
                        "missing parameter",
                        f"Operator '{self.operator}' needs parameter '{parameter.name}', "
                        "which is not given.",
                        f"Pass {parameter.name}=...",
                    )
                )
                continue
            value = given.get(parameter.name, parameter.default)
            misplaced = self._misplaced(parameter.name, value)
            if misplaced is not None:
                problems.append(misplaced)
                continue
            values[parameter.name], wrong = parameter.check(value)
            if wrong:
                problems.append(
                    Wrong(
                        "wrong parameter",
                        f"Operator '{self.operator}' got a wrong parameter {wrong}.",
                        "Pass a value of the declared type and range.",
                    )
                )
        return values

    def _misplaced(self, name: str, value: Any) -> Wrong | None:
        """Return what is wrong with a parameter in which an artifact hides."""
        where = f"Parameter '{name}' of operator '{self.operator}'"
        for leaf in leaves(value):
            if isinstance(leaf, Artifact):
                return Wrong(
                    "artifact as parameter",
                    f"{where} got a {leaf.kind}; it takes a plain value.",
                    "Pass the artifact to an input, and a value known before the run here.",
                )
            if isinstance(leaf, str) and (shown := shown_in(leaf)):
                return Wrong(
                    "artifact as parameter",
                    f"{where} got a text made from {shown}, which has no content yet.",
                    "Pass the artifact to an input and make the text in the operator.",
                )
        return None


def leaves(value: Any) -> Iterator[Any]:
    """Yield what a value is made of, containers opened."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(key)
            yield from leaves(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from leaves(item)
    else:
        yield value
