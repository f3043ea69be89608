"""This module says who reads which features online: our readers, or Feast."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from features._online_decode import DECODERS
from features._online_part import Columns, Part, Source
from features._online_place import Reader, open_reader, versions_online
from features._versions import number_of, parse_reference
from features.online_lookup import Lookup, lookup_of
from headrace.errors import DataError, UnknownNameError
from headrace.schemas import TableSchema

_REF = re.compile(r"(?P<view>[^:]+)(:(?P<column>[^:]+))?")


class ByReader:
    """This reads a view with our own reader.

    Args:
        ref: The view as it was asked for.
        lookup: What is looked up.
        reader: Reads that lookup alone.
    """

    def __init__(self, ref: str, lookup: Lookup, reader: Reader) -> None:
        self.ref, self.view = ref, lookup.view
        self.features: Sequence[str] = lookup.features
        self.dtypes: Sequence[str] = lookup.dtypes
        self._keys = tuple(column for column, _ in lookup.keys)
        self._reader = reader

    def read(self, columns: Columns, at_us: int) -> Part:
        """Return the features of entities at a moment."""
        keys = {column: columns[column] for column in self._keys if column in columns}
        # a view about everybody answers each row that is asked for
        found = self._reader.read_many(0, keys if self._keys else columns, at_us)
        return Part(self._keys, found.columns, lambda: list(found.statuses().values()))

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


def sources_of(refs: Sequence[str], space: str) -> list[Source]:
    """Return who reads each view that is asked for, in the order of asking.

    Args:
        refs: "view", "view:column", "view@v1", "view@v1:column".
        space: The online space.

    Raises:
        DataError: One is none of these.
        UnknownNameError: There is no such view, version or column.
    """
    wanted: dict[str, list[str] | None] = {}
    for ref in refs:
        found = _REF.fullmatch(ref)
        if found is None:
            raise DataError(
                f"'{ref}' names no features.",
                remedy="Write 'view', 'view:column' or 'view@v1:column'.",
            )
        view, column = found["view"], found["column"]
        parse_reference(view)  # or it is none
        if column is None:
            wanted[view] = None
        elif view not in wanted:
            wanted[view] = [column]
        else:
            columns = wanted[view]
            if columns is not None and column not in columns:
                columns.append(column)
    return [_source(ref, features, space) for ref, features in wanted.items()]


def lookup_for(ref: str, features: Sequence[str] | None, space: str) -> Lookup | None:
    """Return the lookup of a view or of one of its versions; None where only Feast may know it.

    Without a version it is the newest that is online, whole; else the one that is defined.

    Args:
        ref: "view" or "view@v1".
        features: Names of its features; None for all.
        space: The online space.

    Raises:
        UnknownNameError: The view has no such version, or no such feature.
    """
    from features._published import published
    from features.catalog import catalog

    view, number = parse_reference(ref)
    defined = next((each for each in catalog().list() if each.name == view), None)
    if number is None:
        online = versions_online(view, space)
        number = max(online) if online else None
    if defined is not None and number in (None, number_of(defined)):
        return lookup_of(defined, features, number)
    record = published(view if number is None else f"{view}@v{number}")
    if record is None or not record.definition:
        return None
    return _as_published(record.definition, record.number, features)


def _source(ref: str, features: Sequence[str] | None, space: str) -> Source:
    lookup = lookup_for(ref, features, space)
    reader = None if lookup is None else open_reader(space, [lookup])
    if lookup is not None and reader is not None:
        return ByReader(ref, lookup, reader)
    from features._online_by_feast import ByFeast

    return ByFeast(ref, features, lookup)


def _as_published(
    definition: Mapping[str, Any], number: int, features: Sequence[str] | None
) -> Lookup | None:
    """Return the lookup of a version by what it promised when it was published."""
    view = str(definition["name"])
    columns = {
        c.name: c
        for c in TableSchema.from_json(definition["schema"]).columns
        if c.role == "feature"
    }
    wanted = tuple(columns) if features is None else tuple(features)
    for name in wanted:
        if name not in columns:
            raise UnknownNameError.of(
                f"feature in view '{view}@v{number}' called",
                name,
                columns,
                remedy="Name features that this version of the view has.",
            )
    if any(columns[name].dtype not in DECODERS for name in wanted):
        return None
    ttl = definition["ttl_seconds"]
    return Lookup(
        view=view,
        keys=tuple((e["column"], e["dtype"]) for e in definition["entities"]),
        features=wanted,
        dtypes=tuple(str(columns[name].dtype) for name in wanted),
        ttl_us=None if ttl is None else timedelta(seconds=ttl) // timedelta(microseconds=1),
        number=number,
        stream=bool(definition.get("stream", False)),
    )
