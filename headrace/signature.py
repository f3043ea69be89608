"""This module reads an operator's type hints: which arguments are artifacts, which are parameters."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, Union

from headrace.artifacts import Artifact, Document, Model, Partitions, Tabular
from headrace.errors import DefinitionError, ParameterError, did_you_mean
from headrace.schemas import TableSchema, schema_of


@dataclass(frozen=True, kw_only=True)
class Slot:
    """This is an input or output of an operator: a kind, and what is declared of its columns.

    Args:
        name: Argument name, or the name of the output.
        kinds: The artifact kinds allowed; exactly one for an output.
        schema: The declared schema, None when any.
        variable: Name of the schema's type variable, which carries all columns through.
        many: A list of artifacts.
        partitioned: Partitions, whose number only the data knows.
        optional: May be None.
    """

    name: str
    kinds: tuple[str, ...]
    schema: TableSchema | None = None
    variable: str | None = None
    many: bool = False
    partitioned: bool = False
    optional: bool = False

    @property
    def accepts(self) -> tuple[type[Artifact], ...]:
        """The artifact classes allowed."""
        from headrace.artifacts import kind_named

        return tuple(kind_named(k) for k in self.kinds)

    def type_name(self) -> str:
        """Return the slot's type as a reader would write it."""
        inner = f"[{self.schema.name}]" if self.schema else ""
        kind = " | ".join(f"{k}{inner}" for k in self.kinds)
        if self.partitioned:
            return f"Partitions[{kind}]"
        return f"list[{kind}]" if self.many else kind


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

    def check(self, value: Any) -> tuple[Any, str | None]:
        """Return the value in its type, and what is wrong with it or None."""
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(value), None
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f".{p}" if isinstance(p, str) else f"[{p}]" for p in first["loc"])
            return value, f"'{self.name}{where}': {first['msg']}, got {first['input']!r}"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """These are the arguments of one call, sorted into artifacts and values."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[tuple[str, str], ...] = ()


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
            if argument.name not in hints:
                raise DefinitionError(
                    f"Argument '{argument.name}' of operator '{name}' has no type hint.",
                    remedy="Give every argument a type.",
                )
            slot = slot_of(argument.name, hints[argument.name])
            order.append(argument.name)
            positional += argument.kind is not argument.KEYWORD_ONLY
            if slot is not None:
                inputs.append(slot)
            else:
                hint = hints[argument.name]
                parameters.append(
                    Parameter(name=argument.name, hint=hint, default=argument.default)
                )
        outputs, single = _outputs(name, hints.get("return", inspect.Parameter.empty))
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
            problem, remedy = bound.problems[0]
            more = len(bound.problems) - 1
            also = f" (and {more} more)" if more else ""
            raise ParameterError(problem + also, remedy=remedy)
        return bound

    def sorted_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Bound:
        """Sort a call's arguments and list everything that is wrong with them."""
        problems: list[tuple[str, str]] = []
        if len(args) > self.positional:
            problems.append(
                (
                    f"Operator '{self.operator}' takes {self.positional} positional arguments "
                    f"but got {len(args)}.",
                    "Pass the others by name.",
                )
            )
        given = dict(zip(self.order[: self.positional], args, strict=False))
        for name, value in kwargs.items():
            if name not in self.order:
                problems.append(
                    (
                        f"Operator '{self.operator}' has no argument '{name}'."
                        f"{did_you_mean(name, self.order)}",
                        "Use the name that the operator declares.",
                    )
                )
            elif name in given:
                problems.append(
                    (
                        f"Argument '{name}' of operator '{self.operator}' is given twice.",
                        "Pass it once.",
                    )
                )
            else:
                given[name] = value
        inputs = self._inputs(given, problems)
        return Bound(
            inputs=inputs, parameters=self._parameters(given, problems), problems=tuple(problems)
        )

    def _inputs(self, given: dict[str, Any], problems: list[tuple[str, str]]) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for slot in self.inputs:
            value = given.get(slot.name)
            if value is None and slot.optional:
                continue
            if slot.name not in given or value is None:
                problems.append(
                    (
                        f"Operator '{self.operator}' needs input '{slot.name}' "
                        f"({slot.type_name()}), which is not given.",
                        f"Pass {slot.name}=...",
                    )
                )
                continue
            inputs[slot.name] = value
        return inputs

    def _parameters(self, given: dict[str, Any], problems: list[tuple[str, str]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.name not in given:
                if parameter.default is inspect.Parameter.empty:
                    problems.append(
                        (
                            f"Operator '{self.operator}' needs parameter '{parameter.name}', "
                            "which is not given.",
                            f"Pass {parameter.name}=...",
                        )
                    )
                else:
                    values[parameter.name] = parameter.default
                continue
            value = given[parameter.name]
            if isinstance(value, Artifact):
                problems.append(
                    (
                        f"Parameter '{parameter.name}' of operator '{self.operator}' got a "
                        f"{value.kind}; it takes a plain value.",
                        "Pass the artifact to an input, and a value known before the run here.",
                    )
                )
                continue
            values[parameter.name], wrong = parameter.check(value)
            if wrong:
                problems.append(
                    (
                        f"Operator '{self.operator}' got a wrong parameter {wrong}.",
                        "Pass a value of the declared type and range.",
                    )
                )
        return values


def slot_of(name: str, hint: Any) -> Slot | None:
    """Return the slot that a type hint declares, None when it is no artifact."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (Union, types.UnionType):
        options = typing.get_args(hint)
        found = [slot_of(name, o) for o in options if o is not type(None)]
        slots = [s for s in found if s is not None]
        if not slots or len(slots) < len(found):
            return None
        first = slots[0]
        return Slot(
            name=name,
            kinds=tuple(k for s in slots for k in s.kinds),
            schema=first.schema,
            variable=first.variable,
            many=first.many,
            optional=type(None) in options,
        )
    origin = typing.get_origin(hint) or hint
    if origin in (list, Sequence) and typing.get_args(hint):
        inner = slot_of(name, typing.get_args(hint)[0])
        return None if inner is None else _altered(inner, many=True)
    if not (isinstance(origin, type) and issubclass(origin, Artifact)):
        return None
    if origin is Partitions:
        inner = slot_of(name, typing.get_args(hint)[0])
        return None if inner is None else _altered(inner, partitioned=True)
    schema, variable = None, None
    if issubclass(origin, Tabular) and typing.get_args(hint):
        declared = typing.get_args(hint)[0]
        if isinstance(declared, TypeVar):
            variable = declared.__name__
            bound = declared.__bound__
            schema = schema_of(bound) if bound is not None else None
        else:
            schema = schema_of(declared)
    kinds: tuple[str, ...] = (origin.__name__,)
    if origin is Model:
        kinds = ("Model", "SelectedModel")  # the selected model is a model
    elif origin in (Tabular, Document, Artifact):
        kinds = tuple(k.__name__ for k in _concrete(origin))
    return Slot(name=name, kinds=kinds, schema=schema, variable=variable)


def _concrete(kind: type[Artifact]) -> list[type[Artifact]]:
    below = kind.__subclasses__()
    return [k for b in below for k in (b, *_concrete(b)) if not k.__subclasses__() or k is Model]


def _altered(slot: Slot, **changes: Any) -> Slot:
    return Slot(**{**{f: getattr(slot, f) for f in slot.__dataclass_fields__}, **changes})


def _outputs(name: str, hint: Any) -> tuple[tuple[Slot, ...], bool]:
    if hint is type(None):
        return (), True
    if typing.get_origin(hint) is tuple:
        slots = [slot_of("", part) for part in typing.get_args(hint)]
        if all(s is not None for s in slots):
            kinds = [_snake(s.kinds[0]) for s in slots if s is not None]
            names = [k if kinds.count(k) == 1 else f"{k}_{i + 1}" for i, k in enumerate(kinds)]
            return (
                tuple(_altered(s, name=n) for s, n in zip(slots, names, strict=True) if s),
                False,
            )
    slot = slot_of("result", hint)
    if slot is None or slot.many or slot.optional:
        raise DefinitionError(
            f"Operator '{name}' returns {hint!r}, which is no artifact.",
            remedy="Return one artifact or a tuple of artifacts, such as Table[Flights].",
        )
    output = _altered(slot, kinds=slot.kinds[:1])
    return (output,), True


def _snake(kind: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
