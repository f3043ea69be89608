"""This module writes values of a request into messages: short, and with their type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

NOTHING = "nothing"
_LONGEST = 60


def shown(value: Any) -> str:
    """Return a JSON value as a message shows it: shortened, with its type, `'far' (text)`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"{quoted(value)} (text)"
    if isinstance(value, int | float):
        return f"{short(repr(value))} (number)"
    kind = "list" if isinstance(value, list) else "object"
    return f"{short(orjson.dumps(value).decode())} ({kind})"


def quoted(text: str) -> str:
    """Return a text in quotes, shortened."""
    written = repr(text[: _LONGEST + 1])
    return written if len(written) <= _LONGEST else f"{written[: _LONGEST - 2]}…{written[-1]}"


def short(text: str) -> str:
    """Return a text of at most 60 characters; what was cut off is an ellipsis."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def path_of(*parts: str) -> str:
    """Return the path of a field in the body, `features.wind`; overlong names are shortened."""
    return ".".join(map(short, parts))


def computed_views(views: Iterable[str]) -> str:
    """Return on-demand views as the subject of "… computed from it": with their verb."""
    names = " and ".join(f"'{view}'" for view in sorted(views))
    return f"on-demand views {names} are" if " and " in names else f"on-demand view {names} is"
