"""This module puts together what every candidate is measured against: rows, truth, baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace import Labels, Table
from headrace.artifacts import Tabular
from headrace.errors import BoundaryError, DataError
from headrace.schemas import Column, TableSchema
from operators._gain_folds import Fold, Positions
from operators._gain_model import fitted, loss_of, numbers

if TYPE_CHECKING:
    import pyarrow as pa

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """This is a sample of labelled rows in the order of their decisions, with the baseline.

    Args:
        labels: The rows.
        target: 0 or 1, or the measured value.
        binary: Which of the two.
        decided_us: When each decision was made, in microseconds since 1970 UTC.
        known_us: When each label was known.
        columns: The features of the baseline.
        matrix: Their values, `(n_rows, n_columns)`.
        trusted: Features that may tell the label.
    """

    labels: Labels[Any]
    target: Vector
    binary: bool
    decided_us: Positions
    known_us: Positions
    columns: tuple[Column, ...]
    matrix: Vector
    trusted: tuple[str, ...]

    def scores(self, matrix: Vector, parts: Sequence[Fold]) -> Vector:
        """Return the answers to all judged rows, of models that are fitted on their past."""
        found = []
        for part in parts:
            answer = fitted(matrix, self.target, part.train, binary=self.binary)
            found.append(answer(matrix[part.judged]))
        return np.concatenate(found)

    def losses(self, scores: Vector, judged: Positions) -> Vector:
        """Return the loss of each answer."""
        return loss_of(self.target[judged], scores, binary=self.binary)


def setting_of(
    rows: pa.Table, schema: TableSchema, used: Sequence[Table[Any]], trusted: Sequence[str]
) -> Setting:
    """Return the setting for a sample of labelled rows.

    Raises:
        DataError: The label is neither of two classes nor a number.
        LeakageError: A view that is used already leaks.
    """
    from operators.build import build

    labels: Labels[Any] = Labels.of(rows, schema=schema)
    target, binary = _target(rows, schema.the("label"))
    columns = tuple(schema.with_role("feature"))
    table: Any = rows
    if used:
        examples = build.body(labels, list(used), trusted=list(trusted))
        columns = tuple(schema_of(examples).with_role("feature"))
        table = examples.arrow()
    return Setting(
        labels=labels,
        target=target,
        binary=binary,
        decided_us=_microseconds(rows, schema.the("decision_time").name),
        known_us=_microseconds(rows, schema.the("known_time").name),
        columns=columns,
        matrix=numbers(table, columns),
        trusted=tuple(trusted),
    )


def schema_of(table: Tabular[Any]) -> TableSchema:
    """Return the schema of a table.

    Raises:
        BoundaryError: A column is of a type without a name.
    """
    if table.schema is None:
        raise BoundaryError(
            "A table has a column of a type without a name, so that its schema is not known.",
            remedy="Make it with a schema: `Table[Weather].of(...)`.",
        )
    return table.schema


def _target(rows: pa.Table, label: Column) -> tuple[Vector, bool]:
    import pyarrow as pa

    values = rows.column(label.name)
    if values.null_count:
        raise DataError(
            f"The label '{label.name}' is null in {values.null_count:,} rows.",
            remedy="Leave rows without a label out.",
        )
    if label.dtype == "float":
        return values.cast(pa.float64()).to_numpy().astype(np.float64), False
    plain = values.cast(label_type(values))
    classes = sorted(plain.unique().to_pylist())
    if len(classes) != 2:
        raise DataError(
            f"The label '{label.name}' has {len(classes)} classes, and a gain is measured for two "
            "or for a number.",
            remedy="Give labels of two classes, or a number.",
        )
    return np.asarray(plain.to_numpy() == classes[1], dtype=np.float64), True


def label_type(values: pa.ChunkedArray) -> pa.DataType:
    """Return the type of labels without dictionaries."""
    import pyarrow as pa

    return values.type.value_type if pa.types.is_dictionary(values.type) else values.type


def _microseconds(rows: pa.Table, name: str) -> npt.NDArray[np.int64]:
    import pyarrow as pa

    values = rows.column(name).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    found: Positions = values.to_numpy().astype(np.int64)
    return found
