"""This module looks for a leak in the data: one feature that alone tells the label."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.schemas import Column, TableSchema
from operators._ranking import ranking_strength

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]

LIMIT = 0.985
_MOST_ROWS = 100_000  # looked at, evenly spread; more would not change the verdict
_ROWS_A_CATEGORY = 50  # on average; with fewer a category's own label would be what it says


@dataclass(frozen=True, kw_only=True)
class Leak:
    """This is a feature that separates the label almost perfectly.

    Args:
        name: Column of the examples.
        reference: How `trusted` names it: "view:column", or "column" for a value of the request.
        source: The view it comes from, None for a value of the request.
        label: The label.
        strength: Area under the ROC curve, or for a number its rank correlation; 1 is perfect.
        measure: Which of the two.
        by_null: Whether it is not the value that tells, but whether there is one.
    """

    name: str
    reference: str
    source: str | None
    label: str
    strength: float
    measure: str
    by_null: bool

    def problem(self) -> str:
        """Return what was found, as whole sentences."""
        of = f"of view '{self.source}'" if self.source else "of the request"
        how = "whether it is null tells" if self.by_null else "it alone tells"
        return (
            f"There is a leak in the data: feature '{self.name}' {of} separates label "
            f"'{self.label}' almost perfectly; {how} it with {self.measure} {self.strength:.3f}."
        )

    def remedy(self) -> str:
        """Return what to do about it."""
        return (
            "Look at when its values are known and correct the known time, or leave it out; if it "
            f"is right, list it: trusted=['{self.reference}']."
        )


def first_leak(examples: pa.Table, schema: TableSchema, trusted: Collection[str]) -> Leak | None:
    """Return the first feature that separates the label, None when there is none.

    Measured is the area under the ROC curve of every number, truth value and category (by its
    share of positives), and of being null; for a label that is a number, the rank correlation.

    Args:
        examples: The rows; at most 100,000 of them are looked at.
        schema: Their schema; features by role, with their view as `source`.
        trusted: References of features that may separate the label.
    """
    import numpy as np

    label = schema.the("label")
    step = max(1, -(-examples.num_rows // _MOST_ROWS))
    sample = examples.take(np.arange(0, examples.num_rows, step)) if step > 1 else examples
    truth, binary = _label_values(sample.column(label.name), label)
    if truth is None:
        return None
    features = {c.name: c for c in schema.with_role("feature")}
    for column in features.values():
        reference = _reference(column)
        if reference in trusted:
            continue
        for values, mask, by_null in _aspects(sample.column(column.name), column, truth):
            strength = ranking_strength(values[mask], truth[mask], binary=binary)
            if strength >= LIMIT:
                return Leak(
                    name=column.name,
                    reference=reference,
                    source=column.source,
                    label=label.name,
                    strength=strength,
                    measure="an AUC of" if binary else "a rank correlation of",
                    by_null=by_null,
                )
    return None


def _reference(column: Column) -> str:
    if column.source is None:
        return column.name
    prefix = f"{column.source}__"
    return f"{column.source}:{column.name.removeprefix(prefix)}"


def _label_values(column: pa.ChunkedArray, label: Column) -> tuple[Floats | None, bool]:
    """Return the label as numbers and whether it has two classes; None when it has none to rank."""
    import numpy as np

    if label.dtype == "float":
        values: Floats = column.to_numpy().astype(float)
        return values, False
    array = column.combine_chunks()
    encoded = array if hasattr(array, "dictionary") else array.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(float)
    if len(np.unique(codes[~np.isnan(codes)])) != 2:
        return None, True
    return codes, True


def _aspects(
    column: pa.ChunkedArray, declared: Column, truth: Floats
) -> Iterator[tuple[Floats, npt.NDArray[np.bool_], bool]]:
    """Yield what a feature could tell by: its value where there is one, and being null."""
    import numpy as np

    null = column.is_null().to_numpy().astype(bool)
    present = ~null & ~np.isnan(truth)
    values = _as_numbers(column, declared, truth, present)
    if values is not None:
        yield values, present & ~np.isnan(values), False
    if null.any() and not null.all():
        yield null.astype(float), ~np.isnan(truth), True


def _as_numbers(
    column: pa.ChunkedArray, declared: Column, truth: Floats, present: npt.NDArray[np.bool_]
) -> Floats | None:
    """Return a feature as numbers to rank; a category by the mean label of its rows."""
    import numpy as np
    import pyarrow as pa

    if declared.dtype in ("int", "float", "bool"):
        numbers: Floats = column.cast(pa.float64()).to_numpy()
        return numbers
    if declared.dtype not in ("string", "category"):
        return None
    array = column.combine_chunks()
    encoded = array if hasattr(array, "dictionary") else array.dictionary_encode()
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    levels = len(encoded.dictionary)
    if not levels or present.sum() < levels * _ROWS_A_CATEGORY:
        return None
    rows = np.bincount(codes[present], minlength=levels)
    total = np.bincount(codes[present], weights=truth[present], minlength=levels)
    means: Floats = (total / np.maximum(rows, 1))[codes]
    return means
