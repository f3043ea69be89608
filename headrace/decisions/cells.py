"""This module takes the features of a batch apart, numbers from texts, as whole arrays."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.decisions.columns import Columns
from headrace.decisions.fields import maps_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Cells:
    """These are the features of a batch's rows.

    Args:
        names: Of the columns.
        numbers: (n_rows, n_columns) of float64; NaN where there is no number.
        texts: For columns that hold texts, by position: n_rows texts, null where there is none.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.float64]
    texts: Mapping[int, pa.Array]

    def rows(self) -> list[list[Any]]:
        """Return the values row by row; None for what is missing."""
        import numpy as np

        lacking = np.isnan(self.numbers)
        if not lacking.any():
            rows: list[list[Any]] = self.numbers.tolist()
            return rows
        cells = self.numbers.astype(object)
        cells[lacking] = None
        for position, texts in self.texts.items():
            said = texts.is_valid().to_numpy(zero_copy_only=False)
            cells[said, position] = np.array(texts.drop_null().to_pylist(), dtype=object)
        rows = cells.tolist()
        return rows

    def maps(self) -> tuple[pa.Array, pa.Array]:
        """Return the maps of numbers and of texts of each row, as `feature_maps` does."""
        import numpy as np
        import pyarrow as pa

        is_text = np.zeros(self.numbers.shape, dtype=bool)
        for position, texts in self.texts.items():
            is_text[:, position] = texts.is_valid().to_numpy(zero_copy_only=False)
        kept = self.numbers[~is_text]
        numbers = pa.array(kept, pa.float64(), mask=np.isnan(kept))
        rows, positions = is_text.nonzero()  # row by row
        if self.texts:
            begins = np.zeros(len(self.names), dtype=np.int64)
            begins[list(self.texts)] = np.arange(len(self.texts)) * len(is_text)
            joined = pa.concat_arrays(list(self.texts.values()))
            items = joined.take(pa.array(begins[positions] + rows))
        else:
            items = pa.array([], pa.string())
        return (
            maps_of(self.names, (~is_text).tobytes(), numbers),
            maps_of(self.names, is_text.tobytes(), items),
        )


def cells_of(document: Mapping[str, Any], columns: Columns) -> Cells:
    """Return the features of a batch.

    Args:
        document: The batch.
        columns: Its columns; a code that no category has stays a number.
    """
    import numpy as np

    content = b64decode(document["matrix"])
    if document["format"] == "arrow":
        return _of_arrow(content, columns)
    matrix = np.frombuffer(content, "<f4").reshape(document["rows"], len(columns.names))
    numbers = matrix.astype(np.float64)
    texts = {}
    for name, categories in columns.categories.items():
        position = columns.names.index(name)
        texts[position] = _decoded(numbers[:, position], categories)
    return Cells(names=columns.names, numbers=numbers, texts=texts)


def _decoded(codes: NDArray[np.float64], categories: tuple[str, ...]) -> pa.Array:
    """Return the texts of codes, which become NaN in their place."""
    import numpy as np
    import pyarrow as pa

    with np.errstate(invalid="ignore"):
        known = (codes >= 0) & (codes < len(categories)) & (codes == np.floor(codes))
    places = pa.array(np.where(known, codes, 0).astype(np.int64), mask=~known)
    codes[known] = np.nan
    return pa.array(categories, pa.string()).take(places)


def _of_arrow(content: bytes, columns: Columns) -> Cells:
    import numpy as np
    import pyarrow as pa

    table = pa.ipc.open_stream(content).read_all().combine_chunks()
    numbers = np.full((len(table), len(columns.names)), np.nan)
    texts = {}
    for position, name in enumerate(columns.names):
        if name not in table.schema.names:
            continue
        column = table.column(name)
        array = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if _is_number(array.type):
            numbers[:, position] = array.cast(pa.float64(), safe=False).to_numpy(
                zero_copy_only=False
            )
        else:
            texts[position] = array.cast(pa.string())
    return Cells(names=columns.names, numbers=numbers, texts=texts)


def _is_number(of: pa.DataType) -> bool:
    import pyarrow as pa

    is_one: bool = (
        pa.types.is_boolean(of)
        or pa.types.is_integer(of)
        or pa.types.is_floating(of)
        or pa.types.is_null(of)
    )
    return is_one
