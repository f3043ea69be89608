"""This module says what a feature view is: what is known about an entity, and from when on.

A view is data plus one pure function. Its rows are facts with two times: `event_time`, when the
fact was true, and `known_time`, from when anybody could use it. `features/airport_weather.py` is a
short one to copy.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, DefinitionError, LeakageError
from headrace.schemas import Column, DType, TableSchema, schema_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Compute = Callable[[pa.Table], pa.Table | pd.DataFrame]

EXPIRES = "expires_at"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


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
        _require_name("Entity", self.name)
        if self.dtype not in ("string", "int"):
            raise DefinitionError(
                f"Entity '{self.name}' is identified by '{self.column}' of type {self.dtype}, "
                "which cannot be joined on exactly.",
                remedy='Use dtype="string" or dtype="int".',
            )


@dataclass(frozen=True, kw_only=True)
class FeatureView:
    """This is what is known about entities over time: facts, and the function that computes them.

    Args:
        name: Lower-case name, unique among all views.
        entities: What a row is about; one entity, or several that together identify a row.
        source: Schema class of the table that `compute` reads.
        features: Schema class of the features, or their columns. A feature known to be missing is
            a null, so every feature column is nullable.
        compute: A module-level pure function from the source (Arrow) to the view's rows (Arrow or
            pandas): entity columns, `event_time`, `known_time` and the features, other columns
            are left out. An aggregate in a row may use only what was known at its `known_time`.
        owner: Who answers for it.
        description: One line for people who look for features.
        ttl: How long after `event_time` a row may be used; None for ever.
        event_time: Column with the moment that a row is about.
        known_time: Column with the moment from which a row could be used.
        tags: Words to find it by.

    Raises:
        DefinitionError: A part contradicts another; the message says which.
    """

    name: str
    entities: tuple[Entity, ...]
    source: type | TableSchema
    features: type | tuple[Column, ...]
    compute: Compute
    owner: str
    description: str
    ttl: timedelta | None = None
    event_time: str = "event_time"
    known_time: str = "known_time"
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_name("Feature view", self.name)
        # schemas are kept as values, so that equal views are equal and pickles are self-contained
        object.__setattr__(self, "source", _as_schema(self.name, "source", self.source))
        object.__setattr__(self, "features", _feature_columns(self))
        object.__setattr__(self, "entities", tuple(self.entities))
        object.__setattr__(self, "tags", tuple(self.tags))
        _check_parts(self)
        _check_compute(self)

    @property
    def source_schema(self) -> TableSchema:
        """The columns that `compute` reads."""
        return _as_schema(self.name, "source", self.source)

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

    def definition(self) -> dict[str, Any]:
        """Return what the view promises as JSON-like data; its code is not part of it."""
        return {
            "name": self.name,
            "entities": [asdict(e) for e in self.entities],
            "schema": self.schema.to_json(),
            "source": self.source_schema.to_json(),
            "ttl_seconds": None if self.ttl is None else self.ttl.total_seconds(),
            "owner": self.owner,
            "description": self.description,
            "tags": list(self.tags),
        }

    def rows(self, source: pa.Table) -> pa.Table:
        """Compute the view's rows from its source and hold them to the view's schema.

        Args:
            source: A table with at least the columns of `source_schema`.

        Raises:
            BoundaryError: The source or the rows lack a column, or one has another type.
            DataError: `compute` returned something that is no table.
            LeakageError: A row claims to be known before it happened.
        """
        from headrace.conform import as_arrow, conform

        read = conform(source, self.source_schema, where=f"The source of view '{self.name}'")
        made = self.compute(read)
        if made is None:
            raise DataError(
                f"View '{self.name}' computed nothing: `{self.compute.__name__}` returned None.",
                remedy="Return the table of the view's rows.",
            )
        table = as_arrow(made)
        if self.ttl is not None and self.event_time in table.column_names:
            table = _with_expiry(table, self.event_time, self.ttl)
        table = conform(table, self.schema, where=f"What view '{self.name}' computed")
        require_known_after_event(table, self.schema)
        return table

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let a flow or operator parameter be a view: taken as it is, never rebuilt."""
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)


def require_known_after_event(table: pa.Table, schema: TableSchema) -> None:
    """Refuse view rows that claim to be known before they happened.

    Raises:
        LeakageError: A row's known time lies before its event time; the first is shown.
    """
    import pyarrow.compute as pc

    event, known = schema.the("event_time").name, schema.the("known_time").name
    early = pc.less(table.column(known), table.column(event))
    count = pc.sum(early).as_py() or 0
    if not count:
        return
    row = early.index(True).as_py()
    keys = ", ".join(f"{c.name} {table[c.name][row].as_py()!r}" for c in schema.with_role("entity"))
    raise LeakageError(
        f"{count:,} rows of view '{schema.name}' claim to be known before they happened, the first "
        f"in row {row:,} ({keys}): '{known}' is {table[known][row].as_py().isoformat()} but "
        f"'{event}' is {table[event][row].as_py().isoformat()}.",
        remedy=f"Set '{known}' to the moment from which the value could be used.",
    )


def _with_expiry(table: pa.Table, event_time: str, ttl: timedelta) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(table.schema.field(event_time).type):
        return table  # conform says what is wrong with it
    expires = pc.add(table.column(event_time), pa.scalar(ttl, pa.duration("us")))
    kept = [n for n in table.column_names if n != EXPIRES]
    return table.select(kept).append_column(EXPIRES, expires)


def _as_schema(view: str, part: str, given: type | TableSchema) -> TableSchema:
    schema = given if isinstance(given, TableSchema) else schema_of(given)
    if schema is None or not schema.columns:
        raise DefinitionError(
            f"Feature view '{view}' has a {part} without columns.",
            remedy="Give a schema class with one annotated column a line.",
        )
    return schema


def _feature_columns(view: FeatureView) -> tuple[Column, ...]:
    given = view.features
    columns = (
        given if isinstance(given, tuple) else _as_schema(view.name, "features", given).columns
    )
    return tuple(
        replace(c, role="feature", nullable=True, source=view.name, known_at=view.known_time)
        for c in columns
    )


def _check_parts(view: FeatureView) -> None:
    wrong: tuple[str, str] | None = None
    reserved = (*view.keys, view.event_time, view.known_time, EXPIRES)
    names = [c.name for c in view.columns]
    taken = [n for n in names if n in reserved or names.count(n) > 1]
    if not view.entities:
        wrong = "has no entity", "Say what its rows are about: `entities=(AIRPORT,)`."
    elif not names:
        wrong = "has no features", "Declare at least one feature column."
    elif len(set(reserved)) < len(reserved):
        doubled = next(n for n in reserved if reserved.count(n) > 1)
        wrong = f"uses column '{doubled}' for two purposes", "Give every key and time its own."
    elif taken:
        wrong = f"has a feature '{taken[0]}', a name that is already taken", "Rename the feature."
    elif view.ttl is not None and view.ttl <= timedelta(0):
        wrong = f"has a ttl of {view.ttl}", "Use more than zero, or None for no limit."
    elif not view.owner.strip() or not view.description.strip():
        missing = "owner" if not view.owner.strip() else "description"
        wrong = f"has no {missing}", "Say who answers for it and what it is, for those who search."
    if wrong:
        raise DefinitionError(f"Feature view '{view.name}' {wrong[0]}.", remedy=wrong[1])


def _check_compute(view: FeatureView) -> None:
    compute: object = view.compute
    if isinstance(compute, types.FunctionType) and compute.__qualname__.isidentifier():
        return
    shown = getattr(compute, "__qualname__", None) or repr(compute)
    raise DefinitionError(
        f"Feature view '{view.name}' computes with {shown}, which is not a function of a module.",
        remedy="Write `def compute(source): ...` at the top level of the view's file: "
        "its code is part of the cache key, and other processes find it by name.",
    )


def _require_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{what} '{name}' has a name that is not lower-case letters, digits and underscores.",
            remedy="Name it like 'airport_weather'.",
        )
