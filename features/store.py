"""This module is the only door to Feast: its registry, and the Parquet files that it points to.

Everything lies in `features/` of the home: `registry.db` (Feast's SQL registry), and for each view
a folder with its rows, `<digest>.parquet`, their statistics, `<digest>.profile.json`, records of
what is published, `published.json` of the current version and `v<N>.json` of each, and beside each
`v<N>.parquet`, the name under which Feast reads the rows of that version. The records answer
without Feast, whose import takes seconds.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from features._feast_config import online_config, registry_config
from features._files import atomically, locked
from features._published import (
    Published,
    folder_of,
    is_published,
    number_of,
    profile_file,
    published,
    registry_file,
    rows_file,
    version_file,
    version_of,
    write_record,
)
from features._versions import features_folder
from features.view import FeatureView

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureStore, RepoConfig
    from feast import FeatureView as FeastView

PROJECT = "headrace"
__all__ = [
    "PROJECT",
    "Published",
    "feature_store",
    "is_published",
    "number_in_feast",
    "publish_rows",
    "published",
]
_UNCHECKING = threading.RLock()
_METRICS_FOLDER = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")


def publish_rows(view: FeatureView, rows: pa.Table, *, digest: str) -> Published:
    """Write a view's rows and register the view in Feast; the same again changes nothing.

    The files are written first and the record last, so that whoever is killed between leaves what
    was published before.

    Args:
        view: The view.
        rows: Its rows, in the view's schema, at least one.
        digest: Digest of the rows.
    """
    import pyarrow.compute as pc

    from headrace.clock import current_clock

    now = current_clock().now()
    with locked(features_folder()):
        done = is_published(view, digest)
        if done is not None:
            return done
        # windows say ahead how values change by time alone, which makes nothing fresher
        known = rows.filter(pc.less_equal(rows.column(view.known_time), now))
        record = Published(
            view=view.name,
            digest=digest,
            version=version_of(view),
            number=number_of(view),
            rows=rows.num_rows,
            file=f"{digest}.parquet",
            newest_event=_newest(known, view.event_time),
            newest_known=_newest(known, view.known_time),
            published_at=now.isoformat(),
            definition=view.definition(),
        )
        folder_of(view.name).mkdir(parents=True, exist_ok=True)
        if not rows_file(record).is_file():
            _write_parquet(rows, record)
        _write_profile(view, rows, record)
        _register(view, record)
        # a link: `view@v0` in Feast keeps reading the file of the name that it was made with
        atomically(version_file(record), lambda path: os.link(rows_file(record), path))
        write_record(record)
    return record


def feature_store() -> FeatureStore:
    """Open Feast's own feature store on our registry; the import takes seconds.

    Its historical reads take what was known at each moment, and its online reads what is whole.
    """
    FeatureStore, RepoConfig = _feast()
    folder = features_folder()
    folder.mkdir(parents=True, exist_ok=True)
    config = RepoConfig(
        project=PROJECT,
        provider="local",
        repo_path=folder,
        registry=registry_config(registry_file()),
        offline_store={"type": "features.feast_offline.AsofOfflineStore"},
        online_store=online_config(
            {
                "type": "features.feast_online.BulkSqliteOnlineStore",
                "path": str(folder / "online.db"),
            }
        ),
        # a new version is seen by readers when it is whole
        batch_engine={"type": "features.feast_online.WholeVersionsEngine"},
        # Feast would turn all rows into Python objects at once
        materialization={"online_write_batch_size": 10_000, "pull_latest_features": True},
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
    with types_unchecked():
        from feast import FeatureStore, RepoConfig

    for name in _METRICS_FOLDER:
        if name not in before:
            os.environ.pop(name, None)
    return FeatureStore, RepoConfig


@contextmanager
def types_unchecked() -> Iterator[None]:
    """Leave what is imported meanwhile without the run-time type checks of typeguard.

    It rewrites and compiles anew each function that Feast decorates: two fifths of Feast's import.
    Two threads take turns: the second would put back what the first put there meanwhile, for good.
    """
    import typeguard

    with _UNCHECKING:
        checked = typeguard.typechecked
        typeguard.typechecked = _as_it_is
        try:
            yield
        finally:
            typeguard.typechecked = checked


def _as_it_is(target: Any = None, **_: Any) -> Any:
    return target if target is not None else _as_it_is


def _register(view: FeatureView, record: Published) -> None:
    store = feature_store()
    from feast import FeatureView as FeastView

    from features._feast_file import write_feast_file
    from features._feast_objects import feast_objects

    tags = {
        "digest": record.digest,
        "rows": str(record.rows),
        "newest_event": record.newest_event,
        "newest_known": record.newest_known,
        "stage": view.stage,
        **({"replaced_by": view.replaced_by} if view.replaced_by else {}),
        **{tag: "true" for tag in view.tags},
    }
    file = str(version_file(record).relative_to(features_folder()))
    objects = feast_objects(view, file=file, version=record.version, tags=tags)
    number_in_feast(
        next(each for each in objects if isinstance(each, FeastView)), record.number, store
    )
    store.apply(objects)
    write_feast_file(store)


def number_in_feast(registered: FeastView, number: int, store: FeatureStore) -> None:
    """Let Feast give a view our number; left alone it forgets it when only words change.

    Args:
        registered: The view in Feast's terms, before it is applied.
        number: Our number of its version.
        store: Feast's store.
    """
    registered.current_version_number = number
    known = {
        version["version_number"]
        for version in store.registry.list_feature_view_versions(registered.name, PROJECT)
    }
    if number not in known and number != max(known, default=-1) + 1:
        registered.version = f"v{number}"  # numbers between were materialized, never published


def _write_profile(view: FeatureView, rows: pa.Table, record: Published) -> None:
    from features.statistics import profile_of

    if not profile_file(record).is_file():
        text = json.dumps(profile_of(view, rows), indent=1)
        atomically(profile_file(record), lambda path: path.write_text(text, "utf-8"))


def _write_parquet(rows: pa.Table, record: Published) -> None:
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
    atomically(rows_file(record), lambda path: pq.write_table(rows, path, compression="zstd"))


def _newest(rows: pa.Table, column: str) -> str:
    import pyarrow.compute as pc

    newest = pc.max(rows.column(column)).as_py()
    return "" if newest is None else str(newest.isoformat())
