"""This module says in Feast's terms what a feature view is; only the door to Feast imports it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from feast import Entity as FeastEntity
from feast import FeatureService, Field, FileSource, ValueType
from feast import FeatureView as FeastView
from feast.data_format import ParquetFormat
from feast.types import Bool, FeastType, Float64, Int64, String, UnixTimestamp

from features._feast_push import push_source
from features.view import FeatureView
from headrace.schemas import Column, DType

_TYPES: dict[DType, FeastType] = {
    "bool": Bool,
    "int": Int64,
    "float": Float64,
    "string": String,
    "category": String,
    "timestamp": UnixTimestamp,
    "date": UnixTimestamp,
}
_VALUE_TYPES = {"string": ValueType.STRING, "int": ValueType.INT64}


def feast_objects(view: FeatureView, *, file: str, version: str, tags: dict[str, str]) -> list[Any]:
    """Return the entities, source, view and service that stand for a view in Feast's registry.

    Args:
        view: The view.
        file: Parquet file of its rows, from the folder of the registry: a home may be moved.
        version: Digest of the view's version. It is on each feature, because Feast numbers a view
            anew when features change, and sees neither ttl nor code.
        tags: What else is to be known of it, such as the digest of its rows.
    """
    entities = [
        FeastEntity(
            name=e.name,
            join_keys=[e.column],
            value_type=_VALUE_TYPES[e.dtype],
            description=e.description,
        )
        for e in view.entities
    ]
    source = FileSource(
        name=f"{view.name}_rows",
        path=file,
        file_format=ParquetFormat(),
        timestamp_field=view.event_time,
        # Feast compares this one with the decision when asked to filter by it
        created_timestamp_column=view.known_time,
        description=f"Rows of {view.name}",
        owner=view.owner,
    )
    registered = FeastView(
        name=view.name,
        entities=entities,
        source=push_source(view, source) if view.stream else source,
        schema=[
            *(Field(name=e.column, dtype=_TYPES[e.dtype]) for e in view.entities),
            *(_field(column, version) for column in view.columns),
        ],
        ttl=view.ttl or timedelta(0),  # Feast takes zero for no limit
        description=view.description,
        owner=view.owner,
        tags=tags,
    )
    service = FeatureService(
        name=view.name,
        features=[registered],
        description=f"All features of {view.name}.",
        owner=view.owner,
    )
    return [*entities, source, registered, service]


def _field(column: Column, version: str) -> Field:
    tags: dict[str, str] = {"sensitivity": column.sensitivity, "version": version}
    if column.unit:
        tags["unit"] = column.unit
    return Field(
        name=column.name,
        dtype=_TYPES[column.dtype],
        description=column.description,
        tags=tags,
    )
