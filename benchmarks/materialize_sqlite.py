"""This benchmark fills the online store on SQLite from published rows, and so does Feast.

Feast does it as it comes: `FeatureStore.materialize` with its own SQLite store and its DuckDB
offline store, from the same Parquet file. CPU seconds of the process, because a wall clock would
measure the neighbours; imports and the first turn of each are not counted. Every turn fills an
empty file, and both files must hold the same bytes. The other part materializes five million rows
in a process of its own and looks at the most memory that it ever held.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.view import Entity, FeatureView
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 20_000
_REPEATS = 5
_BASELINE_REPEATS = 3
_MANY, _ENTITIES, _STEP = 5_000_000, 2_000_000, 250_000
_BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
_DAYS = 300

_CHILD = """
import sys
from benchmarks.materialize_sqlite import materialize_many
materialize_many(sys.argv[1])
"""


def as_given(source: pa.Table) -> pa.Table:
    """Return the rows of the view: the source has them."""
    return source


def _view(name: str, *, floats: int) -> FeatureView:
    columns = [Column(name=f"measure_{i}", dtype="float") for i in range(floats)]
    columns += [
        Column(name="count", dtype="int"),
        Column(name="state", dtype="string"),
        Column(name="is_open", dtype="bool"),
    ]
    return FeatureView(
        name=name,
        entities=(Entity(name="customer", column="customer"),),
        source=TableSchema(name="Source", columns=(Column(name="customer", dtype="string"),)),
        features=tuple(columns),
        compute=as_given,
        owner="benchmarks",
        description="Random values.",
    )


SMALL = _view("bench_small", floats=7)
LARGE = _view("bench_large", floats=1)


def run() -> Iterator[dict[str, Any]]:
    """Yield two rows: rows per CPU second, and the most memory with five million."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield _speed()
    yield _memory()


def _speed() -> dict[str, Any]:
    from features.materialize import materialize_published
    from features.online import online_file
    from features.publish import publish
    from headrace import Table

    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as folder, using_settings(home=Path(folder)):
        publish(Table.of(_random(SMALL, 0, _ROWS, _ROWS), schema=SMALL.schema), view=SMALL)
        feast, feasts_file = _stock(Path(folder))

        def fill() -> None:
            materialize_published(SMALL.name)

        def fill_with_feast() -> None:
            with contextlib.redirect_stdout(io.StringIO()):  # Feast says there how far it is
                feast.materialize(_BEGIN, _BEGIN + timedelta(days=_DAYS + 1), [SMALL.name])

        for turn in range(_REPEATS + 1):
            if turn <= _BASELINE_REPEATS:
                _emptied(feasts_file)
                theirs.append(_cpu_seconds(fill_with_feast))
            _removed(online_file())
            ours.append(_cpu_seconds(fill))
        _same_bytes(online_file(), feasts_file)
        _reads_the_same(feast, online_file())
    mine, baseline = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return {
        "name": "materialize_sqlite",
        "value": round(baseline / mine, 2),
        "unit": "times Feast's rows per CPU s",
        "baseline": "FeatureStore.materialize into Feast's SQLite store, rows per CPU s",
        "baseline_value": round(_ROWS / baseline),
        "ratio": round(baseline / mine, 2),
        "higher_is_better": True,
        "goal": {"at_least": 2.0},
        "detail": {
            "rows": _ROWS,
            "features": len(SMALL.columns),
            "ours_rows_per_cpu_s": round(_ROWS / mine),
            "repeats": _REPEATS,
            "baseline_repeats": _BASELINE_REPEATS,
            "identical": "entity key, feature name, value, text, event time and created time",
            "feasts_sdk_reads_the_same": True,
        },
    }


def _memory() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        with using_settings(home=Path(folder)):
            _publish_many()
        command = [sys.executable, "-c", _CHILD, folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        file = Path(folder, "features", "online.db")
        size = file.stat().st_size
    if told["entities"] != _ENTITIES:
        raise AssertionError(f"{told['entities']:,} entities instead of {_ENTITIES:,}")
    return {
        "name": "materialize_sqlite.5m_memory",
        "value": round(told["peak_mb"]),
        "unit": "MB",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 1000},
        "detail": {
            "rows": _MANY,
            "entities": told["entities"],
            "features": len(LARGE.columns),
            "cpu_s": round(told["cpu_s"], 1),
            "wall_s": round(told["wall_s"], 1),
            "rows_per_cpu_s": round(_MANY / told["cpu_s"]),
            "file_mb": round(size / 1e6),
        },
    }


def materialize_many(home: str) -> None:
    """Materialize the large view in this process and say what it took.

    Args:
        home: The home in which it is published.
    """
    from features.materialize import materialize_published

    begun = time.perf_counter()
    with using_settings(home=Path(home)):
        done = materialize_published(LARGE.name)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {
        "entities": done.entities,
        "peak_mb": peak,
        "cpu_s": time.process_time(),
        "wall_s": time.perf_counter() - begun,
    }
    sys.stdout.write(json.dumps(told) + "\n")


def _publish_many() -> None:
    """Write the large view's rows a part at a time, and the record of them."""
    import pyarrow.parquet as pq

    from features._published import (
        Published,
        folder_of,
        number_of,
        rows_file,
        version_of,
        write_record,
    )

    ends = (_BEGIN + timedelta(days=_DAYS)).isoformat()
    record = Published(
        view=LARGE.name,
        digest="many",
        version=version_of(LARGE),
        number=number_of(LARGE),
        rows=_MANY,
        file="many.parquet",
        newest_event=ends,
        newest_known=ends,
        published_at=ends,
        definition=LARGE.definition(),
    )
    folder_of(LARGE.name).mkdir(parents=True)
    writer: Any = None
    for start in range(0, _MANY, _STEP):
        rows = _random(LARGE, start, _STEP, _ENTITIES)
        writer = writer or pq.ParquetWriter(rows_file(record), rows.schema, compression="zstd")
        writer.write_table(rows)
    writer.close()
    write_record(record)


def _random(view: FeatureView, start: int, count: int, entities: int) -> pa.Table:
    """Make rows whose customers come back after `entities` rows, in an order that is no order."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(start)
    numbers = (np.arange(start, start + count) * 7_368_787) % entities
    us = pa.timestamp("us", tz="UTC")
    begin = int(_BEGIN.timestamp()) * 1_000_000
    event = begin + random.integers(0, _DAYS * 86_400 * 1_000_000, count)
    columns: dict[str, Any] = {
        "customer": pa.array([f"customer-{number:08d}" for number in numbers.tolist()]),
        "event_time": pa.array(event, us),
        "known_time": pa.array(event + 1_000_000, us),
    }
    for column in view.columns:
        missing = random.random(count) < 0.02
        values: Any = {
            "float": random.normal(size=count),
            "int": random.integers(0, 10_000, count),
            "bool": random.random(count) < 0.5,
            "string": np.array(["new", "regular", "lapsed", "gone"])[random.integers(0, 4, count)],
        }[column.dtype]
        columns[column.name] = pa.array(values, mask=missing)
    return pa.table(columns)


def _stock(home: Path) -> tuple[Any, Path]:
    """Return Feast's own feature store on the published rows, and the file that it writes."""
    from feast import Entity as FeastEntity
    from feast import FeatureStore, Field, FileSource, RepoConfig, ValueType
    from feast import FeatureView as FeastView
    from feast.types import Bool, Float64, Int64, String

    from features._published import published, rows_file

    record = published(SMALL.name)
    if record is None:
        raise AssertionError("nothing is published")
    types = {"float": Float64, "int": Int64, "string": String, "bool": Bool}
    file = home / "feasts.db"
    store = FeatureStore(
        config=RepoConfig(
            project="headrace",
            provider="local",
            repo_path=home,
            registry={"registry_type": "sql", "path": f"sqlite:///{home / 'feasts_registry.db'}"},
            offline_store={"type": "duckdb"},
            online_store={"type": "sqlite", "path": str(file)},
            entity_key_serialization_version=3,
        )
    )
    customer = FeastEntity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)
    source = FileSource(
        path=str(rows_file(record)),
        timestamp_field="event_time",
        created_timestamp_column="known_time",
    )
    fields = [Field(name=c.name, dtype=types[str(c.dtype)]) for c in SMALL.columns]
    view = FeastView(
        name=SMALL.name,
        entities=[customer],
        source=source,
        schema=[Field(name="customer", dtype=String), *fields],
    )
    store.apply([customer, view])
    return store, file


def _same_bytes(ours: Path, theirs: Path) -> None:
    columns = "entity_key, feature_name, value, value_text, event_ts, created_ts"
    query = f"SELECT {columns} FROM headrace_{SMALL.name} ORDER BY 1, 2"  # noqa: S608
    with closing(sqlite3.connect(ours)) as one, closing(sqlite3.connect(theirs)) as other:
        mine, feasts = one.execute(query).fetchall(), other.execute(query).fetchall()
    if mine != feasts or len(mine) != _ROWS * len(SMALL.columns):
        raise AssertionError("what we wrote is not what Feast wrote")


def _reads_the_same(feast: Any, ours: Path) -> None:
    """Let Feast's SDK read some entities from its file and from ours."""
    from feast import FeatureStore

    asked = [{"customer": f"customer-{number:08d}"} for number in range(0, _ROWS + 200, 100)]
    names = [f"{SMALL.name}:{column.name}" for column in SMALL.columns]
    told = feast.config.model_copy(deep=True)
    told.online_config["path"] = str(ours)
    told = type(told)(**{**told.model_dump(by_alias=True), "online_store": told.online_config})
    there, here = (
        store.get_online_features(names, asked).to_dict()
        for store in (feast, FeatureStore(config=told))
    )
    if here != there:
        raise AssertionError("Feast's SDK reads something else from our file")


def _emptied(file: Path) -> None:
    """Empty Feast's file; its store keeps it open."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"DELETE FROM headrace_{SMALL.name}")  # noqa: S608


def _removed(file: Path) -> None:
    for end in ("", "-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)


def _cpu_seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
