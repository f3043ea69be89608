"""This module keeps the record of what is published of each view; it needs no Feast."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from features.view import FeatureView
from headrace.errors import StoreError


@dataclass(frozen=True, kw_only=True)
class Published:
    """This is what is published of a view.

    Args:
        view: Name of the view.
        digest: Digest of its rows.
        version: Digest of its definition.
        rows: Number of rows.
        file: Name of the Parquet file, in the view's folder.
        newest_event: Latest event time, ISO 8601 in UTC.
        newest_known: Latest known time, likewise: how fresh the view is.
        published_at: When it was published, likewise.
    """

    view: str
    digest: str
    version: str
    rows: int
    file: str
    newest_event: str
    newest_known: str
    published_at: str


def version_of(view: FeatureView) -> str:
    """Return the digest of what the view promises; its code is not part of it."""
    from headrace.content import document_digest

    return document_digest(view.definition())[:16]


def published(view: str) -> Published | None:
    """Return what is published of a view, None when nothing is. Feast is not imported.

    Raises:
        StoreError: The record cannot be read.
    """
    record = folder_of(view) / "published.json"
    if not record.is_file():
        return None
    try:
        return Published(**json.loads(record.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"The record of what is published of view '{view}' cannot be read: {record}.",
            remedy="Remove the file and publish the view again.",
        ) from error


def is_published(view: FeatureView, digest: str) -> Published | None:
    """Return what is published of a view if it is these rows under this definition and intact."""
    found = published(view.name)
    if found is None or found.digest != digest or found.version != version_of(view):
        return None
    intact = (folder_of(view.name) / found.file).is_file() and registry_file().is_file()
    return found if intact else None


def folder_of(view: str) -> Path:
    """Return the folder of a view's rows and record; of all views, for an empty name."""
    from headrace.settings import settings

    return settings().home / "features" / view


def registry_file() -> Path:
    """Return the database of Feast's registry."""
    return folder_of("") / "registry.db"
