"""This module holds what a search found: where, why, and in which order it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from features._search_words import How

# name over column over description; a beginning of a name still beats a whole word of a column
POINTS = {
    "name": 10.0,
    "column": 7.0,
    "entity": 5.0,
    "tag": 5.0,
    "unit": 4.0,
    "description": 3.0,
    "owner": 2.5,
}
_OF_VIEW, _OF_COLUMN = ("name", "entity", "tag", "owner"), ("column", "unit")
_HOW: dict[How, float] = {"word": 1.0, "beginning": 0.85, "part": 0.6, "alike": 0.5}


class Match(NamedTuple):
    """This is why something was found: a word of the search, and the word that it met.

    Attributes:
        word: What was looked for.
        met: What it met.
        field: Where: "name", "column", "entity", "tag", "unit", "description" or "owner".
        how: "word" for all of it, "beginning", "part", or "alike" for one with a typing error.
        edits: How many letters differ.
    """

    word: str
    met: str
    field: str
    how: How
    edits: int

    @property
    def points(self) -> float:
        """How much it counts."""
        return POINTS[self.field] * _HOW[self.how]

    @property
    def rank(self) -> tuple[int, float]:
        """Orders the matches of one word: what is exact first, then what counts most."""
        return self.edits, -self.points


@dataclass(frozen=True, kw_only=True)
class Hit:
    """This is a view or a feature that was found.

    Args:
        view: Name of the view.
        column: Name of the feature; None for the view itself.
        description: What it says of itself.
        owner: Who answers for the view.
        unit: Unit of the feature; empty for a view.
        dtype: Type of the feature; empty for a view.
        stage: Of the view: "proposed", "active" or "deprecated".
        replaced_by: The view to use instead of a deprecated one.
        why: A match for each word that was met.
        missing: The words that were not met; not empty only where nothing has all.
    """

    view: str
    column: str | None
    description: str
    owner: str
    unit: str
    dtype: str
    stage: str
    replaced_by: str
    why: tuple[Match, ...]
    missing: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Its name as `headrace features show` takes it."""
        return self.view if self.column is None else f"{self.view}:{self.column}"

    def to_json(self) -> dict[str, Any]:
        """Return the hit as JSON-like data."""
        return {
            "reference": self.reference,
            **asdict(self),
            "why": [match._asdict() for match in self.why],
            "missing": list(self.missing),
        }


@dataclass(frozen=True, kw_only=True)
class Found:
    """This is what a search found.

    Args:
        hits: The best, in their order.
        total: How many there are in all.
        words: What was looked for.
    """

    hits: tuple[Hit, ...]
    total: int
    words: tuple[str, ...]


class Candidate(NamedTuple):
    """This is what may be shown, as little as ordering it needs.

    Attributes:
        view: Number of the view.
        column: Number of the column in the view; -1 for the view.
        why: A match for each word, None for one that was not met.
    """

    view: int
    column: int
    why: tuple[Match | None, ...]


def order_of(
    found: Candidate, *, deprecated: bool, names: Sequence[str], phrase: str
) -> tuple[bool, int, int, float, int, str, int]:
    """Return what orders candidates: the lowest is shown first.

    Args:
        found: The candidate.
        deprecated: Whether its view is; such come last, whatever they match.
        names: What the view or the column is called: its name first, then longer ones.
        phrase: All that was looked for, joined by `_`.
    """
    missing = edits = 0
    points = 0.0
    for match in found.why:
        if match is None:
            missing += 1
            continue
        edits += match.edits
        # what only the other of view and column says counts half
        aside = match.field in (_OF_COLUMN if found.column < 0 else _OF_VIEW)
        points += match.points / 2 if aside else match.points
    if any(name.lower() == phrase for name in names):
        points += 100.0
    elif names[0].lower().startswith(phrase):
        points += 5.0
    return deprecated, missing, edits, -points, len(names[0]), names[0], found.column
