"""These operators part examples into the sets to fit on, to select on, and to test once."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, TypeVar

from headrace import Examples, Report, TestSet, TrainSet, ValidationSet, operator
from headrace.schemas import Schema
from operators._split_bounds import (
    NEVER,
    microseconds,
    moment,
    require_inside,
    require_order,
    shown,
)
from operators._split_dealing import group_codes, random_parts, shuffled_groups, whole_groups
from operators._split_plan import group_is_known, there_is_no_time, times_are_known
from operators._split_rules import (
    SETS,
    content,
    refuse_time,
    require_shares,
    require_usable,
    rows_of,
)

S = TypeVar("S", bound=Schema)


@operator(check=times_are_known)
def split_by_time(
    examples: Examples[S],
    *,
    validation_from: date | datetime,
    test_from: date | datetime,
    gap_hours: float = 0.0,
    until: date | datetime | None = None,
) -> tuple[TrainSet[S], ValidationSet[S], TestSet[S], Report]:
    """Split by the time of the decision: fit on the past, select and test on what follows.

    A row whose label was not yet known when the next set begins is purged: a model fitted at that
    moment could not have learnt from it.

    Args:
        examples: Rows with a decision time and the time at which their label was known.
        validation_from: First moment of the validation set. A date is midnight UTC.
        test_from: First moment of the test set.
        gap_hours: How long before the next set begins a label must have been known, in hours.
        until: First moment that no set holds; None takes everything to the end.

    Returns:
        The three sets, in the order of the rows given, and a report with the rows of each and how
        many were purged or lie after `until`.

    Raises:
        ParameterError: The boundaries are out of order, or the gap is negative.
        DataError: A boundary lies outside the data, or a set is empty or has one class only.
    """
    import numpy as np
    import pyarrow as pa

    schema, table = content(examples)
    require_order(validation_from, test_from, until, gap_hours)
    decided = microseconds(table, schema.the("decision_time").name)
    known = microseconds(table, schema.the("known_time").name)
    starts = [moment(validation_from), moment(test_from)]
    end = None if until is None else moment(until)
    require_inside(decided, {"validation_from": starts[0], "test_from": starts[1]})

    inside = np.ones(len(decided), dtype=bool) if end is None else decided < end
    part = np.searchsorted(np.array(starts), decided, side="right")
    gap = int(gap_hours * 3_600_000_000)
    limits = np.array([starts[0] - gap, starts[1] - gap, NEVER])
    mature = known <= limits[part]
    sets = [table.filter(pa.array(inside & mature & (part == i))) for i in range(3)]
    require_usable(sets, schema)
    return (
        TrainSet.of(sets[0]),
        ValidationSet.of(sets[1]),
        TestSet.of(sets[2]),
        Report.of(
            {
                "passed": True,
                "rows": rows_of(sets),
                "purged": {
                    "train": int((inside & ~mature & (part == 0)).sum()),
                    "validation": int((inside & ~mature & (part == 1)).sum()),
                },
                "after_until": int((~inside).sum()),
                "validation_from": shown(starts[0]),
                "test_from": shown(starts[1]),
                "until": None if end is None else shown(end),
                "gap_hours": gap_hours,
            }
        ),
    )


@operator(check=group_is_known)
def split_by_group(
    examples: Examples[S],
    *,
    group: str,
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2),
    seed: int | None = None,
) -> tuple[TrainSet[S], ValidationSet[S], TestSet[S], Report]:
    """Split so that all rows of a group lie in one set, such as all flights of an aircraft.

    Args:
        examples: Rows with the group column, without nulls in it.
        group: Name of the column.
        shares: Shares of the rows for training, validation and test; they sum to 1. A set takes
            whole groups, so that its share is met as nearly as the groups allow.
        seed: Which of the possible splits; in a flow None takes one from the flow's seed.

    Returns:
        The three sets, in the order of the rows given, and a report with rows and groups of each.

    Raises:
        ParameterError: The shares are not positive or don't sum to 1.
        UnknownNameError: There is no such column.
        DataError: The column has nulls, or a set is empty or has one class only.
    """
    import pyarrow as pa

    schema, table = content(examples)
    require_shares(shares)
    schema.column(group)
    codes, names = group_codes(table, group)
    order = shuffled_groups(names, seed or 0)
    part_of_group = whole_groups(codes, order, shares)
    part = part_of_group[codes]
    sets = [table.filter(pa.array(part == i)) for i in range(3)]
    require_usable(sets, schema)
    groups = [int((part_of_group == i).sum()) for i in range(3)]
    return (
        TrainSet.of(sets[0]),
        ValidationSet.of(sets[1]),
        TestSet.of(sets[2]),
        Report.of(
            {
                "passed": True,
                "rows": rows_of(sets),
                "group": group,
                "groups": dict(zip(SETS, groups, strict=True)),
            }
        ),
    )


@operator(check=there_is_no_time)
def split_at_random(
    examples: Examples[S],
    *,
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2),
    seed: int | None = None,
) -> tuple[TrainSet[S], ValidationSet[S], TestSet[S], Report]:
    """Split row by row at random; only for data that has no time.

    Args:
        examples: Rows without a decision or event time: with one, training rows from after a test
            row would tell about it, and the test would promise too much.
        shares: Shares of the rows for training, validation and test; they sum to 1.
        seed: Which of the possible splits; in a flow None takes one from the flow's seed.

    Returns:
        The three sets, in the order of the rows given, and a report with the rows of each.

    Raises:
        ParameterError: The shares are not positive or don't sum to 1.
        LeakageError: The data has a decision or event time.
        DataError: A set is empty or has one class only.
    """
    import pyarrow as pa

    schema, table = content(examples)
    refuse_time(schema)
    require_shares(shares)
    part = random_parts(table.num_rows, shares, seed or 0)
    sets: list[Any] = [table.filter(pa.array(part == i)) for i in range(3)]
    require_usable(sets, schema)
    return (
        TrainSet.of(sets[0]),
        ValidationSet.of(sets[1]),
        TestSet.of(sets[2]),
        Report.of({"passed": True, "rows": rows_of(sets)}),
    )
