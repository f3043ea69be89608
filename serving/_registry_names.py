"""This module says which names and aliases the model registry takes; it is pure."""

from __future__ import annotations

import re

from headrace.errors import ParameterError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


def require_name(name: str) -> str:
    """Return a name of a model if it is allowed.

    Raises:
        ParameterError: It is not.
    """
    if _NAME.fullmatch(name):
        return name
    raise ParameterError(
        f"A model cannot be registered as {name!r}.",
        remedy="Begin with a letter and go on with letters, digits, '_', '-' or '.', at most 100.",
    )


def require_alias(alias: str) -> str:
    """Return an alias if it is allowed.

    Raises:
        ParameterError: It is not; "latest" and "v1" mean something to MLflow.
    """
    reserved = alias.lower() == "latest" or re.fullmatch(r"[vV]\d+", alias)
    if _ALIAS.fullmatch(alias) and not reserved:
        return alias
    raise ParameterError(
        f"A version cannot have the alias {alias!r}.",
        remedy="Begin with a letter and go on with letters, digits, '_' or '-', at most 100; not "
        "'latest', and not 'v' with a number.",
    )
