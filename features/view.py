"""This module says what a feature view is: what is known about an entity, and from when on.

A view is data plus one pure function, or SQL, or windows over time. Its rows are facts with two
times: `event_time`, when the fact was true, and `known_time`, from when anybody could use it.
`features/airport_weather.py` is a short one to copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from features._view_rows import EXPIRES, computed_rows, require_known_after_event
from features._view_rules import (
    Computation,
    Stage,
    as_schema,
    check_view,
    feature_columns,
    require_name,
)
from headrace.errors import DefinitionError
from headrace.schemas import Column, DType, TableSchema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Compute = Callable[[pa.Table], pa.Table | pd.DataFrame]

__all__ = ["EXPIRES", "Computation", "Entity", "FeatureView", "Stage", "require_known_after_event"]


@dataclass(frozen=True, kw_only=True)
class Entity:
    """This is a sort of thing that features are about, such as an airport.

    Args:
        name: What it is called, such as "airport".
        column: The column that identifies one, in the view's rows and in the rows it is joined to.
        dtype: Type of that column, "string" or "int".
        description: One line for people who look for features of it.
    """

    name: str
    column: str
    dtype: DType = "string"
    description: str = ""

    def __post_init__(self) -> None:
        require_name("Entity", self.name)
        if self.dtype not in ("string", "int"):
            raise DefinitionError(
                f"Entity '{self.name}' is identified by '{self.column}' of type {self.dtype}, "
                "which cannot be joined on exactly.",
                remedy='Use dtype="string" or dtype="int".',
            )


@dataclass(frozen=True, kw_only=True)
class FeatureView:
    """This is what is known about entities over time, and how it is computed.

    Args:
        name: Lower-case name, unique among all views.
        entities: What a row is about; one entity, several that together identify a row, or none
            where a row is about everything.
        source: Schema class of the table that `compute` reads.
        features: Schema class of the features, or their columns; None where `compute` is `Windows`,
            which name theirs. A feature known to be missing is a null, so every feature column is
            nullable.
        compute: A module-level pure function from the source (Arrow) to the view's rows (Arrow or
            pandas): entity columns, `event_time`, `known_time` and the features, other columns
            are left out. Or one SELECT for DuckDB from the table `source`, in which an instant is a
            number of microseconds since 1970 UTC (see `features/sql.py`). Or `Windows`, which
            aggregate the source's rows over time. An aggregate in a row may use only what was known
            at its `known_time`.
        owner: Who answers for it.
        description: One line for people who look for features.
        ttl: How long after `event_time` a row may be used; None for ever.
        event_time: Column with the moment that a row is about.
        known_time: Column with the moment from which a row could be used.
        tags: Words to find it by.
        freshness: How old the newest known row may become; None where nobody promises anything.
        stage: "proposed" while it is tried out, "active", or "deprecated".
        replaced_by: The view to use instead of a deprecated one.
        stream: Whether rows of its source may be pushed as they come; see `features/stream.py`.
        readers: Names of the flows that its owner lets read it; `*` and `?` as in file names.
            Columns of sensitivity "personal" or "secret" are for flows named without a wildcard.

    Raises:
        DefinitionError: A part contradicts another; the message says which.
    """

    name: str
    entities: tuple[Entity, ...]
    source: type | TableSchema
    features: type | tuple[Column, ...] | None = None
    compute: Compute | str | Computation
    owner: str
    description: str
    ttl: timedelta | None = None
    event_time: str = "event_time"
    known_time: str = "known_time"
    tags: tuple[str, ...] = ()
    freshness: timedelta | None = None
    stage: Stage = "active"
    replaced_by: str = ""
    stream: bool = False
    readers: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        require_name("Feature view", self.name)
        # schemas are kept as values, so that equal views are equal and pickles are self-contained
        object.__setattr__(self, "source", as_schema(self.name, "source", self.source))
        object.__setattr__(self, "features", feature_columns(self))
        object.__setattr__(self, "entities", tuple(self.entities))
        object.__setattr__(self, "tags", tuple(self.tags))
        object.__setattr__(self, "readers", tuple(self.readers))
        check_view(self)

    @property
    def source_schema(self) -> TableSchema:
        """The columns that `compute` reads."""
        return as_schema(self.name, "source", self.source)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The feature columns: role "feature", nullable, with this view as their source."""
        return tuple(self.features) if isinstance(self.features, tuple) else ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that identify the entity."""
        return tuple(e.column for e in self.entities)

    @property
    def schema(self) -> TableSchema:
        """The columns of the view's rows; with a ttl also until when each row may be used."""
        times = [
            Column(name=self.event_time, dtype="timestamp", role="event_time"),
            Column(name=self.known_time, dtype="timestamp", role="known_time"),
        ]
        if self.ttl is not None:
            times.append(Column(name=EXPIRES, dtype="timestamp", known_at=self.known_time))
        entities = [
            Column(name=e.column, dtype=e.dtype, role="entity", description=e.description)
            for e in self.entities
        ]
        return TableSchema(name=self.name, columns=(*entities, *times, *self.columns))

    @property
    def lapses(self) -> bool:
        """Whether its values also change because time passes, as what leaves a window does."""
        return isinstance(self.compute, Computation)

    def definition(self) -> dict[str, Any]:
        """Return what the view promises as JSON-like data; its code is not part of it."""
        return {
            "name": self.name,
            "entities": [asdict(e) for e in self.entities],
            "schema": self.schema.to_json(),
            "source": self.source_schema.to_json(),
            "ttl_seconds": _seconds(self.ttl),
            "owner": self.owner,
            "description": self.description,
            "tags": list(self.tags),
            "freshness_seconds": _seconds(self.freshness),
            "stage": self.stage,
            "replaced_by": self.replaced_by,
            "stream": self.stream,
            "readers": list(self.readers),
            **({"lapses": True} if self.lapses else {}),
        }

    def rows(self, source: pa.Table) -> pa.Table:
        """Compute the view's rows from its source and hold them to the view's schema.

        Args:
            source: A table with at least the columns of `source_schema`.

        Raises:
            BoundaryError: The source or the rows lack a column, or one has another type.
            DataError: `compute` raised, returned something that is no table, or says two things
                about one entity, event and known time.
            LeakageError: A row claims to be known before it happened.
        """
        return computed_rows(self, source)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let a flow or operator parameter be a view: taken as it is, never rebuilt."""
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
