"""This module turns what a clock on the wall showed into instants, on the days of change too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from headrace.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Ambiguous = Literal["refuse", "first", "second"]
Nonexistent = Literal["refuse", "forward"]


def instants(
    local: pd.DatetimeIndex,
    zone: str,
    *,
    ambiguous: Ambiguous = "refuse",
    nonexistent: Nonexistent = "refuse",
    where: str = "The times",
) -> pd.DatetimeIndex:
    """Return local clock times as instants in UTC, in microseconds; nulls stay null.

    Args:
        local: Times without a zone.
        zone: Name in the tz database, such as "America/New_York".
        ambiguous: Which instant is meant by a clock time that occurs twice, in autumn.
        nonexistent: What is meant by a clock time that is skipped, in spring: "forward" takes
            the moment at which the clocks were set forward.
        where: What the times are, to begin the message with.

    Raises:
        UnknownNameError: There is no such zone; the message offers the nearest.
        DataError: A time occurs twice or never in the zone, and that is refused.
    """
    import numpy as np

    _require_zone(zone)
    strict = local.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    present = np.asarray(local.notna())
    unsettled = np.asarray(strict.isna()) & present
    if not unsettled.any():
        return strict.tz_convert("UTC").as_unit("us")
    forward = local.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
    twice = np.asarray(forward.isna()) & present
    if ambiguous == "refuse" and twice.any():
        raise _refused(local, twice, f"twice in {zone}", "ambiguous='first' or 'second'", where)
    never = unsettled & ~twice
    if nonexistent == "refuse" and never.any():
        raise _refused(local, never, f"never in {zone}", "nonexistent='forward'", where)
    summer = twice if ambiguous == "first" else ~twice
    settled = local.tz_localize(zone, ambiguous=summer, nonexistent="shift_forward")
    return settled.tz_convert("UTC").as_unit("us")


def _refused(
    local: pd.DatetimeIndex, rows: np.ndarray, occur: str, choice: str, where: str
) -> DataError:
    first = int(rows.argmax())
    count = int(rows.sum())
    verb = "value that occurs" if count == 1 else "values that occur"
    return DataError(
        f"{where} hold {count:,} {verb} {occur}, where the clocks change: "
        f"{local[first]} in row {first:,}.",
        remedy=f"Write times with their offset from UTC, or choose {choice}.",
    )


def _require_zone(zone: str) -> None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownNameError.of(
            "time zone",
            zone,
            available_timezones(),
            remedy="Use a name of the tz database, such as 'Europe/Berlin' or 'UTC'.",
        ) from error
