"""This module says what is wrong with the fields of a rule, of its parts too: all of it at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from headrace.errors import ParameterError, did_you_mean, nearest

_LONGEST_VALUE = 120
_GUARDRAIL = "the name of a guardrail"
_MARGINS = ("min_effect", "max_drop", "max_gap")


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """This is a field that is right by itself and does not fit to others.

    Args:
        field: Which field should be changed.
        problem: What does not fit, with the values, as the rest of a sentence.
        remedy: What to do, as a whole sentence.
    """

    field: str
    problem: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class _Place:
    """This is where in a rule an error is.

    Args:
        model: The class that has the field; None where it is not known.
        field: Its name; "" for the whole.
        path: How people write it, such as "guardrails[1].max".
        whole: The same without the number of an item of a plain list: "unit" of "unit[2]".
        parts: What sorts of parts the field takes, by name.
    """

    model: type[BaseModel] | None
    field: str
    path: str
    whole: str
    parts: Mapping[str, type[BaseModel]]

    @property
    def known(self) -> Sequence[str]:
        """The fields that are there."""
        return [] if self.model is None else list(self.model.model_fields)

    @property
    def expected(self) -> str:
        """What is expected of the field."""
        found = None if self.model is None else self.model.model_fields.get(self.field)
        return (None if found is None else found.description) or "something else"

    @property
    def choices(self) -> Sequence[str]:
        """The texts that it may be, where they are few and known."""
        found = None if self.model is None else self.model.model_fields.get(self.field)
        kinds = () if found is None else (found.annotation, *get_args(found.annotation))
        said = [each for kind in kinds if get_origin(kind) is Literal for each in get_args(kind)]
        return [each for each in said if isinstance(each, str)]


@dataclass(frozen=True, kw_only=True)
class _Problem:
    field: str
    said: str
    remedy: str | None


def unfit(misfits: Sequence[Misfit]) -> PydanticCustomError:
    """Return what a validator raises for fields that do not fit together."""
    return PydanticCustomError("unfit", "fields do not fit", {"misfits": list(misfits)})


def wrong_fields(model: type[BaseModel], subject: str, error: ValidationError) -> ParameterError:
    """Return the error that says everything that is wrong, and how to put the first right.

    Args:
        model: The rule's class, or a part's.
        subject: What to begin the sentence with, such as "The rule 'delay'".
        error: What pydantic found.
    """
    found: dict[str, _Problem] = {}
    for each in error.errors(include_url=False):
        for problem in _problems(model, dict(each)):
            found.setdefault(problem.field, problem)
    listed = [problem.said for problem in found.values()]
    said = listed[0] if len(listed) == 1 else "".join(f"\n  - {each}" for each in listed)
    remedies = [problem.remedy for problem in found.values() if problem.remedy is not None]
    return ParameterError(
        f"{subject} is wrong: {said}",
        remedy=remedies[0] if remedies else "Remove or rename the field.",
    )


def _problems(model: type[BaseModel], error: Mapping[str, Any]) -> Iterator[_Problem]:
    place = _place(model, error["loc"])
    if error["type"] == "unfit":
        before = f"{place.path}." if place.path else ""
        for misfit in error["ctx"]["misfits"]:
            path = before + misfit.field
            said = f"field '{path}' does not fit: {misfit.problem}."
            yield _Problem(field=path, said=said, remedy=misfit.remedy)
        return
    yield _problem(place, error)


def _problem(place: _Place, error: Mapping[str, Any]) -> _Problem:
    kind, value, path = error["type"], error["input"], place.path
    if kind in ("extra_forbidden", "invalid_key"):
        hint = did_you_mean(place.field, place.known)
        said = f"there is no field '{path}' (it is {_shown(value)}).{hint}"
        return _Problem(field=path, said=said, remedy=None)
    if kind.startswith("union_tag"):
        return _unknown_guardrail(place, error)
    remedy = f"Set '{place.whole}' to {place.expected}."
    if kind == "missing":
        said = f"field '{path}' is missing; expected {place.expected}."
    elif path != place.whole:
        said = f"field '{path}' is {_typed(value)}; '{place.whole}' takes {place.expected}."
    else:
        said = f"field '{path}' is {_typed(value)}; expected {place.expected}."
        said += _meant(place, value)
    return _Problem(field=place.whole, said=said, remedy=remedy)


def _unknown_guardrail(place: _Place, error: Mapping[str, Any]) -> _Problem:
    path, value = f"{place.path}.metric", error["input"]
    if error["type"] == "union_tag_not_found":
        said = f"field '{path}' is missing; expected {_GUARDRAIL}.{did_you_mean('', place.parts)}"
    else:
        got = value.get("metric") if isinstance(value, Mapping) else error["ctx"]["tag"]
        hint = did_you_mean(str(got), place.parts)
        said = f"field '{path}' is {_typed(got)}; expected {_GUARDRAIL}.{hint}"
    return _Problem(field=path, said=said, remedy=f"Set '{path}' to {_GUARDRAIL}.")


def _place(model: type[BaseModel], loc: Sequence[str | int]) -> _Place:
    """Return where pydantic's location is; the tags of unions, which it names too, are left out."""
    inside: type[BaseModel] | None = model
    field = path = whole = ""
    parts: Mapping[str, type[BaseModel]] = {}
    for step in loc:
        if isinstance(step, int) and field and len(parts) != 1:
            path += f"[{step}]"
        elif len(parts) > 1:  # the step is the tag of one of several sorts
            inside, field, whole, parts = parts.get(str(step)), "", path, {}
        else:
            if parts:
                inside = next(iter(parts.values()))
            path = f"{path}.{step}" if path else str(step)
            field, whole = str(step), path
            parts = {} if inside is None else _parts(inside, field)
    return _Place(model=inside, field=field, path=path, whole=whole, parts=parts)


def _parts(model: type[BaseModel], field: str) -> dict[str, type[BaseModel]]:
    """Return the sorts of parts that a field takes, by name; none where it takes plain values."""
    known = model.model_fields.get(field)
    found: dict[str, type[BaseModel]] = {}
    for each in _classes(None if known is None else known.annotation):
        metric = each.model_fields.get("metric")
        found[each.__name__ if metric is None else str(metric.default)] = each
    return found


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _classes(inner)


def _meant(place: _Place, value: Any) -> str:
    if isinstance(value, str) and nearest(value, place.choices):
        return did_you_mean(value, place.choices)
    if place.field in _MARGINS and isinstance(value, int | float) and value < 0:
        return " A margin has no sign: which direction is better is said by the metric."
    return ""


def _typed(value: Any) -> str:
    return f"{_shown(value)} ({type(value).__name__})"


def _shown(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= _LONGEST_VALUE else f"{said[: _LONGEST_VALUE - 1]}…"
