"""This module reads which item each row of a table is: once, and by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.artifacts import Tabular
from headrace.errors import DataError, DefinitionError


def entity_column(table: Tabular[Any], what: str) -> str:
    """Return the column that says what a row is: the one of role entity.

    Raises:
        DefinitionError: There is none, or there are several.
    """
    found = [] if table.schema is None else [c.name for c in table.schema.with_role("entity")]
    if len(found) == 1:
        return found[0]
    raise DefinitionError(
        f"The {what} has {len(found)} columns with role 'entity'; exactly one says what an item "
        "is.",
        remedy='Give one column `Col(role="entity")`.',
    )


def entities_of(table: Tabular[Any], what: str) -> list[str]:
    """Return what each row is, as text.

    Raises:
        DefinitionError: No column, or several, have the role entity.
        DataError: A row has none.
    """
    name = entity_column(table, what)
    values = table.arrow()[name].to_pylist()
    if None in values:
        raise DataError(
            f"Row {values.index(None):,} of the {what} has no '{name}', so nobody could tell which "
            "item was labelled.",
            remedy="Drop such rows, or name them.",
        )
    return [str(value) for value in values]


def refuse_twice(entities: Sequence[str], column: str) -> None:
    """Refuse an item that is there twice.

    Raises:
        DataError: There is one.
    """
    if len(set(entities)) == len(entities):
        return
    seen: set[str] = set()
    for row, entity in enumerate(entities):
        if entity in seen:
            raise DataError(
                f"'{column}' is '{entity}' in row {row:,} and in a row before, but an item is "
                "asked for once.",
                remedy="Keep one row an item, such as the latest, or name rows apart.",
            )
        seen.add(entity)
