"""This module searches the catalogue: typed words, with typing errors, find views and features.

An index is made of plain records, so that neither Feast nor any engine is imported. It is small
enough to be made anew by each command: about a tenth of a second for 10,000 features. How hits are
ordered is in `features/_search_hits.py`, which words are alike in `features/_search_words.py`.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from features._search_hits import Candidate, Found, Hit, Match, order_of
from features._search_query import COLUMN_FILTERS, Query, chosen_value, query_of
from features._search_records import ColumnRecord, EntityRecord, ViewRecord, record_of
from features._search_words import How, Vocabulary, parts_of_name, words_of_name, words_of_text
from features.on_demand import OnDemandView
from features.view import FeatureView

__all__ = [
    "ColumnRecord",
    "EntityRecord",
    "FeatureIndex",
    "Found",
    "Hit",
    "Match",
    "ViewRecord",
    "record_of",
    "search",
]

_OFTEN = 50  # a word that is met so often is no typing error
_FEW = 5  # with fewer exact hits than this, words that are alike are looked for too
_KNOWN = {
    "stage": ("proposed", "active", "deprecated"),
    "sensitivity": ("public", "internal", "personal", "secret"),
}
# (number of the view, number of its column or -1) and the field in which a word stands there
_Place = tuple[int, int, str]
_Ranked = tuple[tuple[int, float], Match | None]
_Met = dict[tuple[int, int], _Ranked]
_UNMET: _Ranked = ((1_000, 0.0), None)


def search(
    asked: str | Sequence[str],
    views: Iterable[FeatureView | OnDemandView],
    *,
    limit: int | None = 20,
) -> Found:
    """Find views and features; see `FeatureIndex.search`."""
    return FeatureIndex([record_of(view) for view in views]).search(asked, limit=limit)


class FeatureIndex:
    """This finds views and features by words.

    Args:
        records: The views.
    """

    def __init__(self, records: Sequence[ViewRecord]) -> None:
        self._records = sorted(records, key=lambda record: record.name)
        self._places: dict[str, list[_Place]] = defaultdict(list)
        for number, record in enumerate(self._records):
            self._add(number, record)
        self._vocabulary = Vocabulary(self._places)

    def search(self, asked: str | Sequence[str], *, limit: int | None = 20) -> Found:
        """Find the views and features in which every word occurs, the best first.

        A word may be met whole, by its beginning, inside of a word, or, where that finds little,
        with one or two typing errors. A feature is found by its own name, unit and description,
        where at least one word must be met, and by what its view says. Where nothing has all words,
        what has most of them is returned, with what is missing. Deprecated views come last.

        Args:
            asked: Words and filters, as a text or as a shell cuts them: `wind owner:flight-delay`.
                There are owner:, entity:, tag:, stage:, unit: and sensitivity:. Different filters
                must all hold; of several of one kind one is enough. `*` may end a value.
            limit: How many hits to return at most; None for all.

        Raises:
            UnknownNameError: There is no such filter, or a filter's value is nobody's.
            ParameterError: A filter has no value.
        """
        query = query_of(asked)
        views, columns = self._allowed(query)
        if not query.words:
            found = self._all(query, views, columns)
        else:
            words = self._as_known(query.words)
            query = Query(words=words, filters=query.filters)
            met = [self._met(word, self._vocabulary.exactly(word)) for word in words]
            found = self._meeting_all(met, views, columns, len(words))
            if len(found) < _FEW:
                met = [self._met_alike(w, m) for w, m in zip(words, met, strict=True)]
                for enough in range(len(words), 0, -1):
                    found = self._meeting_all(met, views, columns, enough)
                    if found:
                        break
        return self._shown(found, query.words, limit)

    def _add(self, number: int, record: ViewRecord) -> None:
        def put(column: int, field: str, words: Iterable[str]) -> None:
            for word in words:
                self._places[word].append((number, column, field))

        put(-1, "name", words_of_name(record.name))
        put(-1, "description", words_of_text(record.description))
        put(-1, "owner", words_of_name(record.owner))
        for tag in record.tags:
            put(-1, "tag", words_of_name(tag))
        for entity in record.entities:
            put(-1, "entity", {*words_of_name(entity.name), *words_of_name(entity.column)})
            put(-1, "description", words_of_text(entity.description))
        for position, column in enumerate(record.columns):
            put(position, "column", words_of_name(column.name))
            put(position, "description", words_of_text(column.description))
            if column.unit:
                put(position, "unit", {column.unit.casefold(), *words_of_text(column.unit)})

    def _as_known(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the words, one like `late_share` in its parts where no name has it whole."""
        known: list[str] = []
        for word in words:
            parts = parts_of_name(word)
            whole = len(parts) < 2 or any(True for _ in self._vocabulary.exactly(word))
            known += [word] if whole else parts
        return tuple(dict.fromkeys(known))

    def _allowed(self, query: Query) -> tuple[set[int] | None, Mapping[str, frozenset[str]]]:
        """Return the views that the filters leave, None for all; and what columns must have."""
        views: set[int] | None = None
        of_columns = {}
        for name, values in query.filters.items():
            known = _KNOWN.get(name) or {v for r in self._records for v in _values(r, name)}
            wanted = frozenset().union(*(chosen_value(name, value, known) for value in values))
            if name in COLUMN_FILTERS:
                of_columns[name] = wanted
            left = {
                n for n, r in enumerate(self._records) if not wanted.isdisjoint(_values(r, name))
            }
            views = left if views is None else views & left
        return views, of_columns

    def _all(
        self, query: Query, views: set[int] | None, columns: Mapping[str, frozenset[str]]
    ) -> list[Candidate]:
        """Return what filters alone leave: the features where they are about features."""
        numbers = range(len(self._records)) if views is None else sorted(views)
        if not columns:
            return [Candidate(number, -1, ()) for number in numbers]
        return [
            Candidate(number, position, ())
            for number in numbers
            for position, column in enumerate(self._records[number].columns)
            if _has(column, columns)
        ]

    def _meeting_all(
        self,
        met: Sequence[_Met],
        views: set[int] | None,
        columns: Mapping[str, frozenset[str]],
        enough: int,
    ) -> list[Candidate]:
        """Return what meets so many of the words."""
        counts: dict[int, int] = defaultdict(int)
        for places in met:
            for number in {number for number, _ in places}:
                counts[number] += 1
        found: list[Candidate] = []
        for number, count in counts.items():
            if count >= enough and (views is None or number in views):
                found += self._candidates(number, met, columns, enough)
        return found

    def _met_alike(self, word: str, met: _Met) -> _Met:
        """Return also what is like a word, unless the word is met so often that it is meant."""
        if len(met) >= _OFTEN:
            return met
        return self._met(word, self._vocabulary.alike(word)) | met

    def _met(self, word: str, known: Iterable[tuple[str, How, int]]) -> _Met:
        """Return the best match of a word for each view and each column that meets it.

        Args:
            word: What is looked for.
            known: The words of the catalogue that it may mean, how, and at how many edits.
        """
        best: _Met = {}
        for met, how, edits in known:
            matches: dict[str, tuple[tuple[int, float], Match]] = {}
            for number, position, field in self._places[met]:
                ranked = matches.get(field)
                if ranked is None:
                    match = Match(word, met, field, how, edits)
                    ranked = matches[field] = match.rank, match
                before = best.get((number, position))
                if before is None or ranked[0] < before[0]:
                    best[number, position] = ranked
        return best

    def _candidates(
        self,
        number: int,
        met: Sequence[_Met],
        columns: Mapping[str, frozenset[str]],
        enough: int,
    ) -> Iterable[Candidate]:
        """Yield the features of a view, and the view, that meet enough words."""
        own = [places.get((number, -1), _UNMET) for places in met]
        record, found = self._records[number], 0
        anywhere = own
        for position, column in enumerate(record.columns):
            here = [places.get((number, position), _UNMET) for places in met]
            if here == [_UNMET] * len(here):
                continue
            # a view may be found by words of several of its columns
            anywhere = [min(pair) for pair in zip(anywhere, here, strict=True)]
            both = [min(pair) for pair in zip(here, own, strict=True)]
            if len(both) - both.count(_UNMET) >= enough and _has(column, columns):
                found += 1
                yield Candidate(number, position, tuple(match for _, match in both))
        by_itself = own.count(_UNMET) < len(own)
        if len(own) - anywhere.count(_UNMET) >= enough and (by_itself or not found):
            yield Candidate(number, -1, tuple(match for _, match in anywhere))

    def _shown(self, found: list[Candidate], words: tuple[str, ...], limit: int | None) -> Found:
        phrase = "_".join(words)

        def order(each: Candidate) -> tuple[object, ...]:
            record = self._records[each.view]
            names = [record.name]
            if each.column >= 0:
                column = record.columns[each.column].name
                names = [column, f"{record.name}_{column}"]
            deprecated = record.stage == "deprecated"
            key = order_of(each, deprecated=deprecated, names=names, phrase=phrase)
            return *key, record.name

        best = sorted(found, key=order) if limit is None else heapq.nsmallest(limit, found, order)
        hits = tuple(self._hit(each, words) for each in best)
        return Found(hits=hits, total=len(found), words=words)

    def _hit(self, found: Candidate, words: Sequence[str]) -> Hit:
        record = self._records[found.view]
        column = None if found.column < 0 else record.columns[found.column]
        return Hit(
            view=record.name,
            column=None if column is None else column.name,
            description=column.description if column else record.description,
            owner=record.owner,
            unit=column.unit if column else "",
            dtype=column.dtype if column else "",
            stage=record.stage,
            replaced_by=record.replaced_by,
            why=tuple(match for match in found.why if match is not None),
            missing=tuple(
                word for word, match in zip(words, found.why, strict=False) if match is None
            ),
        )


def _has(column: ColumnRecord, wanted: Mapping[str, frozenset[str]]) -> bool:
    values = {"unit": column.unit, "sensitivity": column.sensitivity}
    return all(values[name] in allowed for name, allowed in wanted.items())


def _values(record: ViewRecord, name: str) -> frozenset[str]:
    """Return what a view has of what a filter is about."""
    if name == "entity":
        return frozenset(v for e in record.entities for v in (e.name, e.column) if v)
    if name == "tag":
        return frozenset(record.tags)
    if name in COLUMN_FILTERS:
        return frozenset(v for c in record.columns if (v := getattr(c, name)))
    return frozenset({getattr(record, name)})
