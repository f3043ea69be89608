"""This module says how unlike rows are: by words, by categories and by numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.schemas import TableSchema

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
MEASURED = ("bool", "int", "float", "string", "category")
_WORDS = 20_000


def vectors(frame: pd.DataFrame, columns: Sequence[str], schema: TableSchema) -> Any:
    """Return rows as a sparse matrix in which distance says how unlike two rows are.

    Args:
        frame: The rows.
        columns: What to compare by. A text counts by its words (TF-IDF), a category as equal or
            not, all numbers together as one text; a null number is the median.
        schema: The rows' schema.
    """
    import scipy.sparse as sp  # type: ignore[import-untyped]

    numbers = [c for c in columns if schema.column(c).dtype in ("bool", "int", "float")]
    blocks: list[Any] = []
    if numbers:
        blocks.append(sp.csr_matrix(_standardised(frame, numbers)))
    for name in columns:
        dtype = schema.column(name).dtype
        if dtype == "string":
            blocks.append(_words(frame[name]))
        elif dtype == "category":
            blocks.append(_choices(frame[name]))
    found = [block for block in blocks if block is not None and block.nnz]
    # rows that are all alike are as far apart as one
    return sp.hstack(found, format="csr") if found else sp.csr_matrix((len(frame), 1))


def _standardised(frame: pd.DataFrame, names: Sequence[str]) -> Floats:
    values = np.column_stack(
        [np.asarray(frame[n].astype("float64"), dtype=np.float64) for n in names]
    )
    values[~np.isfinite(values)] = np.nan
    empty = np.isnan(values).all(axis=0)
    values[:, empty] = 0.0
    values = np.where(np.isnan(values), np.nanmedian(values, axis=0), values)
    deviation = values.std(axis=0)
    deviation[deviation == 0] = 1.0
    # beyond four deviations more is no further: one odd value is not what makes an item worth much
    scaled = np.clip((values - values.mean(axis=0)) / deviation, -4.0, 4.0)
    standardised: Floats = scaled / np.sqrt(2 * len(names))
    return standardised


def _words(texts: pd.Series[Any]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    listed = ["" if not isinstance(text, str) else text for text in texts]
    words = TfidfVectorizer(sublinear_tf=True, max_features=_WORDS, dtype=np.float64)
    if not any(map(words.build_analyzer(), listed)):
        return None
    return words.fit_transform(listed)


def _choices(values: pd.Series[Any]) -> Any:
    import scipy.sparse as sp

    codes, names = values.astype("object").factorize(sort=True)
    known = np.flatnonzero(codes >= 0)
    ones = np.full(len(known), np.sqrt(0.5))
    return sp.csr_matrix((ones, (known, codes[known])), shape=(len(codes), max(len(names), 1)))
