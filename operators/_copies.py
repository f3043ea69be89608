"""This module says which rows are copies: a model cannot tell them apart, whatever their names.

Texts are compared as a labeler reads them, by their words in lower case. Rows that have neither a
text of two words nor a measured number among their features are no copies, however often they
occur: that two flights have one carrier and one hour says nothing of one in the other's answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.schemas import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

Rows: TypeAlias = npt.NDArray[np.int64]
WORD = r"(?u)\b\w{2,40}\b"
"""What a labeler takes for a word (`_labeler_text`)."""

_TELLING = ("string", "float")
_words = re.compile(WORD).findall


def copied_by(schema: TableSchema) -> tuple[str, ...]:
    """Return the columns in which copies agree: the features, where these can tell rows apart."""
    features = schema.with_role("feature")
    if not any(column.dtype in _TELLING for column in features):
        return ()
    return tuple(column.name for column in features)


def texts_of(schema: TableSchema) -> tuple[str, ...]:
    """Return the features that are texts."""
    return tuple(c.name for c in schema.with_role("feature") if c.dtype == "string")


def families_of(table: pa.Table, columns: Sequence[str]) -> Rows:
    """Return the number of each row's family, `(n_rows,)`: copies have the same one.

    Args:
        table: The rows.
        columns: Where copies agree; with none every row is by itself. Nulls are equal to each
            other, and a null text to one without a word.
    """
    if not columns or not table.num_rows:
        return np.arange(table.num_rows, dtype=np.int64)
    codes, tells = zip(*(_codes(table[name]) for name in columns), strict=True)
    rows = np.arange(table.num_rows, dtype=np.int64)
    # rows of codes alone are told apart by their number
    by_row = np.where(np.any(tells, axis=0), -1, rows)
    _, family = np.unique(np.column_stack([*codes, by_row]), axis=0, return_inverse=True)
    found: Rows = family.reshape(-1).astype(np.int64)
    return found


def words_of(text: str | None) -> list[str]:
    """Return the words of a text as a labeler reads them, in order."""
    return [] if text is None else _words(text.lower())


def _codes(column: pa.ChunkedArray) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return a number for each value of a column, and which of them tell a row from others."""
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = [_read(text) for text in column.to_pylist()]
        codes, _ = pd.factorize(np.array(texts, dtype=object))
        return codes.astype(np.int64), np.array([" " in text for text in texts], dtype=bool)
    codes, _ = pd.factorize(column.to_pandas())
    measured = pa.types.is_floating(column.type)
    return codes.astype(np.int64), np.full(len(column), measured)


def _read(text: str | None) -> str:
    words = words_of(text)
    # a code such as "A" has no word, and is another one than "B"
    return " ".join(words) if words else (text or "").strip().replace(" ", "_")
