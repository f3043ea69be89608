"""This benchmark joins weather and the history of its aircraft to every flight of 2013.

The bundled views `airport_weather` and `tail_history`, with their ttl, at the moment of a flight's
decision. Through Feast's SDK with our offline store, from Parquet files to an Arrow table, against
DuckDB's ASOF joins alone and against Feast's own store for DuckDB.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._pit_join import JoinedTable, rows_of
from features.airport_weather import airport_weather
from features.tail_history import tail_history
from features.view import FeatureView

if TYPE_CHECKING:
    import pyarrow


def run() -> Iterator[dict[str, Any]]:
    """Yield wall time, peak memory, and how many times faster than Feast's own store."""
    with tempfile.TemporaryDirectory() as directory:
        tables = _write(Path(directory))
        yield from rows_of("pit_join_flights", Path(directory), tables, least=5)


def _write(folder: Path) -> list[JoinedTable]:
    """Write the flights and the rows of the views, and say how they are joined."""
    import pyarrow.parquet as pq

    from operators import nycflights13 as nyc

    flights = nyc.time_flights(nyc.read_flights(), nyc.read_airports())
    weather, landings = nyc.time_weather(nyc.read_weather()), nyc.landings(flights)
    spine = flights.arrow().select(["flight_id", "origin", "tail", "decided_at"])
    spine = spine.rename_columns(["flight_id", "origin", "tail", "event_timestamp"])
    pq.write_table(_plain(spine), folder / "spine.parquet")
    found = []
    for view, source in ((airport_weather, weather), (tail_history, landings)):
        pq.write_table(_plain(view.rows(source.arrow())), folder / f"{view.name}.parquet")
        found.append(_joined(view))
    return found


def _joined(view: FeatureView) -> JoinedTable:
    return JoinedTable(
        name=view.name,
        key=view.keys[0],
        features=[column.name for column in view.columns],
        ttl_hours=view.ttl.total_seconds() / 3600 if view.ttl else 0,
    )


def _plain(table: pyarrow.Table) -> pyarrow.Table:
    """Return a table without categories, which Feast does not have."""
    import pyarrow as pa

    kinds = [k.value_type if pa.types.is_dictionary(k) else k for k in table.schema.types]
    return table.cast(pa.schema(list(zip(table.schema.names, kinds, strict=True))))
