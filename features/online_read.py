"""This module reads features online by their names, for notebooks, scripts and services.

What lies in SQLite or Redis is read without Feast; what only Feast knows, such as its on-demand
views, lists, or another store, is asked of Feast. Both ways give the same values. Other than
Feast's own reading, which does not look at the ttl, both give nulls for what has expired, and say
so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from features._online_found import Status
from features._online_part import Part, Source
from features._online_sources import sources_of
from features._online_tables import LIVE
from features.access import require_views
from headrace.clock import as_us, current_clock
from headrace.errors import DataError, DefinitionError, ParameterError

if TYPE_CHECKING:
    from typing import TypeAlias

    import pyarrow as pa

    Entities: TypeAlias = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]] | pa.Table

__all__ = ["OnlineFeatures", "OnlineValues", "read_online"]


@dataclass(frozen=True, kw_only=True)
class OnlineValues:
    """These are features as read online, by column, a value for each entity asked for.

    Args:
        entities: The key columns, as they were given.
        features: The features; null where the value is, and where the entity is unknown or expired.
        dtypes: Logical type of each feature where it is known.
        answered: Names of features, with what the source that read them gave.
    """

    entities: dict[str, list[Any]]
    features: dict[str, list[Any]]
    dtypes: dict[str, str]
    answered: Sequence[tuple[Sequence[str], Part]] = field(repr=False)

    @property
    def statuses(self) -> dict[str, list[Status]]:
        """For each feature what each of its values is.

        "present", "null", "unknown" (the view has no such entity), "expired" or "not_materialized"
        (the view is not online).
        """
        return {
            name: status
            for names, part in self.answered
            for name, status in zip(names, part.statuses(), strict=True)
        }

    def to_dict(self) -> dict[str, list[Any]]:
        """Return keys and features by name, as Feast's answer does."""
        return {**self.entities, **self.features}

    def table(self) -> pa.Table:
        """Return keys and features as an Arrow table, a row for each entity asked for."""
        import pyarrow as pa

        from features._online_found import arrow_column

        columns = {name: pa.array(values) for name, values in self.entities.items()}
        for name, values in self.features.items():
            columns[name] = arrow_column(values, self.dtypes.get(name))
        return pa.table(columns)


def read_online(
    refs: str | Sequence[str],
    entities: Entities,
    *,
    at: datetime | None = None,
    full_names: bool = False,
) -> OnlineValues:
    """Read features of entities as they may be used now.

    For many reads keep an `OnlineFeatures`.

    Args:
        refs: "view", "view:column", or of one of its versions "view@v1" and "view@v1:column".
        entities: A mapping for each entity, or columns; with the keys of all views, and what
            on-demand views ask for.
        at: The moment of the decision, aware; None for now.
        full_names: Whether features are called "view__column".

    Raises:
        UnknownNameError: There is no such view, version or column.
        DataError: A key is missing or of another type.
        LeakageError: The store holds what happened after `at`.
        StoreError: The store cannot be read.
    """
    with OnlineFeatures(refs, full_names=full_names) as features:
        return features.read(entities, at=at)


class OnlineFeatures:
    """This reads the same features again and again; what they are is worked out once.

    A view without a version is read in the newest one that is online, whole, as this is made.

    Args:
        refs: "view", "view:column", or of one of its versions "view@v1" and "view@v1:column".
        full_names: Whether features are called "view__column".
        space: The online space.

    Raises:
        UnknownNameError: There is no such view, version or column.
        DefinitionError: Two features have one name.
        GrantError: The running flow may not read a feature. That it may is on record once, as this
            is made.
    """

    def __init__(
        self, refs: str | Sequence[str], *, full_names: bool = False, space: str = LIVE
    ) -> None:
        wanted = [refs] if isinstance(refs, str) else list(refs)
        if not wanted:
            raise ParameterError(
                "No features are asked for.", remedy="Name views, or columns as 'view:column'."
            )
        self._full = full_names
        self._sources: list[Source] = sources_of(wanted, space)
        self._names = [self._named(source) for source in self._sources]
        _require_one_of_each(self._sources, self._names)
        require_views({source.ref: source.features for source in self._sources})

    def read(self, entities: Entities, *, at: datetime | None = None) -> OnlineValues:
        """Read features of entities as they may be used at a moment; see `read_online`.

        Args:
            entities: A mapping for each entity, or columns.
            at: The moment of the decision, aware; None for now.
        """
        if at is not None and at.tzinfo is None:
            raise ParameterError(
                f"The argument 'at' is {at.isoformat()}, a time without a zone.",
                remedy="Say the zone, for example with tzinfo=UTC.",
            )
        at_us = current_clock().now_us() if at is None else as_us(at)
        columns = _columns(entities)
        keys: dict[str, list[Any]] = {}
        features: dict[str, list[Any]] = {}
        dtypes: dict[str, str] = {}
        answered = []
        for source, names in zip(self._sources, self._names, strict=True):
            part = source.read(columns, at_us)
            for column in part.keys:
                keys[column] = list(columns[column])
            features.update(zip(names, part.columns, strict=True))
            dtypes.update(zip(names, source.dtypes, strict=False))
            answered.append((names, part))
        return OnlineValues(entities=keys, features=features, dtypes=dtypes, answered=answered)

    def close(self) -> None:
        """Close the connections."""
        for source in self._sources:
            source.close()

    def __enter__(self) -> OnlineFeatures:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _named(self, source: Source) -> list[str]:
        if not self._full:
            return list(source.features)
        return [f"{source.view}__{feature}" for feature in source.features]


def _columns(entities: Entities) -> dict[str, Sequence[Any]]:
    if isinstance(entities, Mapping):
        return dict(entities)
    if not isinstance(entities, Sequence):
        return {name: entities.column(name).to_pylist() for name in entities.column_names}
    if not entities:
        raise DataError("No entity is asked for.", remedy="Give at least one, or columns.")
    names = entities[0].keys()
    for place, entity in enumerate(entities):
        if entity.keys() != names:
            raise DataError(
                f"Entity {place} has {sorted(entity)}, and the first one {sorted(names)}.",
                remedy="Give all entities the same keys, null where one does not apply.",
            )
    return {name: [entity[name] for entity in entities] for name in names}


def _require_one_of_each(sources: Sequence[Source], names: Sequence[Sequence[str]]) -> None:
    owner: dict[str, str] = {}
    for source, its_names in zip(sources, names, strict=True):
        for name in its_names:
            if name in owner:
                raise DefinitionError(
                    f"Two of the features asked for are called '{name}': of '{owner[name]}' and "
                    f"of '{source.ref}'.",
                    remedy="Ask for full_names=True, or for one version of a view at a time.",
                )
            owner[name] = source.ref
