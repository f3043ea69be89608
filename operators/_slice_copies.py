"""This module finds rows to train on that are copies, or nearly so, of rows that judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.schemas import TableSchema
from operators._copies import copied_by, families_of, texts_of
from operators._near_copies import near_any

if TYPE_CHECKING:
    import pyarrow as pa

Members: TypeAlias = npt.NDArray[np.bool_]


def copies_of_judges(schema: TableSchema, table: pa.Table, judges: Members) -> Members:
    """Return which rows that do not judge are copies of one that does."""
    columns = copied_by(schema)
    if not columns:
        return np.zeros(len(judges), dtype=bool)
    family = families_of(table, columns)
    found: Members = np.isin(family, np.unique(family[judges])) & ~judges
    return found


def near_copies_of_judges(schema: TableSchema, table: pa.Table, judges: Members) -> Members:
    """Return which rows that do not judge have nearly the texts of one that does.

    Copies are among them. Features that are no texts are not compared.
    """
    found = np.zeros(len(judges), dtype=bool)
    names = texts_of(schema)
    if not names:
        return found
    columns = [table[name].to_pylist() for name in names]
    texts = [" ".join(text or "" for text in each) for each in zip(*columns, strict=True)]
    taught, judged = np.flatnonzero(~judges), np.flatnonzero(judges)
    found[taught] = near_any([texts[row] for row in taught], [texts[row] for row in judged])
    return found
