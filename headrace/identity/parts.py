"""This module holds what a key is made of, and says in words how two keys differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# The part that says how all reached code fits together. Functions and constants have parts of their
# own beside it, under the names they have today: those explain, this one decides.
STRUCTURE = "structure"
_CODE_KINDS = frozenset({"code", "class", "constant"})


@dataclass(frozen=True, kw_only=True)
class Part:
    """This is one thing that a key depends on.

    Args:
        kind: "code", "constant", "class", "schema", "package", "python", "parameter", "input" or
            "seed".
        name: What it is, for a reader: a dotted name, a distribution, "parameter above".
        digest: Short hexadecimal digest, or the value itself where that is short and readable.
    """

    kind: str
    name: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class CodeIdentity:
    """This is what a function and everything it reaches are made of.

    Args:
        parts: All code, constants, classes and packages that it reaches.
        unresolved: What cannot be seen through, each a sentence with its place. When there is any,
            results must not be reused.
    """

    parts: tuple[Part, ...]
    unresolved: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Key:
    """This is the exact-cache key of one node.

    Args:
        digest: Hexadecimal digest (64 characters); None when anything is unresolved.
        parts: What the digest was made of, to explain a hit or a miss.
        unresolved: Why there is no digest, each a sentence with its place.
    """

    digest: str | None
    parts: tuple[Part, ...]
    unresolved: tuple[str, ...]


def decisive(parts: Iterable[Part]) -> list[tuple[str, str, str]]:
    """Return what a digest is made of: the structure speaks for the names of reached code.

    A function that moved to another module still does the same, so code counts by how it fits
    together and not by where it lives.
    """
    parts = tuple(parts)
    structured = any(part.kind == "code" and part.name == STRUCTURE for part in parts)
    return sorted(
        (part.kind, part.name, part.digest)
        for part in parts
        if not structured or part.kind not in _CODE_KINDS or part.name == STRUCTURE
    )


def difference(old: Sequence[Part], new: Sequence[Part]) -> tuple[str, ...]:
    """Say in English which parts differ between two keys.

    Args:
        old: Parts of the earlier key.
        new: Parts of the later key.

    Returns:
        One clause for each part that changed, came or went, parameters and inputs first; empty when
        nothing differs.
    """
    before, after = _by_name(old), _by_name(new)
    clauses = []
    # another table with other columns is one change, and the reader wants the first cause
    replaced = {name for kind, name in before.keys() & after.keys() if kind == "input"}
    replaced = {name for name in replaced if before["input", name] != after["input", name]}
    for kind, name in sorted(before.keys() | after.keys(), key=_reading_order):
        was, now = before.get((kind, name), Counter()), after.get((kind, name), Counter())
        told = kind == "schema" and name.replace("schema ", "input ", 1) in replaced
        if was != now and (kind, name) != ("code", STRUCTURE) and not told:
            clauses.append(_clause(kind, name, sorted(was.elements()), sorted(now.elements())))
    together = ("code", STRUCTURE)
    if not clauses and before.get(together) != after.get(together):
        clauses.append("the way the reached code fits together changed")
    return tuple(clauses)


def _by_name(parts: Sequence[Part]) -> dict[tuple[str, str], Counter[str]]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for part in parts:
        found.setdefault((part.kind, part.name), Counter())[part.digest] += 1
    return found


_ORDER = (
    "parameter",
    "input",
    "seed",
    "schema",
    "code",
    "class",
    "constant",
    "package",
    "python",
)
_PHRASES = {
    "code": "the code of '{}'",
    "class": "the class '{}'",
    "constant": "the constant '{}'",
    "package": "package '{}'",
    "parameter": "parameter '{}'",
    "input": "input '{}'",
    "schema": "the schema of '{}'",
    "seed": "the seed",
    "python": "the Python version",
}
_READABLE = frozenset({"constant", "package", "parameter", "python", "seed"})


def _reading_order(key: tuple[str, str]) -> tuple[int, str, str]:
    kind, name = key
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), kind, name)


def _clause(kind: str, name: str, was: list[str], now: list[str]) -> str:
    subject = _PHRASES.get(kind, kind + " '{}'").format(name.removeprefix(kind + " "))
    if not was:
        return f"{subject} is new"
    if not now:
        return f"{subject} is no longer used"
    readable = kind in _READABLE and len(was) == len(now) == 1
    if readable and not any(looks_hashed(digest) for digest in was + now):
        return f"{subject} changed from {was[0]} to {now[0]}"
    return f"{subject} changed"


def looks_hashed(digest: str) -> bool:
    """Return whether a part's digest is a digest indeed, and no value that one could read."""
    return digest.startswith("#")
