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
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features._published import (
    Published,
    folder_of,
    is_published,
    published,
    registry_file,
    version_of,
)
from features.view import FeatureView
from headrace.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore, RepoConfig

PROJECT = "headrace"
__all__ = ["Published", "feature_store", "is_published", "publish_rows", "published"]
_METRICS_FOLDER = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")


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
        folder = folder_of(view.name)
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
    folder = folder_of("")
    folder.mkdir(parents=True, exist_ok=True)
    config = RepoConfig(
        project=PROJECT,
        provider="local",
        repo_path=folder,
        registry={
            "registry_type": "sql",
            "path": f"sqlite:///{registry_file()}",
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
