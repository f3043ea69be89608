"""This module keeps the record of what is published of each view; it needs no Feast."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features._files import atomically
from features._versions import (
    features_folder,
    number_of,
    parse_reference,
    unknown_version,
    version_of,
)
from headrace.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from features.view import FeatureView

__all__ = [
    "Published",
    "folder_of",
    "is_published",
    "number_of",
    "profile_file",
    "published",
    "published_views",
    "read_published",
    "registry_file",
    "rows_file",
    "version_file",
    "version_of",
    "write_record",
]


@dataclass(frozen=True, kw_only=True)
class Published:
    """This is what is published of a version of a view.

    Args:
        view: Name of the view.
        digest: Digest of its rows.
        version: Digest of what its values mean.
        number: Number of that version, 0 for the first.
        rows: Number of rows.
        file: Name of the Parquet file, in the view's folder.
        newest_event: Latest event time, ISO 8601 in UTC.
        newest_known: Latest known time, likewise: how fresh the view is.
        published_at: When it was published, likewise.
        definition: What the view promised then, as `FeatureView.definition` says it.
    """

    view: str
    digest: str
    version: str
    number: int
    rows: int
    file: str
    newest_event: str
    newest_known: str
    published_at: str
    definition: dict[str, Any]


def published(reference: str) -> Published | None:
    """Return what is published of a view, None when nothing is. Feast is not imported.

    Args:
        reference: "view" for its current version, "view@v0" for another.

    Raises:
        UnknownNameError: The view is published, but not in that version.
        StoreError: The record cannot be read.
    """
    view, number = parse_reference(reference)
    folder = folder_of(view)
    record = folder / ("published.json" if number is None else f"v{number}.json")
    if not record.is_file():
        known = sorted(int(file.stem[1:]) for file in folder.glob("v[0-9]*.json"))
        if number is not None and known:
            raise unknown_version(view, number, known)
        return None
    return _read(record, view)


def published_views() -> tuple[Published, ...]:
    """Return what is published of every view, by name: the current versions."""
    records = sorted(features_folder().glob("*/published.json"))
    return tuple(_read(record, record.parent.name) for record in records)


def is_published(view: FeatureView, digest: str) -> Published | None:
    """Return what is published of a view if it is these rows under this definition and intact."""
    try:
        found = published(view.name)
    except StoreError:
        return None  # it is written anew
    if found is None or found.digest != digest or found.version != version_of(view):
        return None
    if found.definition != json.loads(json.dumps(view.definition())):
        return None  # the words for people changed
    return found if rows_file(found).is_file() and _registered() else None


def read_published(reference: str, columns: list[str] | None = None) -> pa.Table:
    """Return the published rows of a view, as Feast reads them: categories as text.

    Args:
        reference: "view" or "view@v0".
        columns: The columns to read; None for all.

    Raises:
        StoreError: Nothing is published, or it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    record = published(reference)
    if record is None:
        raise StoreError(
            f"Nothing is published of view '{reference}'.",
            remedy="Run the flow that publishes it.",
        )
    try:
        return pq.read_table(rows_file(record), columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(
            f"The published rows of view '{reference}' cannot be read: {rows_file(record)}.",
            remedy="Publish the view again.",
        ) from error


def rows_file(record: Published) -> Path:
    """Return the Parquet file of published rows."""
    return folder_of(record.view) / record.file


def version_file(record: Published) -> Path:
    """Return the name under which Feast reads the rows of a version, whatever their digest is."""
    return folder_of(record.view) / f"v{record.number}.parquet"


def profile_file(record: Published) -> Path:
    """Return the file with the statistics of published rows."""
    return folder_of(record.view) / f"{record.digest}.profile.json"


def write_record(record: Published) -> None:
    """Say what is published, last of all: as the version's record, then as the current one."""
    text = json.dumps(asdict(record), indent=1)
    folder = folder_of(record.view)
    for name in (f"v{record.number}.json", "published.json"):
        atomically(folder / name, lambda path: path.write_text(text, "utf-8"))


def folder_of(view: str) -> Path:
    """Return the folder of a view's rows and record; of all views, for an empty name."""
    return features_folder() / view


def registry_file() -> Path:
    """Return the database of Feast's registry, where it is a file of this home."""
    return features_folder() / "registry.db"


def _registered() -> bool:
    from headrace.settings import settings

    elsewhere = getattr(settings(), "features_registry_url", None)
    return elsewhere is not None or registry_file().is_file()


def _read(record: Path, view: str) -> Published:
    try:
        # what a home of before versions lacks makes `is_published` false: it is published anew
        return Published(**{"number": 0, "definition": {}, **json.loads(record.read_text("utf-8"))})
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(
            f"The record of what is published of view '{view}' cannot be read: {record}.",
            remedy="Remove the file and publish the view again.",
        ) from error
