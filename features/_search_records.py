"""This module holds what is searched for of a view, as plain records: nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.on_demand import OnDemandView
    from features.view import FeatureView


@dataclass(frozen=True, kw_only=True)
class ColumnRecord:
    """This is a feature of a view, as people look for it.

    Args:
        name: The column.
        dtype: Its type, such as "float".
        description: What it says; may be empty.
        unit: Its unit of measure; empty where it has none.
        sensitivity: Who may see its values.
    """

    name: str
    dtype: str = "float"
    description: str = ""
    unit: str = ""
    sensitivity: str = "internal"


@dataclass(frozen=True, kw_only=True)
class EntityRecord:
    """This is what a view is about, as people look for it.

    Args:
        name: What it is called.
        column: The column that identifies one.
        description: What it is; may be empty.
    """

    name: str
    column: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class ViewRecord:
    """This is a view as people look for it.

    Args:
        name: Its name.
        owner: Who answers for it.
        description: What it says.
        columns: Its features.
        entities: What its rows are about; none where one row is for everybody.
        tags: Words to find it by.
        stage: "proposed", "active" or "deprecated".
        replaced_by: The view to use instead of a deprecated one; may be empty.
        kind: "view", or "on demand" where it is computed from the request.
    """

    name: str
    owner: str = ""
    description: str = ""
    columns: tuple[ColumnRecord, ...] = ()
    entities: tuple[EntityRecord, ...] = ()
    tags: tuple[str, ...] = ()
    stage: str = "active"
    replaced_by: str = ""
    kind: str = "view"

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-like data."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ViewRecord:
        """Return the record that `to_json` gave."""
        return cls(
            **{
                **document,
                "columns": tuple(ColumnRecord(**each) for each in document["columns"]),
                "entities": tuple(EntityRecord(**each) for each in document["entities"]),
                "tags": tuple(document["tags"]),
            }
        )


def record_of(view: FeatureView | OnDemandView) -> ViewRecord:
    """Return what is searched for of a view."""
    entities = getattr(view, "entities", None)  # an on-demand view is about the request
    return ViewRecord(
        name=view.name,
        owner=view.owner,
        description=view.description,
        columns=tuple(
            ColumnRecord(
                name=column.name,
                dtype=column.dtype,
                description=column.description,
                unit=column.unit or "",
                sensitivity=column.sensitivity,
            )
            for column in view.columns
        ),
        entities=tuple(
            EntityRecord(name=each.name, column=each.column, description=each.description)
            for each in entities or ()
        ),
        tags=view.tags,
        stage=view.stage,
        replaced_by=view.replaced_by,
        kind="view" if entities is not None else "on demand",
    )
