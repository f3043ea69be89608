"""This module checks whether the columns that arrive are those that an input declares."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.errors import did_you_mean
from headrace.schemas import TIME_ROLES, Column, TableSchema
from headrace.signature import Wrong

_WIDENED = {("int", "float"), ("category", "string")}


def unfitting_columns(wanted: TableSchema, has: TableSchema, edge: str) -> Iterator[Wrong]:
    """Yield what is wrong with the columns on an edge.

    Args:
        wanted: What the input declares.
        has: What arrives; more columns are welcome.
        edge: Both ends, to begin each message with.
    """
    for column in wanted.columns:
        if column.name in has:
            about = f"{edge}: column '{column.name}'"
            given = has.column(column.name)
            yield from _type(column, given, wanted, has, about)
            yield from _meaning(column, given, wanted, has, about)
        else:
            yield Wrong(
                "missing column",
                f"{edge}: column '{column.name}' of schema '{wanted.name}' is missing from "
                f"'{has.name}'.{did_you_mean(column.name, has.names)}",
                "Add the column upstream, or take it out of the schema.",
            )


def differing_columns(one: TableSchema, two: TableSchema) -> list[str]:
    """Return the names of columns that only one of them has, or that differ in type or meaning."""
    types = [{c.name: (c.dtype, c.unit, c.role) for c in s.columns} for s in (one, two)]
    names = sorted(types[0].keys() | types[1].keys())
    return [n for n in names if types[0].get(n) != types[1].get(n)]


def _type(
    column: Column, given: Column, wanted: TableSchema, has: TableSchema, about: str
) -> Iterator[Wrong]:
    if given.dtype != column.dtype and (given.dtype, column.dtype) not in _WIDENED:
        yield Wrong(
            "wrong dtype",
            f"{about} is {given.type_name()} in '{has.name}' but {column.type_name()} "
            f"in '{wanted.name}'.",
            "Convert it in an operator, or declare what the data is.",
        )
        return
    if given.nullable and not column.nullable:
        yield Wrong(
            "nulls",
            f"{about} may be null in '{has.name}' but not in '{wanted.name}'.",
            f"Fill or drop the nulls upstream, or declare `{column.name}: ... | None`.",
        )
    unknown = [c for c in given.categories or () if c not in (column.categories or (c,))]
    if unknown:
        yield Wrong(
            "wrong categories",
            f"{about} may be '{unknown[0]}' in '{has.name}', which is not among its categories "
            f"in '{wanted.name}'.{did_you_mean(unknown[0], column.categories or ())}",
            "Declare the category too, or map it to one of them upstream.",
        )


def _meaning(
    column: Column, given: Column, wanted: TableSchema, has: TableSchema, about: str
) -> Iterator[Wrong]:
    if column.unit is not None and given.unit != column.unit:
        yield Wrong(
            "wrong unit",
            f"{about} is in {_unit(given)} in '{has.name}' but in '{column.unit}' "
            f"in '{wanted.name}'.",
            "Convert it in an operator that declares the new unit.",
        )
    timed = column.role in TIME_ROLES or given.role in TIME_ROLES
    if timed and column.role is not None and given.role != column.role:
        yield Wrong(
            "wrong time",
            f"{about} is the {given.role or 'plain'} column in '{has.name}' but has role "
            f"'{column.role}' in '{wanted.name}'.",
            "Pass the table whose column has that meaning.",
        )
    elif column.role == "label" and given.role not in ("label", None):
        yield Wrong(
            "wrong role",
            f"{about} has role '{given.role}' in '{has.name}' but is the label in '{wanted.name}'.",
            "Pass the table that carries the label.",
        )
    elif given.role == "label" and column.role not in ("label", None):
        yield Wrong(
            "wrong role",
            f"{about} is the label in '{has.name}' but has role '{column.role}' "
            f"in '{wanted.name}'.",
            "Take the label out of the other columns: whoever sees it need not predict it.",
        )
    if column.known_at and given.known_at and column.known_at != given.known_at:
        yield Wrong(
            "wrong time",
            f"{about} is known at '{given.known_at}' in '{has.name}' but at '{column.known_at}' "
            f"in '{wanted.name}'.",
            "Declare when the value is really known; a feature must be known at the decision.",
        )


def _unit(column: Column) -> str:
    return f"'{column.unit}'" if column.unit else "no declared unit"
