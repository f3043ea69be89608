"""This module reads and writes the documents of a ruling, and says what is damaged in one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from headrace.errors import DataError


def plain(value: Any) -> Any:
    """Return a value as JSON-like data, whatever its type: a trace must be kept of anything."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    return repr(value)


def fields_of(kind: type, data: Any, what: str) -> dict[str, Any]:
    """Return the fields of a document for a dataclass; those with a default may lack.

    Raises:
        DataError: It is none, or its fields are others.
    """
    known = {f.name: _has_default(f) for f in dataclasses.fields(kind)}
    given = set(data) if isinstance(data, Mapping) else set()
    odd = (given - set(known)) | ({name for name, free in known.items() if not free} - given)
    if odd or not isinstance(data, Mapping):
        raise damaged(f"{what} lacks, or has unknown, fields: {', '.join(sorted(map(str, odd)))}")
    return dict(data)


def moment_of(value: Any, name: str) -> datetime:
    """Return a time with its zone.

    Raises:
        DataError: It is none.
    """
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise damaged(f"'{name}' is {value!r}, no time") from error
    if moment.tzinfo is None:
        raise damaged(f"'{name}' is {value!r}, a time without a zone")
    return moment


def listed(value: Any, name: str) -> tuple[Any, ...]:
    """Return a list as a tuple.

    Raises:
        DataError: It is none.
    """
    if not isinstance(value, list | tuple):
        raise damaged(f"'{name}' is no list")
    return tuple(value)


def damaged(what: str) -> DataError:
    """Return the error for a document that cannot be read."""
    return DataError(
        f"The trace is damaged: {what}.",
        remedy="Judge again: `headrace run rollout`.",
    )


def _has_default(of: dataclasses.Field[Any]) -> bool:
    return of.default is not dataclasses.MISSING or of.default_factory is not dataclasses.MISSING
