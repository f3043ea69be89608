"""This module makes one pydantic model of a flow's parameters, for forms and for checks."""

from __future__ import annotations

import inspect
import re
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact
from headrace.errors import DefinitionError, ParameterError, did_you_mean
from headrace.schedules import is_template
from headrace.signature import leaves
from headrace.slots import Slot, slot_of

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, kw_only=True)
class FlowParameters:
    """These are a flow's parameters.

    Args:
        flow: Name of the flow.
        model: The pydantic model of the plain parameters; it forbids unknown names.
        slots: The parameters that take artifacts; only a calling flow or a notebook can give
            those, so such a flow has no launch form.
        defaults: Their defaults, None for an optional one.
    """

    flow: str
    model: type[BaseModel]
    slots: tuple[Slot, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def artifacts(self) -> tuple[str, ...]:
        """The names of the parameters that take artifacts."""
        return tuple(slot.name for slot in self.slots)

    @classmethod
    def of(cls, body: Callable[..., Any], name: str) -> FlowParameters:
        """Read a flow's signature; descriptions come from the docstring's `Args`.

        Raises:
            DefinitionError: A parameter has no type, or a type that no form can show.
        """
        from pydantic import ConfigDict, Field, create_model
        from pydantic.errors import PydanticUserError

        try:
            hints = typing.get_type_hints(body, include_extras=True)
        except NameError as error:
            raise DefinitionError(
                f"Flow '{name}' has a type hint that cannot be resolved: {error}.",
                remedy="Import the types at the top of the module, not under TYPE_CHECKING.",
            ) from error
        described = described_arguments(body.__doc__ or "")
        fields: dict[str, Any] = {}
        slots: list[Slot] = []
        defaults: dict[str, Any] = {}
        for parameter in inspect.signature(body).parameters.values():
            _refuse_unnamed(parameter, hints, name)
            given = parameter.default is not inspect.Parameter.empty
            hint = hints[parameter.name]
            slot = slot_of(parameter.name, hint)
            if slot is None:
                default = parameter.default if given else ...
                shown = Field(default, description=described.get(parameter.name))
                fields[parameter.name] = (_with_pattern(hint), shown)
                continue
            slots.append(slot)
            if given or slot.optional:
                defaults[parameter.name] = parameter.default if given else None
        try:
            with warnings.catch_warnings():
                # a field may be named as an attribute that nobody uses here, such as `schema`
                warnings.filterwarnings("ignore", "Field name .* shadows an attribute")
                model = create_model(
                    "".join(part.title() for part in name.split("_")) + "Parameters",
                    __config__=ConfigDict(extra="forbid", validate_default=True),
                    __doc__=inspect.cleandoc(body.__doc__ or "").split("\n\n", 1)[0],
                    **fields,
                )
        except (PydanticUserError, NameError) as error:
            why = error.message if isinstance(error, PydanticUserError) else str(error)
            raise DefinitionError(
                f"Flow '{name}' has a parameter that no form can show: {why}",
                remedy="Use plain types, Enum, Literal, dates or pydantic models.",
            ) from error
        return cls(flow=name, model=model, slots=tuple(slots), defaults=defaults)

    def check(self, arguments: Mapping[str, Any], *, templates: bool = False) -> dict[str, Any]:
        """Return the arguments in their types, defaults filled in.

        Args:
            arguments: Parameters by name.
            templates: Whether a text with "{{" stands for a value that is not known yet; only the
                names of such are checked, and nothing but the artifacts is returned.

        Raises:
            ParameterError: Names every unknown, missing and wrong parameter.
        """
        from pydantic import ValidationError

        made: dict[str, Any] = {}
        plain = {k: v for k, v in arguments.items() if k not in self.artifacts}
        values = {k: v for k, v in plain.items() if not _holds_artifact(v)}
        problems = [
            f"parameter '{name}' takes a plain value, got the artifact {plain[name]!r}."
            for name in plain.keys() - values.keys()
        ]
        problems += self._artifact_problems(arguments)
        try:
            checked = self.model(**values)
            made = {name: _whole(getattr(checked, name)) for name in self.model.model_fields}
        except ValidationError as error:
            known = [*self.model.model_fields, *self.artifacts]
            found = [e for e in error.errors() if e["loc"][0] not in plain.keys() - values.keys()]
            if templates:
                found = [e for e in found if not _stands_for_another(dict(e))]
            problems = [_problem(dict(e), known) for e in found] + problems
        if problems:
            listed = problems[0] if len(problems) == 1 else "".join(f"\n  - {p}" for p in problems)
            raise ParameterError(
                f"Flow '{self.flow}' cannot start: {listed}",
                remedy="See its parameters with `headrace flows`.",
            )
        handed = {name: arguments.get(name, self.defaults.get(name)) for name in self.artifacts}
        return made | handed

    def _artifact_problems(self, arguments: Mapping[str, Any]) -> Iterator[str]:
        for slot in self.slots:
            value = arguments.get(slot.name, self.defaults.get(slot.name))
            if value is None:
                if slot.name not in self.defaults:
                    yield f"artifact '{slot.name}' ({slot.type_name()}) is required."
                continue
            items = value if slot.many and isinstance(value, list | tuple) else [value]
            wrong = [item for item in items if not isinstance(item, Artifact)]
            if wrong:
                yield (
                    f"'{slot.name}' takes {slot.type_name()}, got {type(wrong[0]).__name__} "
                    f"{wrong[0]!r}."
                )

    def plain(self, checked: Mapping[str, Any]) -> dict[str, Any]:
        """Return checked parameters as JSON-like data, without artifacts."""
        values = {k: v for k, v in checked.items() if k not in self.artifacts}
        dumped: dict[str, Any] = self.model.model_construct(**values).model_dump(mode="json")
        return dumped


def _with_pattern(hint: Any) -> Any:
    """Return a date's type with a pattern: Prefect's server checks patterns, but no formats."""
    import datetime as dt

    from pydantic import WithJsonSchema

    day = r"^\d{4}-\d{2}-\d{2}$"
    moment = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?$"
    patterns = {dt.date: ("date", day), dt.datetime: ("date-time", moment)}
    if hint not in patterns:
        return hint
    form, pattern = patterns[hint]
    return typing.Annotated[
        hint, WithJsonSchema({"type": "string", "format": form, "pattern": pattern})
    ]


def _refuse_unnamed(parameter: inspect.Parameter, hints: Mapping[str, Any], flow: str) -> None:
    odd = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY)
    if parameter.name not in hints or parameter.kind in odd:
        raise DefinitionError(
            f"Parameter '{parameter}' of flow '{flow}' has no name or no type.",
            remedy="Give every parameter of the flow a name and a type.",
        )


def _holds_artifact(value: Any) -> bool:
    return any(isinstance(leaf, Artifact) for leaf in leaves(value))


def _whole(value: Any) -> Any:
    """Return a value whose nested defaults count as given, so that a repeat has the same key."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        fields = {name: _whole(getattr(value, name)) for name in type(value).model_fields}
        return value.model_copy(update=fields)
    if type(value) in (list, tuple):
        return type(value)(_whole(item) for item in value)
    if type(value) is dict:
        return {key: _whole(item) for key, item in value.items()}
    return value


def _stands_for_another(error: Mapping[str, Any]) -> bool:
    return error["type"] != "extra_forbidden" and is_template(error["input"])


def _problem(error: dict[str, Any], known: list[str]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"there is no parameter '{where}'.{did_you_mean(where, known)}"
    if error["type"] == "missing":
        return f"parameter '{where}' is required."
    return (
        f"parameter '{where}' is {error['input']!r}: {error['msg'][:1].lower()}{error['msg'][1:]}."
    )


def described_arguments(docstring: str) -> dict[str, str]:
    """Return argument name to its text from the `Args` of a Google docstring."""
    lines = inspect.cleandoc(docstring).splitlines()
    described: dict[str, str] = {}
    inside, current = False, None
    for line in lines:
        if re.match(r"^\w[\w ]*:\s*$", line):
            inside = line.strip() == "Args:"
        elif inside and (found := re.match(r"^ {4}\*{0,2}(\w+)[^:]*: (.*)$", line)):
            current = found[1]
            described[current] = found[2].strip()
        elif inside and current and line.startswith(" " * 8):
            described[current] += " " + line.strip()
    return described
