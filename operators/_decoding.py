"""This module turns encoded rows back into a frame, for estimators that know columns by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headrace.models import ModelCard, ModelFeature
from operators._encoding import Matrix

if TYPE_CHECKING:
    import pandas as pd


def decoded(matrix: Matrix, card: ModelCard) -> pd.DataFrame:
    """Return rows as `encode` was given them, up to what it cannot tell apart.

    Args:
        matrix: Encoded rows `(n_rows, n_features)`.
        card: The model's card.

    Returns:
        A column a feature: categories as pandas' categoricals of text, numbers as 64-bit floats;
        whole numbers as integers and booleans as such where no value of the column is null.
    """
    import pandas as pd

    return pd.DataFrame(
        {f.name: _column(matrix[:, i], f) for i, f in enumerate(card.features)}, copy=False
    )


def numbers_of(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return a frame of `decoded` as 64-bit numbers, categories as their codes, null as NaN."""
    columns = [
        np.where(values.cat.codes < 0, np.nan, values.cat.codes)
        if values.dtype == "category"
        else values.to_numpy(dtype=np.float64)
        for _, values in rows.items()
    ]
    return np.column_stack(columns)


def _column(values: Matrix, feature: ModelFeature) -> object:
    import pandas as pd

    missing = np.isnan(values)
    if feature.categories is not None:
        codes = np.where(missing, -1, values).astype(np.int32)
        return pd.Categorical.from_codes(codes.tolist(), categories=pd.Index(feature.categories))
    if feature.dtype in ("int", "bool") and not missing.any():
        return values.astype(np.int64 if feature.dtype == "int" else np.bool_)
    return values.astype(np.float64)
