"""This reads features online, and never gives a count of which a row has since left the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from features._online_view import Keys, ManyKeys
from features._stream_due import DueMoments
from features.online_lookup import Lookup
from features.online_reader import Found, FoundMany, OnlineReader

__all__ = ["StreamReader"]


class StreamReader(OnlineReader):
    """This is an `OnlineReader` for which a stream's overdue values are expired, so null.

    They are overdue from the moment at which a row leaves a window until `advance` has written
    what is left. What is no stream is read as ever.

    Args:
        path: The file of the store.
        space: The space, such as "headrace" for live decisions.
        lookups: What will be looked up; reads name them by position.
    """

    def __init__(self, path: Path, space: str, lookups: Sequence[Lookup]) -> None:
        super().__init__(path, space, lookups)
        self._due = [
            DueMoments(path.parent, space, lookup) if lookup.stream else None for lookup in lookups
        ]

    def read(self, lookup_index: int, keys: Keys, at_us: int) -> Found:
        """Return an entity's features as they may be used at a moment; see `OnlineReader.read`."""
        due = self._due[lookup_index]
        if due is None:
            return super().read(lookup_index, keys, at_us)
        overdue = due.overdue([self._lookups[lookup_index].key_of(keys)], at_us)
        found = super().read(lookup_index, keys, at_us)
        if not overdue or found.values is None:
            return found
        return replace(found, values=[None] * len(found.values), expired=True)

    def read_many(self, lookup_index: int, keys: ManyKeys, at_us: int) -> FoundMany:
        """Return the features of many entities; see `OnlineReader.read_many`."""
        due = self._due[lookup_index]
        if due is None:
            return super().read_many(lookup_index, keys, at_us)
        asked = self._lookups[lookup_index].keys_of(keys)
        overdue = due.overdue(asked, at_us)
        found = super().read_many(lookup_index, keys, at_us)
        if not overdue:
            return found
        late = [key in overdue for key in asked]
        return replace(
            found,
            columns=[
                [None if gone else v for v, gone in zip(column, late, strict=True)]
                for column in found.columns
            ],
            status=[
                "expired" if gone and status == "present" else status
                for status, gone in zip(found.status, late, strict=True)
            ],
        )

    def close(self) -> None:
        """Close the files; a later read opens them again."""
        for due in self._due:
            if due is not None:
                due.close()
        super().close()
