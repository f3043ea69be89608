"""This module makes one pydantic model of a flow's parameters: what forms and checks are made from."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact
from headrace.errors import DefinitionError, ParameterError, did_you_mean
from headrace.signature import slot_of

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, kw_only=True)
class FlowParameters:
    """These are a flow's parameters.

    Args:
        flow: Name of the flow.
        model: The pydantic model of the plain parameters; it forbids unknown names.
        artifacts: Names of parameters that take artifacts; only a calling flow or a notebook can
            give those, so such a flow has no launch form.
    """

    flow: str
    model: type[BaseModel]
    artifacts: tuple[str, ...]

    @classmethod
    def of(cls, body: Callable[..., Any], name: str) -> FlowParameters:
        """Read a flow's signature; descriptions come from the docstring's `Args`.

        Raises:
            DefinitionError: A parameter has no type, or a type that no form can show.
        """
        from pydantic import ConfigDict, Field, create_model
        from pydantic.errors import PydanticUserError

        hints = typing.get_type_hints(body, include_extras=True)
        described = described_arguments(body.__doc__ or "")
        fields: dict[str, Any] = {}
        artifacts = []
        for parameter in inspect.signature(body).parameters.values():
            if parameter.name not in hints or parameter.kind in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ):
                raise DefinitionError(
                    f"Parameter '{parameter}' of flow '{name}' has no name or no type.",
                    remedy="Give every parameter of the flow a name and a type.",
                )
            hint = hints[parameter.name]
            if slot_of(parameter.name, hint) is not None:
                artifacts.append(parameter.name)
                continue
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[parameter.name] = (
                _with_pattern(hint),
                Field(default, description=described.get(parameter.name)),
            )
        title = "".join(part.title() for part in name.split("_")) + "Parameters"
        try:
            model = create_model(
                title,
                __config__=ConfigDict(extra="forbid", validate_default=True),
                __doc__=inspect.cleandoc(body.__doc__ or "").split("\n\n", 1)[0],
                **fields,
            )
        except PydanticUserError as error:
            raise DefinitionError(
                f"Flow '{name}' has a parameter that no form can show: {error.message}",
                remedy="Use plain types, Enum, Literal, dates or pydantic models.",
            ) from error
        return cls(flow=name, model=model, artifacts=tuple(artifacts))

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments in their types, defaults filled in.

        Raises:
            ParameterError: Names every unknown, missing and wrong parameter.
        """
        from pydantic import ValidationError

        given = {k: v for k, v in arguments.items() if k not in self.artifacts}
        try:
            checked = self.model(**given)
        except ValidationError as error:
            known = [*self.model.model_fields, *self.artifacts]
            problems = [_problem(dict(e), known) for e in error.errors()]
            listed = problems[0] if len(problems) == 1 else "".join(f"\n  - {p}" for p in problems)
            raise ParameterError(
                f"Flow '{self.flow}' cannot start: {listed}",
                remedy=f"See its parameters with `headrace run {self.flow} --help`.",
            ) from error
        values = {name: getattr(checked, name) for name in self.model.model_fields}
        handed = {k: v for k, v in arguments.items() if k in self.artifacts}
        missing = [a for a in self.artifacts if not isinstance(handed.get(a), Artifact)]
        if missing:
            raise ParameterError(
                f"Flow '{self.flow}' needs the artifact '{missing[0]}', which is not given.",
                remedy="Call it from another flow or from Python, passing the artifact.",
            )
        return values | handed

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
