"""This module writes a batch down: the rows in the order in which people are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.artifacts import Table
from operators._selection_choice import Choice

if TYPE_CHECKING:
    import pyarrow as pa


def arranged(table: Table[Any], choice: Choice) -> pa.Table:
    """Return the rows of a choice in order, the random ones spread evenly among the others."""
    import pyarrow as pa

    random, size = len(choice.random), len(choice.random) + len(choice.chosen)
    is_random = np.zeros(size, dtype=bool)
    is_random[((np.arange(random) + 0.5) * size / max(random, 1)).astype(np.int64)] = True
    rows = np.empty(size, dtype=np.int64)
    rows[is_random], rows[~is_random] = choice.random, choice.chosen
    said = [choice.suggested.get(int(row)) for row in rows]
    added = {
        "slice": pa.array(np.where(is_random, "random", "chosen").tolist(), pa.string()),
        "priority": pa.array(1.0 - np.arange(size) / size, pa.float64()),
        "suggested": pa.array([s and s[0] for s in said], pa.string()),
        "suggested_by": pa.array([s and choice.suggested_by for s in said], pa.string()),
        "confidence": pa.array([s and s[1] for s in said], pa.float64()),
    }
    made = table.arrow().take(pa.array(rows))
    for name, values in added.items():
        made = made.append_column(name, values)
    return made
