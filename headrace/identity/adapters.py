"""This module writes values of widely used libraries by what they hold, not by how they hold it.

No library is imported for that: a value of a library can only exist once something imported it.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headrace.identity import origins

if TYPE_CHECKING:
    from headrace.identity.values import Writer

Adapter = Callable[["Writer", Any], None]


def adapter_for(value: object) -> Adapter | None:
    """Return how to write a value of a known library, None when there is no special way."""
    for kind in type(value).__mro__:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name in _ADAPTERS:
            return _ADAPTERS[name]
    return None


def pandas_extensions(roots: tuple[str, ...]) -> dict[str, object]:
    """Return what the user's code attached to the classes of pandas, by name."""
    pandas = sys.modules.get("pandas")
    found: dict[str, object] = {}
    for name in ("DataFrame", "Series", "Index"):
        for cls in getattr(pandas, name, object).__mro__[:-1]:
            for attribute, attached in vars(cls).items():
                accessor = type(attached).__name__ == "CachedAccessor"
                value = attached._accessor if accessor else attached
                code = isinstance(value, types.FunctionType | type)
                if code and not str(value.__module__).startswith("pandas."):
                    found[attribute] = value
    return {name: value for name, value in found.items() if _is_users(value, roots)}


def _is_users(value: object, roots: tuple[str, ...]) -> bool:
    if isinstance(value, types.FunctionType):
        return origins.of_function(value, roots).followed
    return isinstance(value, type) and origins.of_class(value, roots).followed


def _array(writer: Writer, value: Any) -> None:
    import numpy as np

    if isinstance(value, np.ma.MaskedArray) or (value.dtype.hasobject and value.dtype != object):
        writer.reduced(value)
        return
    writer.value(type(value))
    writer.tag("dtype", str(value.dtype.descr))
    writer.value(value.shape)
    if value.dtype == object:
        writer.values("objects", *value.ravel(order="C").tolist())
    else:
        writer.value(np.ascontiguousarray(value).tobytes())


def _frame(writer: Writer, value: Any) -> None:
    # by column: how pandas groups columns into blocks depends on the past of the frame
    writer.value(type(value))
    writer.values("frame", value.index, value.columns, dict(value.attrs))
    for at in range(value.shape[1]):
        writer.value(value.iloc[:, at].array)


def _series(writer: Writer, value: Any) -> None:
    writer.value(type(value))
    writer.values("series", value.index, value.array, value.name, dict(value.attrs))


def _index(writer: Writer, value: Any) -> None:
    writer.value(type(value))
    if value.nlevels > 1:
        writer.values("levels", *value.names, *value.levels, *value.codes)
        return
    writer.values("index", value.name, str(getattr(value, "freq", "")), value.array)


def _numpy_backed(writer: Writer, value: Any) -> None:
    writer.values("numpy array", value.to_numpy())


def _arrow(writer: Writer, value: Any) -> None:
    # chunks, offsets and buffers beyond the end are no content
    writer.value(type(value))
    writer.values("arrow", str(value.type), value.to_pylist())


def _arrow_table(writer: Writer, value: Any) -> None:
    writer.values("arrow table", value.schema, *value.columns)


def _arrow_schema(writer: Writer, value: Any) -> None:
    writer.values("arrow schema", value.serialize().to_pybytes())


def _tensor(writer: Writer, value: Any) -> None:
    writer.tag("tensor", f"{value.dtype} {value.device} {value.requires_grad}")
    writer.value(value.detach().cpu().contiguous().numpy())


def _type_variable(writer: Writer, value: Any) -> None:
    bound = getattr(value, "__bound__", None)
    constraints = getattr(value, "__constraints__", ())
    variance = (value.__covariant__, value.__contravariant__)
    writer.values("type variable", value.__name__, bound, constraints, variance)


def _union(writer: Writer, value: Any) -> None:
    writer.values("union", *typing.get_args(value))


def _forward(writer: Writer, value: Any) -> None:
    writer.values("forward reference", value.__forward_arg__)


_ADAPTERS: dict[str, Adapter] = {
    "numpy.ndarray": _array,
    "pandas.core.frame.DataFrame": _frame,
    "pandas.core.series.Series": _series,
    "pandas.core.indexes.base.Index": _index,
    "pandas.core.arrays.numpy_.NumpyExtensionArray": _numpy_backed,
    "pyarrow.lib.Array": _arrow,
    "pyarrow.lib.ChunkedArray": _arrow,
    "pyarrow.lib.Table": _arrow_table,
    "pyarrow.lib.Schema": _arrow_schema,
    "torch.Tensor": _tensor,
    "torch._tensor.Tensor": _tensor,
    "typing.TypeVar": _type_variable,
    "typing.ParamSpec": _type_variable,
    "typing.ForwardRef": _forward,
    f"{types.UnionType.__module__}.{types.UnionType.__qualname__}": _union,
}
