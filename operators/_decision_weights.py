"""This module weights decisions by the chance with which their model was to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.errors import DataError
from operators._decision_table import ARMS, PROPENSITY

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


def inverse_propensity(
    rows: pa.Table, clip: float | None
) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """Return the weight of each decision, with mean 1, and what there is to say of the weights.

    Of K models that had a chance, each would answer with 1/K; the one that was to answer had p. The
    decision counts (1/K) / p: on average 1, whatever the chances were then, so that no time counts
    for more because there was more to choose from. The chance is that of the model that was to
    answer, also where the champion answered in its stead: what was dealt is what was random.

    Args:
        rows: Decisions, at least one.
        clip: The largest (1/K) / p; None for no limit.

    Raises:
        DataError: A decision has no chance.
    """
    import numpy as np

    chance = rows[PROPENSITY].to_numpy(zero_copy_only=False).astype(np.float64)
    arms = rows[ARMS].cast("float64").to_numpy(zero_copy_only=False)
    wrong = ~((chance > 0) & (chance <= 1) & (arms >= 1))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"Decision '{rows['id'][row]}' and {int(wrong.sum()) - 1:,} more have no chance with "
            "which their model was to answer.",
            remedy='Leave those decisions out with `since`, or take weight="none".',
        )
    ratio = 1.0 / (arms * chance)
    clipped = np.zeros(len(ratio), dtype=bool) if clip is None else ratio > clip
    ratio = ratio if clip is None else np.minimum(ratio, clip)
    weight = ratio / ratio.mean()
    return weight, {
        "clip": clip,
        "clipped": int(clipped.sum()),
        "largest": float(weight.max()),
        "effective": float(weight.sum() ** 2 / (weight**2).sum()),
    }
