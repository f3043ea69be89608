"""This module joins labels to the rows that they are of, and refuses what was known too late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError, LeakageError
from headrace.labels.schema import LabelSchema
from headrace.schemas import TableSchema
from operators._machine_votes import position_of

if TYPE_CHECKING:
    import pyarrow as pa

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined:
    """These are the labels that have a row, by position, in the order of the table.

    Attributes:
        rows: Positions in the table.
        labels: Positions in the labels, of equal length.
        without_row: Entities that have a label but no row.
    """

    rows: Positions
    labels: Positions
    without_row: tuple[str, ...]


def joined(entities: Sequence[Any], labelled: Sequence[str]) -> Joined:
    """Return which label belongs to which row; entities are compared as text.

    Raises:
        DataError: An entity is null, or occurs twice in the table or among the labels.
    """
    row_of = position_of(entities, "table")
    label_of = position_of(labelled, "labels")
    both = [(row, label_of[name]) for name, row in row_of.items() if name in label_of]
    rows, labels = np.array(both, dtype=np.int64).reshape(-1, 2).T
    lost = tuple(name for name in label_of if name not in row_of)
    return Joined(rows=rows, labels=labels, without_row=lost)


def require_version(versions: Sequence[str], labels: LabelSchema) -> None:
    """Refuse labels of another version of the schema.

    Raises:
        DataError: A label was given by another version.
    """
    others = sorted(set(versions) - {labels.version})
    if others:
        count = sum(version in others for version in versions)
        raise DataError(
            f"{count:,} of {len(versions):,} labels were given by version {others[0]} of the "
            f"schema, not by {labels.version}; what they mean may differ.",
            remedy="Take labels of one version, with the schema by which they were given.",
        )


def refuse_later_features(
    table: pa.Table, schema: TableSchema, as_of: pa.ChunkedArray, entities: Sequence[Any]
) -> int:
    """Refuse features that became known after what the label was given for held.

    Args:
        table: The rows that have a label.
        schema: Theirs.
        as_of: The moment of each label; the epoch where nobody knew one.
        entities: What each row is, for messages.

    Returns:
        How many rows have features with a known time, but a label without a moment.

    Raises:
        LeakageError: A feature is of later.
    """
    moments = _instants(as_of)
    known_at: dict[str, list[str]] = {}
    for feature in schema.with_role("feature"):
        if feature.known_at:
            known_at.setdefault(feature.known_at, []).append(feature.name)
    untimed = moments == np.datetime64(0, "us")
    for time, features in known_at.items():
        known = _instants(table[time])
        late = ~untimed & ~np.isnat(known) & (known > moments)
        if late.any():
            row = int(late.argmax())
            raise LeakageError(
                f"Feature '{features[0]}' was known at {known[row]}Z for '{entities[row]}', after "
                f"{moments[row]}Z, for which its label was given, and so for {int(late.sum()):,} "
                f"of {len(moments):,} labelled rows.",
                remedy="Join labels to the rows as they were when people were asked: keep the "
                "table that was requested, or read the features as of then.",
            )
    return int(untimed.sum()) if known_at else 0


def _instants(column: pa.ChunkedArray) -> npt.NDArray[np.datetime64]:
    import pyarrow as pa

    instants: npt.NDArray[np.datetime64] = column.cast(pa.timestamp("us")).to_numpy()
    return instants
