"""This module holds what splits ask of boundaries, shares and data, and how they deal rows."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, LeakageError, ParameterError, did_you_mean
from headrace.operation import Finding, PlannedCall
from headrace.schemas import Role, TableSchema

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from headrace import Examples

    Ints = npt.NDArray[np.int64]

NEVER = 2**63 - 1
SETS = ("train", "validation", "test")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def times_are_known(call: PlannedCall) -> Sequence[Finding]:
    """Find what `split_by_time` lacks: the role columns, and boundaries in order."""
    found = []
    schema = call.schema("examples")
    roles: tuple[tuple[Role, str], ...] = (
        ("decision_time", "time of the decision"),
        ("known_time", "time at which the label was known"),
    )
    for role, what in roles:
        count = 1 if schema is None else len(schema.with_role(role))
        if schema is not None and count != 1:
            found.append(
                Finding(
                    problem=f"Split by time needs the {what}, but schema '{schema.name}' has "
                    f"{count or 'no'} column{'s' if count > 1 else ''} with role '{role}'.",
                    remedy=f'Give exactly one column `Col(role="{role}")`.',
                    rule="time",
                    input="examples",
                )
            )
    values = call.parameters
    boundaries = ("validation_from", "test_from", "until", "gap_hours")
    if any(name not in values for name in boundaries):
        return found  # a wrong or missing parameter is reported by the plan itself
    try:
        require_order(*(values[name] for name in boundaries))
    except ParameterError as error:
        found.append(Finding(problem=error.problem, remedy=error.remedy, rule="parameter"))
    return found


def group_is_known(call: PlannedCall) -> Sequence[Finding]:
    """Find an unknown group column and shares that are none."""
    found = _share_findings(call)
    schema, group = call.schema("examples"), call.parameters.get("group")
    if schema is not None and group is not None and group not in schema:
        found.append(
            Finding(
                problem=f"The examples have no column '{group}' to group by."
                f"{did_you_mean(group, schema.names)}",
                remedy="Name a column of the examples.",
                rule="unknown column",
                input="examples",
            )
        )
    return found


def there_is_no_time(call: PlannedCall) -> Sequence[Finding]:
    """Find a time, which forbids a random split, and shares that are none."""
    found = _share_findings(call)
    schema = call.schema("examples")
    if schema is not None:
        try:
            refuse_time(schema)
        except LeakageError as error:
            found.append(
                Finding(problem=error.problem, remedy=error.remedy, rule="leak", input="examples")
            )
    return found


def _share_findings(call: PlannedCall) -> list[Finding]:
    try:
        require_shares(call.parameters.get("shares", (1.0,)))
    except ParameterError as error:
        return [Finding(problem=error.problem, remedy=error.remedy, rule="parameter")]
    return []


def content(examples: Examples[Any]) -> tuple[TableSchema, pa.Table]:
    """Return schema and rows of the examples, or refuse an empty table."""
    schema = examples.schema
    if schema is None or not examples.rows:
        raise DataError(
            "There are no examples to split: the table is empty.",
            remedy="Look at what made the examples: a filter or a join may have dropped all rows.",
        )
    return schema, examples.arrow()


def moment(value: date | datetime) -> int:
    """Return a boundary as microseconds since 1970, UTC; a date is its midnight."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return (value - _EPOCH) // timedelta(microseconds=1)


def shown(microseconds_: int) -> str:
    """Return an instant as ISO 8601 in UTC."""
    return (_EPOCH + timedelta(microseconds=microseconds_)).isoformat()


def microseconds(table: pa.Table, column: str) -> Ints:
    """Return a time column as microseconds since 1970, UTC; a null is `NEVER`."""
    import pyarrow as pa

    times = table.column(column).cast(pa.timestamp("us", tz="UTC"))
    as_numbers: Ints = times.cast(pa.int64()).fill_null(NEVER).to_numpy()
    return as_numbers


def require_order(
    validation_from: date | datetime,
    test_from: date | datetime,
    until: date | datetime | None,
    gap_hours: float,
) -> None:
    """Refuse boundaries without a zone or out of order, and a negative gap."""
    named = {"validation_from": validation_from, "test_from": test_from, "until": until}
    given = {n: v for n, v in named.items() if v is not None}
    for name, value in given.items():
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ParameterError(
                f"The boundary {name} is {value.isoformat()}, which has no time zone.",
                remedy="Give an aware time such as 2013-10-01T00:00:00Z, or a date (midnight UTC).",
            )
    ordered = list(given.items())
    for (before, low), (after, high) in itertools.pairwise(ordered):
        if moment(low) >= moment(high):
            raise ParameterError(
                f"The boundaries are out of order: {before} is {low.isoformat()} and {after} is "
                f"{high.isoformat()}.",
                remedy=f"Put {before} before {after}.",
            )
    if not gap_hours >= 0:
        raise ParameterError(f"The gap is {gap_hours:g} hours.", remedy="Use zero or more hours.")


def require_inside(decided: Ints, boundaries: Mapping[str, int]) -> None:
    """Refuse a boundary outside the data, saying the data's range."""
    first, last = int(decided.min()), int(decided.max())
    for name, boundary in boundaries.items():
        if not first < boundary <= last:
            raise DataError(
                f"The boundary {name} is {shown(boundary)}, outside the data: its decisions run "
                f"from {shown(first)} to {shown(last)}.",
                remedy="Choose a boundary between the two.",
            )


def require_shares(shares: Sequence[float]) -> None:
    """Refuse shares that are not positive or do not sum to 1."""
    if min(shares) > 0 and abs(sum(shares) - 1) < 1e-9:  # written in decimals, summed in binary
        return
    listed = ", ".join(f"{s:g}" for s in shares)
    raise ParameterError(
        f"The shares are {listed}, which sum to {sum(shares):g}.",
        remedy="Give three positive shares that sum to 1, such as 0.6, 0.2, 0.2.",
    )


def refuse_time(schema: TableSchema) -> None:
    """Refuse a random split of data that has a decision or event time."""
    times = (*schema.with_role("decision_time"), *schema.with_role("event_time"))
    if times:
        raise LeakageError(
            f"The data has a time ('{times[0].name}', role '{times[0].role}'); split at random, "
            "a model would be fitted on rows from after those that it is tested on.",
            remedy="Use split_by_time, or split_by_group.",
        )


def require_usable(sets: Sequence[pa.Table], schema: TableSchema) -> None:
    """Refuse a split that leaves a set empty, or a classification's set with one class."""
    import pyarrow.compute as pc

    for name, rows in zip(SETS, sets, strict=True):
        if not rows.num_rows:
            raise DataError(
                f"The {name} set is empty after the split; the sets have "
                f"{', '.join(f'{n}: {r.num_rows:,}' for n, r in zip(SETS, sets, strict=True))} "
                "rows.",
                remedy="Move the boundaries or shares, shorten the gap, or bring more data.",
            )
    for label in schema.with_role("label"):
        if label.dtype == "float":
            continue
        for name, rows in zip(SETS, sets, strict=True):
            classes = pc.unique(rows.column(label.name)).drop_null()
            if len(classes) < 2:
                only = classes[0].as_py() if len(classes) else None
                raise DataError(
                    f"The {name} set has one class only: '{label.name}' is {only!r} in all of its "
                    f"{rows.num_rows:,} rows.",
                    remedy="Move the boundaries or shares, or bring data with both outcomes.",
                )


def rows_of(sets: Sequence[pa.Table]) -> dict[str, int]:
    """Return the number of rows of each set, by name."""
    return {name: rows.num_rows for name, rows in zip(SETS, sets, strict=True)}


def group_codes(table: pa.Table, group: str) -> tuple[Ints, list[Any]]:
    """Return each row's group as a number, and the groups' names in order of these numbers."""
    import numpy as np

    column = table.column(group).combine_chunks()
    if column.null_count:
        raise DataError(
            f"The group column '{group}' holds {column.null_count:,} nulls, the first in row "
            f"{column.is_null().index(True).as_py():,}: it is unknown which rows belong together.",
            remedy="Drop these rows, or give each a group of its own.",
        )
    encoded = column if hasattr(column, "dictionary") else column.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    present, dense = np.unique(codes, return_inverse=True)
    names = encoded.dictionary.take(present.tolist()).to_pylist()
    return dense.astype(np.int64), names


def shuffled_groups(names: Sequence[Any], seed: int) -> list[int]:
    """Return the groups' numbers in an order that depends on names and seed, not on row order."""

    def key(i: int) -> bytes:
        return hashlib.sha256(f"{seed}\0{names[i]!r}".encode()).digest()

    return sorted(range(len(names)), key=key)


def whole_groups(codes: Ints, order: Sequence[int], shares: Sequence[float]) -> Ints:
    """Return for each group its set: groups are dealt in order until a share of rows is met.

    A group goes where the middle of its rows falls, so no set is more than half a group off.
    """
    import numpy as np

    sizes = np.bincount(codes, minlength=len(order))[list(order)]
    middle = (np.cumsum(sizes) - sizes / 2) / len(codes)
    part: Ints = np.empty(len(order), dtype=np.int64)
    part[list(order)] = np.searchsorted(np.cumsum(shares)[:2], middle, side="right")
    return part


def random_parts(rows: int, shares: Sequence[float], seed: int) -> Ints:
    """Return for each row its set; the sizes are the shares, rounded."""
    import numpy as np

    part: Ints = np.empty(rows, dtype=np.int64)
    rank = (np.arange(rows) + 0.5) / max(rows, 1)
    dealt = np.searchsorted(np.cumsum(shares)[:2], rank, side="right")
    part[np.random.default_rng(seed).permutation(rows)] = dealt
    return part
