"""This module reads `-p name=value` as a flow's parameters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from headrace.errors import ParameterError


def read_parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """Return parameters by name; a value is read as JSON where it is JSON, else as text.

    Dots reach into nested values: `-p model.depth=3` is `-p model={"depth": 3}`.

    Args:
        pairs: Texts such as "month=2" or "since=2013-01-01".

    Raises:
        ParameterError: A text has no "=", or one name is given twice.
    """
    given: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ParameterError(
                f"The parameter '{pair}' is not of the form name=value.",
                remedy="Write it as in `-p month=2`.",
            )
        *folders, last = name.split(".")
        inside = given
        for folder in folders:
            inside = inside.setdefault(folder, {}) if isinstance(inside, dict) else inside
        if not isinstance(inside, dict) or last in inside:
            raise ParameterError(f"The parameter '{name}' is given twice.", remedy="Give it once.")
        inside[last] = _value(text)
    return given


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
