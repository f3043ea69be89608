"""This module reads what somebody looks for: words, and filters such as `owner:retail`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from features._search_words import folded
from headrace.errors import ParameterError, UnknownNameError

FILTERS = ("owner", "entity", "tag", "stage", "unit", "sensitivity")
COLUMN_FILTERS = frozenset({"unit", "sensitivity"})

_TERM = re.compile(r'([A-Za-z_]+):"([^"]*)"|(\S+)')
_PIECES = re.compile(r"[\s\"'(),;?!/:&-]+")
# words that say nothing about a feature; they count when nothing else is asked for
_FILLERS = frozenset(
    [
        "a",
        "all",
        "an",
        "and",
        "any",
        "at",
        "by",
        "for",
        "from",
        "have",
        "how",
        "i",
        "in",
        "is",
        "it",
        "its",
        "many",
        "much",
        "of",
        "on",
        "or",
        "over",
        "per",
        "since",
        "some",
        "that",
        "the",
        "their",
        "there",
        "to",
        "was",
        "what",
        "when",
        "which",
        "who",
        "with",
    ]
)


@dataclass(frozen=True, kw_only=True)
class Query:
    """This is what somebody looks for.

    Args:
        words: The words that must be found, folded, in order.
        filters: Filter to the values of which one must hold, as given.
    """

    words: tuple[str, ...]
    filters: Mapping[str, tuple[str, ...]]


def query_of(asked: str | Sequence[str]) -> Query:
    """Read what somebody looks for.

    Args:
        asked: A text, or words as a shell cuts them: one with a filter is its whole value then.

    Raises:
        UnknownNameError: A filter is none that there is.
        ParameterError: A filter has no value.
    """
    terms = _terms(asked) if isinstance(asked, str) else [_split(word) for word in asked]
    words: list[str] = []
    filters: dict[str, tuple[str, ...]] = {}
    for name, value in terms:
        if not name:
            words += [part for part in _pieces(value) if part]
            continue
        if name not in FILTERS:
            raise UnknownNameError.of(
                "filter",
                f"{name}:",
                [f"{known}:" for known in FILTERS],
                remedy=f"Use one of {', '.join(f'{known}:' for known in FILTERS)}, or put a "
                "blank in place of the colon to look for words.",
            )
        if not value:
            raise ParameterError(
                f"The filter '{name}:' has no value.",
                remedy=f"Write the value behind the colon without a blank, as in {name}:VALUE.",
            )
        filters[name] = (*filters.get(name, ()), value)
    telling = [word for word in words if word not in _FILLERS]
    return Query(words=tuple(dict.fromkeys(telling or words)), filters=filters)


def chosen_value(name: str, value: str, known: Collection[str]) -> frozenset[str]:
    """Return the known values that a filter means; `*` may stand for its end.

    Raises:
        UnknownNameError: None is meant; the message offers the nearest.
    """
    wanted = folded(value)
    if wanted.endswith("*"):
        found = frozenset(each for each in known if folded(each).startswith(wanted[:-1]))
    else:
        found = frozenset(each for each in known if folded(each) == wanted)
    if not found:
        raise UnknownNameError.of(
            f"feature with the {name}", value, known, remedy=f"Use a known {name}."
        )
    return found


def _terms(text: str) -> list[tuple[str, str]]:
    terms = []
    for name, quoted, plain in _TERM.findall(text):
        terms.append((name.lower(), quoted) if name else _split(plain))
    return terms


def _split(word: str) -> tuple[str, str]:
    """Cut `filter:value` in two; what is before the colon of no filter is a view or a time."""
    name, colon, value = word.partition(":")
    if colon and name.isalpha() and name.isascii():
        return name.lower(), value.strip('"')
    return "", word


def _pieces(text: str) -> list[str]:
    """Return the words of a text; one with a slash stays whole too, as a unit such as m/s is."""
    plain = folded(text).strip("\"'(),;?!")
    if "/" in plain and " " not in plain:
        return [plain]
    return _PIECES.split(plain)
