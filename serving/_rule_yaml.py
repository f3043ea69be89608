"""This module reads the fields of a rule from YAML, and refuses what YAML would let pass."""

from __future__ import annotations

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

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        fields = yaml.safe_load(text)
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
    _refuse_twice([key for key, _ in node.value], where)
    return fields


def _refuse_twice(keys: list[Any], where: str) -> None:
    # YAML readers take the last of two, so the one that people see first would mean nothing
    seen: dict[str, int] = {}
    for key in keys:
        line = key.start_mark.line + 1
        if key.value in seen:
            raise ParameterError(
                f"{where} has the field '{key.value}' twice, in lines {seen[key.value]} "
                f"and {line}.",
                remedy="Keep one of them.",
            )
        seen[key.value] = line


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error)
    return f": {what}" + ("" if mark is None else f" in line {mark.line + 1}")
