"""This module says how a column went over time: nulls and mean in equal stretches of known time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from features._statistics_numbers import Numbers, short

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_STRETCHES = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class TimeBuckets:
    """These are equal stretches of time, and in which of them each row became known.

    Args:
        edges: Where they begin, and where the last one ends, in microseconds since 1970 UTC.
        bucket: Number of each row's stretch.
        rows: How many rows are in each.
    """

    edges: tuple[int, ...]
    bucket: npt.NDArray[np.intp]
    rows: npt.NDArray[np.intp]

    @classmethod
    def of(cls, table: pa.Table, column: str) -> TimeBuckets:
        """Return the stretches between the first and the last moment of a column without nulls."""
        import numpy as np
        import pyarrow as pa

        moments = table.column(column).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        known = moments.to_numpy()
        if not len(known):
            nothing = np.zeros(0, dtype=np.intp)
            return cls(edges=(), bucket=nothing, rows=nothing)
        first, span = int(known.min()), int(known.max()) - int(known.min()) + 1
        count = min(_STRETCHES, span)
        # the edges are whole microseconds, each the first that belongs to its stretch
        edges = [first + -(-span * number // count) for number in range(count)]
        bucket = np.searchsorted(np.asarray(edges), known, side="right") - 1
        rows = np.bincount(bucket, minlength=count)
        return cls(edges=(*edges, first + span), bucket=bucket, rows=rows)

    def to_json(self) -> dict[str, Any]:
        """Return the stretches as JSON-like data."""
        return {
            "edges": [(_EPOCH + timedelta(microseconds=edge)).isoformat() for edge in self.edges],
            "rows": [int(count) for count in self.rows],
        }

    def nulls(self, is_null: pa.ChunkedArray) -> dict[str, list[float | None]]:
        """Return the share of nulls in each stretch; None in one without rows."""
        import numpy as np

        missing = self._sums(is_null.to_numpy().astype(np.float64))
        return {"null_rate": self._per_row(missing)}

    def numbers(self, numbers: Numbers) -> dict[str, list[float | None]]:
        """Return the share of nulls and the mean of each stretch; None where there is none."""
        import numpy as np

        valid = numbers.valid
        there = self.rows if valid is None else self._sums(valid.astype(np.float64))
        values = numbers.values.astype(np.float64)
        if valid is not None:
            values = np.where(valid, values, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = self._sums(values)
        return {
            "null_rate": self._per_row(self.rows - there),
            "mean": [
                short(float(total / count)) if count else None
                for total, count in zip(sums, there, strict=True)
            ],
        }

    def _sums(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        import numpy as np

        sums = np.bincount(self.bucket, weights=values, minlength=len(self.rows))
        return sums.astype(np.float64)  # without rows numpy counts instead

    def _per_row(self, counts: npt.NDArray[Any]) -> list[float | None]:
        return [
            short(float(count / total)) if total else None
            for count, total in zip(counts, self.rows, strict=True)
        ]
