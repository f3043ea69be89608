"""This module says which text every database and page keeps as it is, and mends what is not such.

PostgreSQL refuses the character NUL, and no text in UTF-8 can have half of a surrogate pair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

MOST_OF_REASON = 1000
"""Characters of a reason, of a skip or for closing a batch, that are kept."""

_MOST_SHOWN = 200


def is_whole(text: str) -> bool:
    """Return whether a text can be kept as it is."""
    return "\x00" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)


def clean(value: Any) -> Any:
    """Return JSON-like data without what no database and no page keeps; -0.0 is 0.0."""
    if isinstance(value, str):
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return whole.replace("\x00", "\ufffd")
    if isinstance(value, float) and not math.isnan(value):
        return value + 0.0
    if isinstance(value, Mapping):
        return {clean(key): clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean(each) for each in value]
    return value


def reason_of(why: str) -> str:
    """Return a reason that somebody gave as it is kept; empty where nothing was said."""
    return str(clean(why)).strip()[:MOST_OF_REASON]


def shown(value: object) -> str:
    """Return a value as messages show it: whole where it is short, else its beginning."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; lists without end
        return f"a value of the type {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not is_whole(value):
        raise PydanticCustomError(
            "text", "The text {text} has a character that cannot be kept", {"text": shown(value)}
        )
    return value


WholeText = Annotated[str, BeforeValidator(_whole)]
"""A text of a declaration, which is refused where it could not be kept as it is."""
