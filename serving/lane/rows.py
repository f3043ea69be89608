"""This module puts a request's row of features together: what it gives, and what is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from features.online_lookup import Lookup
from features.online_reader import OnlineReader
from serving._request_errors import RequestError
from serving._requests import DecisionRequest, Input


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """This is a lookup, and where its values go in the row."""

    index: int
    name: str
    keys: tuple[str, ...]
    places: tuple[tuple[int, int], ...]  # position in the row, position in the lookup
    features: frozenset[str]
    may_lack: bool


class RowBuilder:
    """This makes the rows of one routing table.

    Args:
        inputs: What the models take, in the order of the row.
        lookups: What is read from the online store.
        reader: Reads it; its lookups are the same.
        may_lack: Views whose entities may be unknown.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        lookups: Sequence[Lookup],
        reader: OnlineReader,
        *,
        may_lack: frozenset[str],
    ) -> None:
        self._width = len(inputs)
        self._reader = reader
        self._places = {each.name: place for place, each in enumerate(inputs)}
        self._asked = tuple((i, each.name) for i, each in enumerate(inputs) if not each.source)
        self._names = tuple(each.name for each in inputs)
        self._looked_up = tuple((each.name, i) for i, each in enumerate(inputs) if each.source)
        self._views = tuple(
            _View(
                index=index,
                name=lookup.view,
                keys=tuple(column for column, _ in lookup.keys),
                places=tuple(
                    (self._places[feature], position)
                    for position, feature in enumerate(lookup.features)
                ),
                features=frozenset(lookup.features),
                may_lack=lookup.view in may_lack,
            )
            for index, lookup in enumerate(lookups)
        )

    def row(self, request: DecisionRequest) -> tuple[list[Any], list[str]]:
        """Return the values in the order of the inputs, and the views that had nothing.

        Raises:
            RequestError: An entity is not known to a view that may not lack it.
            LeakageError: The store holds what was not known yet at the decision.
        """
        given, entity = request.given, request.entity
        if len(given) == self._width:  # everything is given, as many a client does
            return [given[name] for name in self._names], []
        row: list[Any] = [None] * self._width
        missing: list[str] = []
        at = request.at_us or 0
        for place, name in self._asked:
            row[place] = given[name] if name in given else entity[name]
        for view in self._views:
            if view.features <= given.keys():
                continue
            found = self._reader.read(view.index, entity, at)
            if found.values is None:
                has_key = all(entity[key] is not None for key in view.keys)
                if has_key and not view.may_lack:
                    raise RequestError.unknown_entity(
                        view.name, {key: entity[key] for key in view.keys}
                    )
                missing.append(view.name)
                continue
            if found.expired:
                missing.append(view.name)
                continue
            for place, position in view.places:
                row[place] = found.values[position]
        for name, place in self._looked_up:
            if name in given:
                row[place] = given[name]
        return row, missing

    def overridden(self, request: DecisionRequest) -> list[str]:
        """Return the names that the request gives and that a view would have given."""
        given = request.given
        return [name for name, _ in self._looked_up if name in given]
