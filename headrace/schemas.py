"""This module says what a table holds: its columns, their types, units, roles and known times.

A schema is a Protocol class, so that a table with more columns satisfies it:

    class Flights(Schema, Protocol):
        tail: Annotated[str, Col(role="entity")]
        decided_at: Annotated[datetime, Col(role="decision_time")]
        distance: Annotated[float, Col(role="feature", unit="mi", known_at="decided_at")]
        arrival_delay: Annotated[float | None, Col(unit="min", known_at="landed_at")]
"""

from __future__ import annotations

import datetime as dt
import functools
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol, TypeVar, Union

from headrace.errors import SchemaError, UnknownNameError, did_you_mean

Role = Literal[
    "entity", "event_time", "known_time", "decision_time", "label", "feature", "weight", "group"
]
Sensitivity = Literal["public", "internal", "personal", "secret"]
DType = Literal["bool", "int", "float", "string", "category", "timestamp", "date"]

_DTYPES: dict[Any, DType] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "string",
    dt.datetime: "timestamp",
    dt.date: "date",
}
TIME_ROLES: frozenset[str] = frozenset({"event_time", "known_time", "decision_time"})


@dataclass(frozen=True, kw_only=True)
class Col:
    """This describes a column beyond its type.

    Args:
        role: What the column is for. Times with a role must be time-zone aware.
        unit: Unit of measure, as written in the field ("min", "m/s", "mi").
        known_at: The time column of the same schema from which the value is known; needed to use
            a column as a feature, so that nothing known only later can slip in.
        sensitivity: Who may see the values.
        description: One line for people who look for the column.
    """

    role: Role | None = None
    unit: str | None = None
    known_at: str | None = None
    sensitivity: Sensitivity = "internal"
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Column(Col):
    """This is a column of a table schema: a name, a type and what `Col` says.

    Args:
        name: The column's name.
        dtype: Logical type; integers may be read as floats, nothing else is converted.
        nullable: Whether nulls are allowed.
        categories: The only values allowed, for a category; None when open.
        source: The feature view the column came from, as "view" or "view@version".
    """

    name: str
    dtype: DType
    nullable: bool = False
    categories: tuple[str, ...] | None = None
    source: str | None = None

    def type_name(self) -> str:
        """Return the type as a reader would write it, such as "float or null"."""
        return f"{self.dtype} or null" if self.nullable else self.dtype


class Schema(Protocol):
    """This is the base of every table schema; repeat `Protocol` beside it in each subclass."""

    def __init_subclass__(cls, *args: Any, **kwargs: Any) -> None:
        super().__init_subclass__(*args, **kwargs)
        if Protocol not in cls.__bases__:
            raise SchemaError(
                f"Schema '{cls.__name__}' does not name Protocol among its bases, so a table with "
                "more columns would not satisfy it.",
                remedy=f"Write `class {cls.__name__}({cls.__bases__[0].__name__}, Protocol):`.",
            )


S = TypeVar("S", bound=Schema)


@dataclass(frozen=True, kw_only=True)
class TableSchema:
    """This is a schema as a value: what the plan checks and what the store records.

    Args:
        name: The schema class's name, or how it was derived.
        columns: The columns, in order.
    """

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(c.name for c in self.columns)

    def __contains__(self, name: object) -> bool:
        return any(c.name == name for c in self.columns)

    def column(self, name: str) -> Column:
        """Return a column by name.

        Raises:
            UnknownNameError: There is no such column; the message offers the nearest.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise UnknownNameError(
            f"Schema '{self.name}' has no column '{name}'.{did_you_mean(name, self.names)}",
            remedy="Use a column that the schema declares.",
        )

    def with_role(self, role: Role) -> tuple[Column, ...]:
        """Return the columns that have a role."""
        return tuple(c for c in self.columns if c.role == role)

    def the(self, role: Role) -> Column:
        """Return the one column that has a role.

        Raises:
            SchemaError: No column or several columns have it.
        """
        found = self.with_role(role)
        if len(found) == 1:
            return found[0]
        has = "no column" if not found else "columns " + ", ".join(f"'{c.name}'" for c in found)
        raise SchemaError(
            f"Schema '{self.name}' has {has} with role '{role}'; exactly one is needed.",
            remedy=f'Give one column `Col(role="{role}")`.',
        )

    def keeping(self, names: Iterable[str]) -> TableSchema:
        """Return the schema with these columns only, in the order given."""
        return replace(self, columns=tuple(self.column(n) for n in dict.fromkeys(names)))

    def dropping(self, names: Iterable[str]) -> TableSchema:
        """Return the schema without these columns."""
        gone = {self.column(n).name for n in names}
        return replace(self, columns=tuple(c for c in self.columns if c.name not in gone))

    def adding(self, columns: Iterable[Column]) -> TableSchema:
        """Return the schema with columns added at the end, or replaced where the name exists."""
        new = {c.name: c for c in columns}
        kept = tuple(new.pop(c.name, c) for c in self.columns)
        return replace(self, columns=kept + tuple(new.values()))

    def renaming(self, names: Mapping[str, str]) -> TableSchema:
        """Return the schema with columns renamed, `known_at` included.

        Raises:
            UnknownNameError: There is no such column.
            SchemaError: Two columns would have one name.
        """
        for old in names:
            self.column(old)
        after = [names.get(n, n) for n in self.names]
        twice = [n for n in after if after.count(n) > 1]
        if twice:
            raise SchemaError(
                f"Renaming gives schema '{self.name}' the column '{twice[0]}' twice.",
                remedy="Rename to a name that is free, or drop the other column first.",
            )

        def renamed(c: Column) -> Column:
            known = names.get(c.known_at, c.known_at) if c.known_at else None
            return replace(c, name=names.get(c.name, c.name), known_at=known)

        return replace(self, columns=tuple(renamed(c) for c in self.columns))

    def received_as(self, bound: TableSchema) -> TableSchema:
        """Return what an input with a bounded type variable receives of this schema: all of it.

        Types are the bound's, since integers may be read as floats there; what a column means
        stays, and the bound adds to it. Columns that only the bound has come last.
        """
        wanted = {c.name: c for c in bound.columns}
        kept = tuple(
            c if c.name not in wanted else _merged(c, wanted.pop(c.name)) for c in self.columns
        )
        return replace(self, columns=kept + tuple(wanted.values()))

    def to_json(self) -> dict[str, Any]:
        """Return the schema as JSON-like data; defaults are left out."""
        blank = asdict(Column(name="", dtype="bool"))
        return {
            "name": self.name,
            "columns": [
                {k: v for k, v in asdict(c).items() if k in ("name", "dtype") or v != blank[k]}
                for c in self.columns
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TableSchema:
        """Rebuild a schema from `to_json`."""
        columns = tuple(_column_from_json(entry) for entry in data["columns"])
        return cls(name=data["name"], columns=columns)


def _merged(given: Column, bound: Column) -> Column:
    return replace(
        given,
        dtype=bound.dtype,
        nullable=given.nullable and bound.nullable,
        categories=given.categories or bound.categories if bound.dtype == "category" else None,
        role=given.role or bound.role,
        unit=given.unit or bound.unit,
        known_at=given.known_at or bound.known_at,
    )


def _column_from_json(entry: Mapping[str, Any]) -> Column:
    listed = entry.get("categories")
    return Column(**{**entry, "categories": None if listed is None else tuple(listed)})


@functools.cache
def schema_of(declared: type) -> TableSchema | None:
    """Return the table schema of a schema class; None for `Any` and for `Schema` itself.

    Raises:
        SchemaError: A column has a type that a table cannot hold, or times are declared wrongly.
    """
    if declared is Any or declared is Schema:
        return None
    if Schema not in getattr(declared, "__mro__", ()):
        raise SchemaError(
            f"{declared!r} is not a schema.",
            remedy="Declare `class Name(Schema, Protocol):` with one annotated column a line.",
        )
    try:
        hints = typing.get_type_hints(declared, include_extras=True)
    except NameError as error:
        raise SchemaError(
            f"Schema '{declared.__name__}' has a type that cannot be resolved: {error}.",
            remedy="Import the types of columns at the top of the module, not under TYPE_CHECKING.",
        ) from error
    columns = tuple(
        _column(declared.__name__, name, hint)
        for name, hint in hints.items()
        if not name.startswith("_")
    )
    for column in columns:
        _check_times(declared.__name__, column, columns)
    return TableSchema(name=declared.__name__, columns=columns)


def _column(owner: str, name: str, hint: Any) -> Column:
    hint, col = _unannotated(hint)
    nullable = False
    if typing.get_origin(hint) in (Union, types.UnionType):
        options = [a for a in typing.get_args(hint) if a is not type(None)]
        nullable = len(options) < len(typing.get_args(hint))
        if len(options) == 1:
            hint, inner = _unannotated(options[0])
            col = col or inner
    categories = None
    if typing.get_origin(hint) is Literal:
        categories = tuple(str(a) for a in typing.get_args(hint))
        dtype: DType | None = "category"
    else:
        dtype = _DTYPES.get(hint)
    if dtype is None:
        raise SchemaError(
            f"Column '{name}' of schema '{owner}' has type {hint!r}, which a table cannot hold.",
            remedy="Use bool, int, float, str, datetime, date or Literal[...], `| None` for nulls.",
        )
    described = asdict(col or Col())
    return Column(name=name, dtype=dtype, nullable=nullable, categories=categories, **described)


def _unannotated(hint: Any) -> tuple[Any, Col | None]:
    if typing.get_origin(hint) is not typing.Annotated:
        return hint, None
    hint, *extras = typing.get_args(hint)
    return hint, next((e for e in extras if isinstance(e, Col)), None)


def _check_times(owner: str, column: Column, columns: tuple[Column, ...]) -> None:
    if column.role in TIME_ROLES and column.dtype != "timestamp":
        raise SchemaError(
            f"Column '{column.name}' of schema '{owner}' has role '{column.role}' "
            f"but type {column.dtype}.",
            remedy="Declare it as datetime (an instant, time-zone aware).",
        )
    names = [c.name for c in columns]
    if column.known_at is not None and column.known_at not in names:
        raise SchemaError(
            f"Column '{column.name}' of schema '{owner}' is known at '{column.known_at}', "
            f"which is not a column of it.{did_you_mean(column.known_at, names)}",
            remedy="Name the time column from which the value is known.",
        )
    known = next((c for c in columns if c.name == column.known_at), None)
    if known is not None and known.dtype != "timestamp":
        raise SchemaError(
            f"Column '{column.name}' of schema '{owner}' is known at '{known.name}', "
            f"which is {known.dtype}, not a time.",
            remedy="Name the time column from which the value is known.",
        )
