"""This module is the only door to Feast: its registry, and the Parquet files that it points to.

Everything lies in `features/` of the home: `registry.db` (Feast's SQL registry), and for each view
a folder with its rows, `<digest>.parquet`, and `published.json`, which says what is published. The
record answers without Feast, whose import takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.view import FeatureView
from headrace.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore, RepoConfig

PROJECT = "headrace"
_METRICS_FOLDER = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")


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
    record = _folder(view) / "published.json"
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
    intact = (_folder(view.name) / found.file).is_file() and _registry().is_file()
    return found if intact else None


def publish_rows(view: FeatureView, rows: pa.Table, *, digest: str) -> Published:
    """Write a view's rows and register the view in Feast; the same again changes nothing.

    The file is written first and the record last, so that whoever is killed between leaves what
    was published before.

    Args:
        view: The view.
        rows: Its rows, in the view's schema, at least one.
        digest: Digest of the rows.
    """
    from headrace.clock import current_clock
    from headrace.settings import settings

    with _lock(settings().home / "features"):
        done = is_published(view, digest)
        if done is not None:
            return done
        folder = _folder(view.name)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{digest}.parquet"
        if not file.is_file():
            _write_parquet(rows, file)
        record = Published(
            view=view.name,
            digest=digest,
            version=version_of(view),
            rows=rows.num_rows,
            file=file.name,
            newest_event=_newest(rows, view.event_time),
            newest_known=_newest(rows, view.known_time),
            published_at=current_clock().now().isoformat(),
        )
        _register(view, file, record)
        text = json.dumps(asdict(record), indent=1)
        _atomically(folder / "published.json", lambda path: path.write_text(text, "utf-8"))
    return record


def feature_store() -> FeatureStore:
    """Open Feast's own feature store on our registry; the import takes seconds.

    Historical reads of known-time data need `filter_by_created_timestamp=True`: without it Feast
    takes rows that were not known yet.
    """
    FeatureStore, RepoConfig = _feast()
    folder = _folder("")
    folder.mkdir(parents=True, exist_ok=True)
    config = RepoConfig(
        project=PROJECT,
        provider="local",
        repo_path=folder,
        registry={
            "registry_type": "sql",
            "path": f"sqlite:///{_registry()}",
            "cache_ttl_seconds": 0,
        },
        offline_store={"type": "duckdb"},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


def _feast() -> tuple[type[FeatureStore], type[RepoConfig]]:
    """Import Feast without its side effect on this process and its children.

    Its import puts every Prometheus metric of the process into files, and by the environment those
    of all children, in a folder that is gone when the process ends.
    """
    import prometheus_client  # noqa: F401  imported first, it keeps its metrics in memory

    from headrace.settings import inherited_environment

    before = inherited_environment()
    from feast import FeatureStore, RepoConfig

    for name in _METRICS_FOLDER:
        if name not in before:
            os.environ.pop(name, None)
    return FeatureStore, RepoConfig


def _register(view: FeatureView, file: Path, record: Published) -> None:
    store = feature_store()
    from features._feast_objects import feast_objects

    tags = {
        "digest": record.digest,
        "version": record.version,
        "rows": str(record.rows),
        "newest_event": record.newest_event,
        "newest_known": record.newest_known,
        **{tag: "true" for tag in view.tags},
    }
    store.apply(feast_objects(view, file=file, tags=tags))


def _write_parquet(rows: pa.Table, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Feast has neither categories nor dates: they are written as text and as midnight UTC
    plain = [
        pa.string()
        if pa.types.is_dictionary(kind)
        else pa.timestamp("us", tz="UTC")
        if pa.types.is_date(kind)
        else kind
        for kind in rows.schema.types
    ]
    rows = rows.cast(pa.schema(list(zip(rows.schema.names, plain, strict=True))))
    _atomically(file, lambda path: pq.write_table(rows, path, compression="zstd"))


def _newest(rows: pa.Table, column: str) -> str:
    import pyarrow.compute as pc

    return str(pc.max(rows.column(column)).as_py().isoformat())


def _atomically(target: Path, write: Any) -> None:
    """Let `write` fill a file beside `target`, then put it in its place."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        write(partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise StoreError(
            f"The feature store could not write {target}: {error.strerror or error}.",
            remedy="Make room and check who may write there, then publish again.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time publish; the system frees the lock of one that dies."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _folder(view: str) -> Path:
    from headrace.settings import settings

    return settings().home / "features" / view


def _registry() -> Path:
    return _folder("") / "registry.db"
