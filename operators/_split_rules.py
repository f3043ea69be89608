"""This module holds what every split asks of its examples, its shares and its sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, LeakageError, ParameterError
from headrace.schemas import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace import Examples

SETS = ("train", "validation", "test")


def content(examples: Examples[Any]) -> tuple[TableSchema, pa.Table]:
    """Return schema and rows of the examples, or refuse an empty table."""
    schema = examples.schema
    if schema is None or not examples.rows:
        raise DataError(
            "There are no examples to split: the table is empty.",
            remedy="Look at what made the examples: a filter or a join may have dropped all rows.",
        )
    return schema, examples.arrow()


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
