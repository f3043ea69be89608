"""This module holds what the features of a decision are called, and what the codes among them mean.

It is written once for each segment, under a number that is the same in every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from headrace.decisions.frames import COLUMNS, Record
from headrace.errors import ParameterError

_BITS = 53  # what a JSON number holds exactly, everywhere


@dataclass(frozen=True)
class Columns:
    """These are the features of a decision, in their order.

    Args:
        names: Their names.
        categories: For a feature that a batch holds as a code: the texts that 0, 1, … stand for.

    Raises:
        ParameterError: A name is no text or occurs twice, or a category is of no feature.
    """

    names: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self.names
        wrong = [name for name in names if not isinstance(name, str) or names.count(name) > 1]
        if wrong:
            raise ParameterError(
                f"The columns of a decision have the name {wrong[0]!r:.80}, which is no text or "
                "occurs twice.",
                remedy="Give each feature a name of its own.",
            )
        unknown = [name for name in self.categories if name not in names]
        if unknown:
            raise ParameterError(
                f"The categories of '{unknown[0]:.80}' are given, which is none of the columns.",
                remedy="Give categories of columns only.",
            )

    def to_json(self, number: int) -> dict[str, Any]:
        """Return the document that explains a number."""
        document = {"kind": "columns", "id": number, "names": list(self.names)}
        if self.categories:
            document["categories"] = {name: list(texts) for name, texts in self.categories.items()}
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Columns:
        """Return the columns that a document explains."""
        categories = document.get("categories", {})
        return cls(
            tuple(document["names"]), {name: tuple(texts) for name, texts in categories.items()}
        )


def columns_id(names: Sequence[str], categories: Mapping[str, Sequence[str]] | None = None) -> int:
    """Return the number that stands for a list of names, in every process and segment."""
    said: Any = list(names)
    if categories:
        said = [said, {name: list(categories[name]) for name in sorted(categories)}]
    digest = blake2b(orjson.dumps(said), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _BITS)


def columns_record(number: int, columns: Columns) -> Record:
    """Return the record that tells a segment's reader what a number of columns stands for."""
    return Record(COLUMNS, number, 0, orjson.dumps(columns.to_json(number)))
