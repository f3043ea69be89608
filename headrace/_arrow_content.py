"""This module walks the buffers of Arrow columns so that equal values give equal bytes.

`headrace.content` says what counts as equal; here is how: a column is a few streams of bytes (the
positions of its nulls, the lengths and the bytes of its non-null values), each hashed on its own,
so that neither chunks nor offsets nor the garbage beneath a null show.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from headrace.errors import BoundaryError

if TYPE_CHECKING:
    import pyarrow


def type_name(kind: pyarrow.DataType, column: str) -> str:
    """Name a logical type: the same for every encoding of the same values."""
    from pyarrow import types

    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return type_name(kind.value_type, column)
    if _is_text(kind) or types.is_string_view(kind) or types.is_binary_view(kind):
        return "string" if "string" in str(kind) else "binary"
    if types.is_fixed_size_list(kind):
        return f"list[{kind.list_size}]<{type_name(kind.value_type, column)}>"
    if _is_list(kind):
        return f"list<{type_name(kind.value_type, column)}>"
    if types.is_map(kind):
        key, item = type_name(kind.key_type, column), type_name(kind.item_type, column)
        return f"map<{key},{item}>"
    if types.is_struct(kind):
        children = [[f.name, type_name(f.type, column)] for f in kind]
        return f"struct{json.dumps(children)}"
    if types.is_union(kind):
        raise BoundaryError(
            f"The column '{column}' has the type {kind}, which has no digest.",
            remedy="split the union into one column for each of its types.",
        )
    if hasattr(kind, "storage_type"):
        return f"{kind.extension_name}<{type_name(kind.storage_type, column)}>"
    return str(kind)


def _is_list(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def _is_text(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


class _Streams:
    """This collects one hash per buffer of a nested column, whatever its chunks."""

    def __init__(self) -> None:
        self._hashes: dict[str, Any] = defaultdict(hashlib.sha256)
        self._seen: dict[str, int] = defaultdict(int)

    def add(self, path: str, data: Any) -> None:
        self._hashes[path].update(data)

    def add_nulls(self, path: str, array: pyarrow.Array) -> None:
        """Record which rows are null, counted over all chunks; without nulls there is nothing."""
        if array.null_count:
            import numpy

            at = numpy.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))
            self.add(path + "?", (at + self._seen[path]).astype("<i8"))
        self._seen[path] += len(array)

    def digest(self) -> bytes:
        whole = hashlib.sha256()
        for path in sorted(self._hashes):
            whole.update(f"{len(path)}:{path}".encode())
            whole.update(self._hashes[path].digest())
        return whole.digest()


def column_digest(column: pyarrow.ChunkedArray) -> bytes:
    """Return the hash of the values of one column, whatever its chunks and encoding."""
    streams = _Streams()
    for chunk in column.chunks:
        if len(chunk):
            _add(streams, "", chunk)
    return streams.digest()


def _add(streams: _Streams, path: str, array: pyarrow.Array) -> None:
    """Add one array: the positions of its nulls, then its values without them."""
    import pyarrow
    from pyarrow import compute, types

    kind = array.type
    if hasattr(kind, "storage_type"):
        return _add(streams, path, array.storage)
    if types.is_dictionary(kind):
        return _add(streams, path, array.dictionary_decode())
    if types.is_run_end_encoded(kind):
        return _add(streams, path, compute.run_end_decode(array))
    if types.is_null(kind):
        return None
    if types.is_string_view(kind) or types.is_binary_view(kind):  # has no filter to drop nulls by
        array = array.cast(
            pyarrow.large_string() if types.is_string_view(kind) else pyarrow.large_binary()
        )
    streams.add_nulls(path, array)
    if array.null_count:
        array = array.drop_null()
    return _add_values(streams, path, array)


def _add_values(streams: _Streams, path: str, array: pyarrow.Array) -> None:
    """Add an array that has no nulls."""
    from pyarrow import types

    kind = array.type
    if types.is_struct(kind):
        for position, child in enumerate(array.flatten()):
            _add(streams, f"{path}.{position}", child)
    elif types.is_map(kind):
        offsets = _offsets(array)
        _add_lengths(streams, path, offsets)
        first, size = int(offsets[0]), int(offsets[-1] - offsets[0])
        _add(streams, path + ".key", array.keys.slice(first, size))
        _add(streams, path + ".item", array.items.slice(first, size))
    elif types.is_fixed_size_list(kind):
        _add(streams, path + ".item", array.flatten())
    elif _is_list(kind):
        lengths = array.value_lengths().to_numpy(zero_copy_only=False)
        streams.add(path + "#", lengths.astype("<i8"))
        _add(streams, path + ".item", array.flatten())
    elif _is_text(kind):
        offsets = _offsets(array)
        _add_lengths(streams, path, offsets)
        if offsets[-1] > offsets[0]:
            streams.add(path, memoryview(array.buffers()[2])[int(offsets[0]) : int(offsets[-1])])
    elif len(array):
        streams.add(path, _fixed_width(array))


def _offsets(array: pyarrow.Array) -> Any:
    """Return the offsets of a string, binary or map array as numpy integers, one more than rows."""
    import numpy
    from pyarrow import types

    if not len(array):
        return numpy.zeros(1, "<i8")
    wide = types.is_large_string(array.type) or types.is_large_binary(array.type)
    values = numpy.frombuffer(array.buffers()[1], dtype="<i8" if wide else "<i4")
    return values[array.offset : array.offset + len(array) + 1]


def _add_lengths(streams: _Streams, path: str, offsets: Any) -> None:
    streams.add(path + "#", (offsets[1:] - offsets[:-1]).astype("<i8"))


def _fixed_width(array: pyarrow.Array) -> Any:
    """Return the bytes of the values of a fixed-width array, every NaN the same."""
    import numpy
    import pyarrow
    from pyarrow import types

    if types.is_boolean(array.type):
        array = array.cast(pyarrow.uint8())
    width = array.type.bit_width // 8
    data = memoryview(array.buffers()[1])[
        array.offset * width : (array.offset + len(array)) * width
    ]
    if not types.is_floating(array.type):
        return data
    values = numpy.frombuffer(data, dtype=f"<f{width}")
    nan = numpy.isnan(values)
    if nan.any():
        values = numpy.where(nan, numpy.array(numpy.nan, values.dtype), values)
    return values
