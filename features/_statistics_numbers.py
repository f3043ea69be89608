"""This module describes a column of numbers, booleans or times, from one sorting of its values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_BINS = 20
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_TAIL = 0.005  # shares at each end that do not stretch the bins between them
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """These are the values of a column as numbers.

    Args:
        values: One a row, whatever where it is null: integers, floats, or microseconds.
        valid: Whether a row has a value; None where every row has.
    """

    values: npt.NDArray[Any]
    valid: npt.NDArray[np.bool_] | None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.values)

    @property
    def count(self) -> int:
        """How many rows have a value."""
        return len(self.values) if self.valid is None else int(self.valid.sum())

    def present(self) -> npt.NDArray[Any]:
        """Return the values that there are."""
        return self.values if self.valid is None else self.values[self.valid]


def numbers_of(column: pa.ChunkedArray) -> Numbers | None:
    """Return a column as numbers; None where its values are texts. NaN is a null."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
    elif pa.types.is_date(kind):
        column = column.cast(pa.date32()).cast(pa.timestamp("us")).cast(pa.int64())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    valid = column.is_valid().to_numpy() if column.null_count else None
    values = (column if valid is None else pc.fill_null(column, 0)).to_numpy()
    if np.issubdtype(values.dtype, np.floating):
        is_number = ~np.isnan(values)
        if not is_number.all():
            valid = is_number if valid is None else valid & is_number
    return Numbers(values=values, valid=valid)


def described(numbers: Numbers, dtype: str) -> dict[str, Any]:
    """Return what there is to say of the values that a column has.

    Args:
        numbers: The column.
        dtype: Its type in the view: "bool", "int", "float", "timestamp" or "date".
    """
    import numpy as np

    values = np.sort(numbers.present())
    distinct = 0 if not len(values) else 1 + int(np.count_nonzero(values[1:] != values[:-1]))
    if dtype == "bool":
        share = short(float(values.mean())) if len(values) else None
        return {"distinct": distinct, "share_true": share}
    if dtype in ("timestamp", "date"):
        return {"distinct": distinct, **_described_times(values, dtype)}
    finite = values[np.isfinite(values)] if np.issubdtype(values.dtype, np.floating) else values
    told: dict[str, Any] = {"distinct": distinct}
    if len(finite) < len(values):
        told["infinite"] = len(values) - len(finite)
    if not len(finite):
        return {**told, **dict.fromkeys(("min", "max", "mean", "std"))}
    with np.errstate(over="ignore"):  # a sum beyond all numbers has no mean, and says so
        mean, std = float(finite.mean(dtype=np.float64)), float(finite.std(dtype=np.float64))
    return {
        **told,
        "min": _plain(finite[0]),
        "max": _plain(finite[-1]),
        "mean": short(mean),
        "std": short(std),
        "quantiles": {f"{q:g}": short(float(_quantile(finite, q))) for q in _QUANTILES},
        "histogram": bins_of(finite),
    }


def bins_of(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Return at most 20 bins of sorted values: their edges and how many values are in each.

    The bins are of equal width but for the first and the last, which reach to the least and the
    greatest value, so that a few far values do not put all others into one bin. Few different
    values have a bin each, named in `values`.
    """
    import numpy as np

    different = np.unique(values[:: max(1, len(values) // 10_000)])
    if len(different) <= _BINS:
        different, counts = np.unique(values, return_counts=True)
        if len(different) <= _BINS:
            return {"values": [_plain(v) for v in different], "counts": [int(n) for n in counts]}
    low, high = _quantile(values, _TAIL), _quantile(values, 1 - _TAIL)
    if not (low < high and np.isfinite(high - low)):
        low, high = float(values[0]), float(values[-1])
    with np.errstate(over="ignore", invalid="ignore"):
        inner = np.linspace(low, high, _BINS + 1)[1:-1]
    inner = np.unique(inner[np.isfinite(inner)])
    at = np.concatenate([[0], np.searchsorted(values, inner, side="left"), [len(values)]])
    edges = [_plain(values[0]), *(short(float(edge)) for edge in inner), _plain(values[-1])]
    return {"edges": edges, "counts": [int(n) for n in np.diff(at)]}


def short(value: float) -> float | None:
    """Return a figure with nine digits, the same on every machine; None where there is none."""
    import math

    return float(f"{value:.9g}") if math.isfinite(value) else None


def _described_times(values: npt.NDArray[Any], dtype: str) -> dict[str, Any]:
    if not len(values):
        return dict.fromkeys(("min", "max"))

    def shown(microseconds: float) -> str:
        moment = _EPOCH + timedelta(microseconds=int(microseconds))
        return moment.date().isoformat() if dtype == "date" else moment.isoformat()

    bins = bins_of(values)
    named = "values" if "values" in bins else "edges"
    return {
        "min": shown(values[0]),
        "max": shown(values[-1]),
        "quantiles": {f"{q:g}": shown(_quantile(values, q)) for q in _QUANTILES},
        "histogram": {named: [shown(v) for v in bins[named]], "counts": bins["counts"]},
    }


def _quantile(values: npt.NDArray[Any], share: float) -> float:
    """Return a quantile of sorted values, between two of them where it falls there."""
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    one, other = float(values[below]), float(values[above])
    return one if one == other else one + (other - one) * (place - below)


def _plain(value: Any) -> int | float | None:
    plain = value.item()
    return short(plain) if isinstance(plain, float) else plain
