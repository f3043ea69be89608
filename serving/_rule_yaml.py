"""This module reads the fields of a rule from YAML, and refuses what YAML would let pass."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from headrace.errors import ParameterError


def yaml_fields(text: str, *, where: str) -> dict[str, Any]:
    """Return the fields of a YAML mapping.

    Args:
        text: The YAML.
        where: What the text is, for errors: "The rule 'x.yaml'".

    Raises:
        ParameterError: It is no YAML, no mapping with text keys, or names a field twice.
    """
    import yaml  # type: ignore[import-untyped]

    loader = _loader()
    try:
        node = yaml.compose(text, Loader=loader)
        fields = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError) as error:  # an impossible date is a ValueError
        raise ParameterError(
            f"{where} is no YAML{_place(error)}.",
            remedy="Write one field a line, as in `alpha: 0.05`.",
        ) from error
    if not isinstance(fields, dict) or not all(isinstance(key, str) for key in fields):
        raise ParameterError(
            f"{where} is no mapping of fields, got {type(fields).__name__}.",
            remedy="Write one field a line, as in `alpha: 0.05`.",
        )
    for named, first, second in _twice(node, "", set()):
        raise ParameterError(
            f"{where} has the field '{named}' twice, in lines {first} and {second}.",
            remedy="Keep one of them.",
        )
    return fields


@cache
def _loader() -> Any:
    """Return PyYAML's safe loader, for which 1e-3 is a number too, as YAML 1.2 says."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        pass

    number = re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    return Loader


def _twice(node: Any, path: str, seen: set[int]) -> Iterator[tuple[str, int, int]]:
    """Yield fields that are there twice, with their lines, in the parts of a rule too.

    YAML readers take the last of two, so the one that people see first would mean nothing.
    """
    if id(node) in seen:  # an alias may lead back
        return
    seen.add(id(node))
    if node.id == "sequence":
        for number, item in enumerate(node.value):
            yield from _twice(item, f"{path}[{number}]", seen)
    elif node.id == "mapping":
        lines: dict[str, int] = {}
        for key, value in node.value:
            named = f"{path}.{key.value}" if path else str(key.value)
            line = key.start_mark.line + 1
            if named in lines:
                yield named, lines[named], line
            lines[named] = line
            yield from _twice(value, named, seen)


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error)
    return f": {what}" + ("" if mark is None else f" in line {mark.line + 1}")
