"""This module says how a view's rows are laid out: what writing them online needs to know.

It is made of the view, or of what was written down when a version of it was published, whose code
may be gone since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import StoreError
from headrace.schemas import Column, TableSchema

if TYPE_CHECKING:
    from features._published import Published
    from features.view import FeatureView


@dataclass(frozen=True, kw_only=True)
class Layout:
    """This is how the rows of a version of a view are laid out.

    Args:
        name: Name of the view.
        entities: The columns that identify the entity, in the view's order.
        columns: The features.
        event_time: Column with the moment that a row is about.
        known_time: Column with the moment from which it could be used.
        lapses: Whether values also change because time passes; the view's rows say when.
    """

    name: str
    entities: tuple[Column, ...]
    columns: tuple[Column, ...]
    event_time: str
    known_time: str
    lapses: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the columns that identify the entity."""
        return tuple(column.name for column in self.entities)

    @property
    def sorted_entities(self) -> list[tuple[int, Column]]:
        """The entities in the order of the entity key, each with its place in the view's."""
        return sorted(enumerate(self.entities), key=lambda each: each[1].name)


def layout_of(view: FeatureView) -> Layout:
    """Return how the rows of a view are laid out."""
    return _layout(view.name, view.schema, lapses=view.lapses)


def published_layout(record: Published) -> Layout:
    """Return how published rows are laid out, as the record of them says.

    Raises:
        StoreError: The record is of a home of before versions.
    """
    schema: dict[str, Any] | None = record.definition.get("schema")
    if schema is None:
        raise StoreError(
            f"The record of what is published of view '{record.view}' does not say its columns.",
            remedy="Publish the view again.",
        )
    lapses = bool(record.definition.get("lapses"))
    return _layout(record.view, TableSchema.from_json(schema), lapses=lapses)


def _layout(name: str, schema: TableSchema, *, lapses: bool) -> Layout:
    return Layout(
        name=name,
        entities=schema.with_role("entity"),
        columns=schema.with_role("feature"),
        event_time=schema.the("event_time").name,
        known_time=schema.the("known_time").name,
        lapses=lapses,
    )
