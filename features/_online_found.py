"""This module holds what reading online gives: for one entity, and for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# what there is of an entity; for a value also "null": the entity is known, this of it is not
Status = Literal["present", "null", "unknown", "expired", "not_materialized"]


@dataclass(frozen=True, slots=True)
class Found:
    """This is what the online store has of an entity in one view.

    Args:
        values: The features, in the order of the lookup; None where the entity is unknown. All are
            null where what there is has expired.
        event_us: When it happened, in microseconds since 1970 UTC; None where unknown.
        known_us: From when it could be used, likewise.
        expired: Whether it may no longer be used.
        materialized: Whether the view, in the version that is looked up, is in the store at all.
    """

    values: list[Any] | None
    event_us: int | None = None
    known_us: int | None = None
    expired: bool = False
    materialized: bool = True

    @property
    def status(self) -> Status:
        """What there is of the entity."""
        if self.values is not None:
            return "expired" if self.expired else "present"
        return "unknown" if self.materialized else "not_materialized"


UNKNOWN = Found(None)
NOT_MATERIALIZED = Found(None, materialized=False)


@dataclass(frozen=True, slots=True)
class FoundMany:
    """This is what the online store has of many entities in one view, by column.

    Args:
        names: The features, in the order of the lookup.
        dtypes: Their logical types.
        columns: For each feature a value for each entity asked for, in that order; null where the
            value is, and where the entity is unknown or expired.
        status: What there is of each entity.
        event_us: When it happened, in microseconds since 1970 UTC; None where unknown.
        known_us: From when it could be used, likewise.
        materialized: Whether the view, in the version that is looked up, is in the store at all.
    """

    names: tuple[str, ...]
    dtypes: tuple[str, ...]
    columns: Sequence[list[Any]]
    status: list[Status]
    event_us: list[int | None]
    known_us: list[int | None]
    materialized: bool = True

    def __len__(self) -> int:
        return len(self.status)

    def statuses(self) -> dict[str, list[Status]]:
        """Return for each feature what each of its values is: present, or why there is none."""
        return {
            name: [
                "null" if state == "present" and value is None else state
                for value, state in zip(column, self.status, strict=True)
            ]
            for name, column in zip(self.names, self.columns, strict=True)
        }

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the values by name of feature."""
        return dict(zip(self.names, self.columns, strict=True))

    def table(self) -> pa.Table:
        """Return the values as an Arrow table, a row for each entity asked for."""
        import pyarrow as pa

        arrays = [arrow_column(*pair) for pair in zip(self.columns, self.dtypes, strict=True)]
        return pa.table(arrays, names=list(self.names))

    def matrix(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return numeric values of shape (entities, features), NaN where there is none."""
        import numpy as np

        filled = np.array(list(self.columns), dtype=np.float64)
        return filled.reshape(len(self.names), len(self)).T


def arrow_column(values: Sequence[Any], dtype: str | None) -> pa.Array:
    """Return values as an Arrow array of their logical type; of none, as Arrow takes them."""
    import pyarrow as pa

    from headrace.conform import arrow_type
    from headrace.schemas import Column

    if dtype is None:
        return pa.array(values)
    if dtype == "bytes":
        return pa.array(values, pa.binary())
    return pa.array(values, arrow_type(Column(name="column", dtype=dtype)))  # type: ignore[arg-type]
