"""This module puts a request's row of features together: what it gives, and what is looked up."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from features._online_place import Reader
from features.online_lookup import Lookup
from headrace.clock import current_clock
from headrace.errors import HeadraceError, LeakageError
from serving._request_errors import RequestError
from serving._requests import DecisionRequest, Input
from serving.lane.computing import Computing


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """This is a lookup, and where its values go in the row."""

    index: int
    name: str
    number: int
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
        space: The online space, for whoever is told that a view is not in it.
        may_lack: Views whose entities may be unknown.
        computing: The on-demand views that are computed of a row.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        lookups: Sequence[Lookup],
        reader: Reader,
        *,
        space: str,
        may_lack: frozenset[str],
        computing: Sequence[Computing] = (),
    ) -> None:
        self._width = len(inputs)
        self._computing = tuple(computing)
        self._only_for = {each.name: each.only_for for each in inputs if each.only_for}
        self._reader, self._space = reader, space
        self._places = {each.name: place for place, each in enumerate(inputs)}
        self._asked = tuple((i, each.name) for i, each in enumerate(inputs) if not each.source)
        self._names = tuple(each.name for each in inputs)
        self._looked_up = tuple((each.name, i) for i, each in enumerate(inputs) if each.source)
        self._sources = [name for name, _ in self._looked_up]
        self._views = tuple(
            _View(
                index=index,
                name=lookup.view,
                number=lookup.number,
                keys=tuple(column for column, _ in lookup.keys),
                places=tuple(
                    (self._places[name], position)
                    for position, name in enumerate(names_of(lookup, inputs))
                ),
                features=frozenset(names_of(lookup, inputs)),
                may_lack=lookup.view in may_lack,
            )
            for index, lookup in enumerate(lookups)
        )

    def row_at(self, request: DecisionRequest, now: int) -> tuple[list[Any], list[str]]:
        """Return the row of a request, which has a moment from then on, and who had nothing.

        Args:
            request: The request.
            now: The moment of one that says none, in microseconds since 1970.

        Raises:
            RequestError: There is no row.
        """
        says = request.at_us is not None
        try:
            if not says:
                request.at_us = now
            return self.row(request)
        except LeakageError as error:
            if says:
                raise RequestError.future_features(error) from error
        except HeadraceError as error:
            raise _explained(error) from error
        request.at_us = current_clock().now_us()  # pushed since the batch began: a little later
        try:
            return self.row(request)
        except HeadraceError as error:
            raise _explained(error) from error

    def row(self, request: DecisionRequest) -> tuple[list[Any], list[str]]:
        """Return the values in the order of the inputs, and the views that had nothing.

        Raises:
            RequestError: An entity is not known to a view that may not lack it, or the view is not
                online; or an on-demand view cannot be computed.
            LeakageError: The store holds what was not known yet at the decision.
        """
        given, entity = request.given, request.entity
        if len(given) == self._width:  # everything is given, as many a client does
            return [given[name] for name in self._names], []
        row: list[Any] = [None] * self._width
        missing: list[str] = []
        at = request.at_us or 0
        for place, name in self._asked:
            row[place] = given[name] if name in given else entity.get(name)
        covered: Set[str] = given.keys()
        wanted = self._computing
        if wanted:
            wanted = tuple(each for each in wanted if not each.features <= given.keys())
            covered = self._covered(covered, wanted)
        for view in self._views:
            if view.features <= covered:
                continue
            found = self._reader.read(view.index, entity, at)
            if found.values is None:
                has_key = all(entity[key] is not None for key in view.keys)
                if has_key and not view.may_lack:
                    keys = {key: entity[key] for key in view.keys}
                    if not found.materialized:
                        raise RequestError.not_materialized(
                            view.name, view.number, self._space, keys
                        )
                    raise RequestError.unknown_entity(view.name, keys)
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
        for each in wanted:
            each.fill(row, given, at)
        return row, missing

    def _covered(self, given: Set[str], wanted: Sequence[Computing]) -> Set[str]:
        """Return the inputs that nobody has to find: those given, and those only for these."""
        if len(wanted) == len(self._computing):
            return given
        views = {each.view for each in wanted}
        return given | {name for name, by in self._only_for.items() if not by & views}

    @property
    def computing(self) -> tuple[Computing, ...]:
        """The on-demand views, with how often each was computed."""
        return self._computing

    def overridden(self, request: DecisionRequest) -> list[str]:
        """Return the names that the request gives and that a view would have given."""
        given = request.given
        if len(given) == self._width:
            return self._sources
        return [name for name in self._sources if name in given]


def names_of(lookup: Lookup, inputs: Sequence[Input]) -> list[str]:
    """Return the inputs that the features of a lookup are, in its order.

    A feature that no model takes has the name of its view before its own where another input is
    called so.
    """
    own = {each.name for each in inputs if each.source == lookup.view}
    return [name if name in own else f"{lookup.view}__{name}" for name in lookup.features]


def _explained(error: HeadraceError) -> RequestError:
    return error if isinstance(error, RequestError) else RequestError.features_unreadable(error)
