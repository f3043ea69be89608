"""This module joins features to rows in a process of its own: our store, raw DuckDB, Feast's."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    import pyarrow

OURS, FEASTS = "features.feast_offline.AsofOfflineStore", "duckdb"
_TIMES = 7  # joins of ours and of raw DuckDB, in turn, after one of each that is not counted


@dataclass(frozen=True, kw_only=True)
class JoinedTable:
    """This is a table of features on disk, with `event_time` and `known_time`.

    Args:
        name: What it is called.
        key: The column that it is joined on.
        features: The columns that are taken.
        ttl_hours: How long after its event a row may be used; 0 for ever.
    """

    name: str
    key: str
    features: list[str]
    ttl_hours: float = 0


def measured(folder: Path, tables: list[JoinedTable], what: str) -> dict[str, Any]:
    """Measure in a new process; `folder` has `spine.parquet` and a file for each table.

    Args:
        folder: Where the data are.
        tables: The tables to join.
        what: "raw": ours against raw DuckDB, in turn; "alone": ours once; "feast": ours, Feast's
            own store for DuckDB once, ours again.
    """
    given = json.dumps([asdict(table) for table in tables])
    command = [sys.executable, "-m", "benchmarks._pit_join", str(folder), given, what]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def rows_of(name: str, folder: Path, tables: list[JoinedTable], least: float) -> list[Any]:
    """Return the rows of a benchmark: wall time, memory, and against Feast's own store."""
    raw, alone, feast = (measured(folder, tables, what) for what in ("raw", "alone", "feast"))
    common = {"higher_is_better": False}
    return [
        common
        | {
            "name": f"{name}.wall",
            "value": round(raw["wall_ratio"], 3),
            "unit": "times raw DuckDB",
            "baseline": "DuckDB's ASOF LEFT JOIN of the same Parquet files into Arrow",
            "baseline_value": round(raw["raw_wall"], 3),
            "ratio": round(raw["wall_ratio"], 3),
            "goal": {"at_most": 1.5},
            "detail": raw,
        },
        common
        | {
            "name": f"{name}.peak_mb",
            "value": round(alone["peak_mb"]),
            "unit": "MB",
            "baseline": "the process before the join, Feast imported and rows to join read",
            "baseline_value": round(alone["before_mb"]),
            "ratio": round(alone["peak_mb"] / alone["before_mb"], 2),
            "goal": {"at_most": 1000},
            "detail": alone,
        },
        {
            "name": f"{name}.vs_feast",
            "value": round(feast["feast_wall"] / feast["ours_wall"], 2),
            "unit": "times faster",
            "baseline": "Feast's own offline store for DuckDB, wall s of one join",
            "baseline_value": round(feast["feast_wall"], 2),
            "ratio": round(feast["feast_wall"] / feast["ours_wall"], 2),
            "higher_is_better": True,
            "goal": {"at_least": least},
            "detail": feast,
        },
    ]


def _main(folder: Path, tables: list[JoinedTable], what: str) -> dict[str, Any]:
    import pyarrow.parquet as pq

    spine = pq.read_table(folder / "spine.parquet").to_pandas()
    ours = _store(folder, tables, OURS)
    before = _peak_mb()
    refs = [f"{table.name}:{feature}" for table in tables for feature in table.features]

    def joined(store: Any) -> Callable[[], pyarrow.Table]:
        return lambda: store.get_historical_features(spine, refs).to_arrow()

    if what == "alone":
        wall, cpu, result = _seconds(joined(ours))
        shape = {"rows": result.num_rows, "columns": result.num_columns}
        return {"before_mb": before, "peak_mb": _peak_mb(), "wall": wall, "cpu": cpu} | shape
    if what == "raw":
        return _against_raw(joined(ours), folder, tables, spine)
    # Feast's join needs to be told what ours does by default
    theirs = _store(folder, tables, FEASTS)
    first, _, mine = _seconds(joined(ours))
    wall, cpu, other = _seconds(
        lambda: theirs.get_historical_features(
            spine.copy(), refs, filter_by_created_timestamp=True
        ).to_arrow()
    )
    last, _, _ = _seconds(joined(ours))
    return {
        "feast_wall": wall,
        "feast_cpu": cpu,
        "feast_peak_mb": _peak_mb(),
        "ours_wall": (first + last) / 2,
        "ours_walls": [first, last],
        "equal": _alike(mine, other, refs),
    }


def _against_raw(
    ours: Callable[[], pyarrow.Table],
    folder: Path,
    tables: list[JoinedTable],
    spine: pandas.DataFrame,
) -> dict[str, Any]:
    import statistics

    import duckdb

    def raw() -> pyarrow.Table:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.sql(asof_query(folder, tables)).to_arrow_table()

    names = [feature for table in tables for feature in table.features]
    first, second = ours(), raw()
    turns = [(_seconds(ours)[:2], _seconds(raw)[:2]) for _ in range(_TIMES)]
    return {
        "wall_ratio": statistics.median(mine[0] / theirs[0] for mine, theirs in turns),
        "cpu_ratio": statistics.median(mine[1] / theirs[1] for mine, theirs in turns),
        "ours_wall": statistics.median(mine[0] for mine, _ in turns),
        "raw_wall": statistics.median(theirs[0] for _, theirs in turns),
        "ours_cpu": statistics.median(mine[1] for mine, _ in turns),
        "raw_cpu": statistics.median(theirs[1] for _, theirs in turns),
        "repeats": _TIMES,
        "rows": len(spine),
        "features": len(names),
        "equal": _alike(first, second, names),
    }


def asof_query(folder: Path, tables: list[JoinedTable]) -> str:
    """Return DuckDB's ASOF join of the tables on their known time, with their ttl."""
    columns, joins = ["s.*"], [f"FROM read_parquet('{folder / 'spine.parquet'}') s"]
    for number, table in enumerate(tables):
        one = f"t{number}"
        fresh = (
            f"s.event_timestamp <= {one}.event_time + INTERVAL {table.ttl_hours} HOURS"
            if table.ttl_hours
            else "true"
        )
        columns += [f"CASE WHEN {fresh} THEN {one}.{f} END AS {f}" for f in table.features]
        joins.append(
            f"ASOF LEFT JOIN read_parquet('{folder / table.name}.parquet') {one} "
            f"ON s.{table.key} = {one}.{table.key} AND s.event_timestamp >= {one}.known_time"
        )
    return f"SELECT {', '.join(columns)} {' '.join(joins)}"


def _alike(one: pyarrow.Table, other: pyarrow.Table, names: list[str]) -> bool:
    """Say whether each feature has as many values and, of numbers, the same sum."""
    import math

    import pyarrow as pa
    import pyarrow.compute as pc

    for name in names:
        columns = [table.column(name.rpartition(":")[2]) for table in (one, other)]
        if columns[0].null_count != columns[1].null_count:
            return False
        if pa.types.is_floating(columns[0].type) or pa.types.is_integer(columns[0].type):
            # the rows' order differs, and so the rounding
            sums = [pc.sum(column.cast(pa.float64())).as_py() or 0.0 for column in columns]
            if not math.isclose(*sums, rel_tol=1e-9, abs_tol=1e-6):
                return False
    return one.num_rows == other.num_rows


def _store(folder: Path, tables: list[JoinedTable], kind: str) -> Any:
    import prometheus_client  # noqa: F401  before Feast, whose import puts metrics into files
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import from_value_type

    root = Path(tempfile.mkdtemp(dir=folder))
    config = RepoConfig(
        project="benchmark",
        provider="local",
        repo_path=root,
        registry=str(root / "registry.db"),
        offline_store={"type": kind},
        online_store={"type": "sqlite", "path": str(root / "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    for table in tables:
        file = folder / f"{table.name}.parquet"
        source = FileSource(
            name=f"{table.name}_rows",
            path=str(file),
            timestamp_field="event_time",
            created_timestamp_column="known_time",
        )
        kinds = {n: source.source_datatype_to_feast_value_type()(k) for n, k in _types(file)}
        schema = [
            Field(name=n, dtype=from_value_type(kinds[n])) for n in [table.key, *table.features]
        ]
        entity = Entity(
            name=table.key, join_keys=[table.key], value_type=ValueType(kinds[table.key])
        )
        view = FeatureView(
            name=table.name,
            entities=[entity],
            source=source,
            schema=schema,
            ttl=timedelta(hours=table.ttl_hours),
            online=False,
        )
        store.apply([entity, view])
    return store


def _types(file: Path) -> list[tuple[str, str]]:
    import pyarrow.parquet as pq

    schema = pq.read_schema(file)
    return [(field.name, str(field.type)) for field in schema]


def _seconds(work: Callable[[], pyarrow.Table]) -> tuple[float, float, pyarrow.Table]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    at, given, task = sys.argv[1:]
    found = _main(Path(at), [JoinedTable(**table) for table in json.loads(given)], task)
    sys.stdout.write(json.dumps(found) + "\n")
