"""These operators cut a table by time: one period of it, or all of its periods as partitions.

days = partition_by_period(flights, every="day", timezone="America/New_York")
totals = map_over(total, days)  # cached day by day: a changed day reruns alone
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from headrace import Partitions, Schema, Table, operator
from headrace.errors import DataError, ParameterError
from headrace.partitioning import partition_of, period_named
from operators._partition_times import local_times, time_column, time_is_known

if TYPE_CHECKING:
    import numpy as np

S = TypeVar("S", bound=Schema)

_PANDAS = {"hour": "h", "day": "D", "week": "W-SUN", "month": "M"}


@operator(check=time_is_known)
def take_period(
    table: Table[S], *, period: str, column: str | None = None, timezone: str = "UTC"
) -> Table[S]:
    """Take the rows of one year, month, week, day or hour.

    Args:
        table: Rows with a time, without nulls in it.
        period: Such as "2013", "2013-01", "2013-W03", "2013-01-05" or "2013-01-05T07".
        column: The time; None takes the column of role event_time.
        timezone: The zone whose clock is meant, such as "America/New_York". Dates have none.

    Returns:
        The rows whose time lies in the period, in their order, with all columns.

    Raises:
        ParameterError: The period or the zone does not exist.
        DataError: The table has rows, and none lies in the period, or a time is null.
    """
    import numpy as np
    import pyarrow as pa

    wanted = period_named(period)
    rows = table.arrow()
    name = time_column(table.schema, rows, column)
    times = local_times(rows, name, timezone).to_numpy()
    kept = (times >= np.datetime64(wanted.first)) & (times < np.datetime64(wanted.after))
    if rows.num_rows and not kept.any():
        raise DataError(
            f"None of the {rows.num_rows:,} rows has its '{name}' in {period}; they reach from "
            f"{_shown(times.min())} to {_shown(times.max())} ({timezone}).",
            remedy="Take a period that the data has.",
        )
    return Table.of(rows.filter(pa.array(kept)))


@operator(check=time_is_known)
def partition_by_period(
    table: Table[S],
    *,
    every: Literal["hour", "day", "week", "month"] = "day",
    column: str | None = None,
    timezone: str = "UTC",
) -> Partitions[Table[S]]:
    """Cut a table into its hours, days, ISO weeks or months, for `map_over`.

    Args:
        table: Rows with a time, without nulls in it.
        every: How long a partition is.
        column: The time; None takes the column of role event_time.
        timezone: The zone whose clock is meant, such as "America/New_York". Dates have none.

    Returns:
        A table for each period that has rows, from early to late, named as in "2013-01-05". Rows
        keep their order and all columns; no row is lost.

    Raises:
        ParameterError: The zone does not exist, or `every` is another word.
        DataError: A time is null.
    """
    import numpy as np
    import pyarrow as pa

    if every not in _PANDAS:
        raise ParameterError(
            f"A table cannot be cut every '{every}'.", remedy=f"Take one of {', '.join(_PANDAS)}."
        )
    rows = table.arrow()
    times = local_times(rows, time_column(table.schema, rows, column), timezone)
    _, firsts, which, counts = np.unique(
        times.to_period(_PANDAS[every]).astype("int64").to_numpy(),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    together = rows.take(pa.array(np.argsort(which, kind="stable")))
    names = [partition_of(moment.to_pydatetime(), every) for moment in times[firsts]]
    ends = np.cumsum(counts)
    return Partitions.of(
        {
            name: Table.of(together.slice(int(end - count), int(count)))
            for name, end, count in zip(names, ends, counts, strict=True)
        }
    )


def _shown(moment: np.datetime64) -> str:
    import numpy as np

    return str(np.datetime_as_string(moment, unit="s"))
