"""This module checks the columns of a table against an endpoint's rules, and encodes them.

A column becomes numbers as a whole: no Python object is made for a value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from serving._batch_errors import twice, unknown_column, wrong_column
from serving._request_rules import Rules
from serving._request_values import (
    DAY,
    LONGEST_TEXT,
    MOMENT,
    TEXT,
    WHOLE,
    WHOLE_AS_NUMBER,
    Kind,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from headrace.models import ModelFeature

SPECIAL = ("id", "at")
_TRUTHS, _NUMBERS, _WHOLES = "truth values", "numbers", "whole numbers"
_MOMENTS, _DAYS, _TEXTS = "timestamps with a time zone", "days", "texts"


def check_columns(schema: pa.Schema, rules: Rules, units: Collection[str]) -> None:
    """Refuse a table with a column that is unknown, double, or of another type than its input.

    Args:
        schema: The table's.
        rules: The endpoint's.
        units: Columns that traffic is dealt by, which may come along.

    Raises:
        RequestError: It names the column.
    """
    import pyarrow as pa

    known = {*rules.inputs, *rules.keys, *SPECIAL, *units}
    for field in schema:
        name = field.name
        if name not in known:
            raise unknown_column(name, known)
        if schema.names.count(name) > 1:
            raise twice(name)
        kind = rules.inputs.get(name) or rules.keys.get(name)
        if pa.types.is_null(field.type):
            continue
        if kind is not None:
            if not _fits(field.type, kind):
                raise wrong_column(name, _expected(kind), str(field.type))
        elif name == "at":
            if not pa.types.is_timestamp(field.type) or field.type.tz is None:
                raise wrong_column(name, _MOMENTS, str(field.type))
        elif not _is_text(field.type) and (name == "id" or not pa.types.is_integer(field.type)):
            expected = _TEXTS if name == "id" else f"{_TEXTS} or {_WHOLES}"
            raise wrong_column(name, expected, str(field.type))


def encode_columns(table: pa.Table, features: Sequence[ModelFeature]) -> npt.NDArray[np.float32]:
    """Return the matrix that a model takes, (n_rows, n_features), nulls and NaN as NaN.

    Args:
        table: With a column of a right type for each feature.
        features: The model's features, in its order.

    Raises:
        RequestError: A number is infinite or no whole one, with the column and the row.
    """
    import numpy as np

    matrix = np.empty((table.num_rows, len(features)), dtype=np.float32)
    for place, feature in enumerate(features):
        column = table.column(feature.name)
        if feature.categories is not None:
            codes = {text: float(code) for code, text in enumerate(feature.categories)}
            matrix[:, place] = _codes(column, codes)
        else:
            matrix[:, place] = _numbers(column, feature.name, whole=feature.dtype == "int")
    return matrix


def check_texts(table: pa.Table, rules: Rules) -> None:
    """Refuse keys that are longer than any key is.

    Raises:
        RequestError: It names the column.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in table.column_names:
        kind = rules.keys.get(name)
        column = table.column(name)
        if kind is None or TEXT not in kind.checks.values() or not _is_text(column.type):
            continue
        texts = column.cast(pa.string())
        longest = pc.max(pc.utf8_length(texts)).as_py() or 0
        if longest > LONGEST_TEXT:
            raise wrong_column(
                name, f"texts of at most {LONGEST_TEXT} characters", f"one of {longest:,}"
            )


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows as JSON would hold them: NaN is null, times are texts.

    Raises:
        RequestError: A moment or a day is none of this calendar; it names the column.
    """
    columns: dict[str, list[Any]] = {}
    for name in table.column_names:
        column = table.column(name)
        try:
            columns[name] = [_plain(value) for value in column.to_pylist()]
        except (ValueError, OverflowError) as error:
            raise wrong_column(name, "values from 1970 to 2261", str(error)) from None
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value != value:  # noqa: PLR0124  NaN
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def _codes(column: pa.ChunkedArray, codes: Mapping[str, float]) -> npt.NDArray[Any]:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    chunk = column.combine_chunks()
    if not pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary_encode()
    # the last one is for nulls, which have no place in the dictionary
    known = [codes.get(text, np.nan) for text in chunk.dictionary.to_pylist()]
    places = chunk.indices.cast(pa.int64()).fill_null(len(known)).to_numpy(zero_copy_only=False)
    found: npt.NDArray[Any] = np.array([*known, np.nan])[places]
    return found


def _numbers(column: pa.ChunkedArray, name: str, *, whole: bool) -> npt.NDArray[Any]:
    import numpy as np
    import pyarrow as pa

    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        numbers: npt.NDArray[Any] = values.astype(np.float32)
    wrong = np.isinf(numbers)
    if wrong.any():
        row = int(wrong.argmax())
        raise wrong_column(name, "finite 32-bit numbers", f"{values[row]} in row {row:,}")
    if whole and pa.types.is_floating(column.type):
        wrong = (values != np.floor(values)) & ~np.isnan(values)
        if wrong.any():
            row = int(wrong.argmax())
            raise wrong_column(name, "whole numbers", f"{values[row]} in row {row:,}")
    return numbers


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def _fits(kind: pa.DataType, wanted: Kind) -> bool:
    import pyarrow as pa

    expected = _expected(wanted)
    if expected == _TRUTHS:
        return bool(pa.types.is_boolean(kind))
    if expected in (_NUMBERS, _WHOLES):
        return bool(
            pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
        )
    if expected == _MOMENTS:
        return bool(pa.types.is_timestamp(kind) and kind.tz is not None)
    return bool(pa.types.is_date32(kind)) if expected == _DAYS else _is_text(kind)


def _expected(kind: Kind) -> str:
    checks = set(kind.checks.values())
    if bool in kind.checks:
        return _TRUTHS
    by_check = {WHOLE_AS_NUMBER: _NUMBERS, WHOLE: _WHOLES, MOMENT: _MOMENTS, DAY: _DAYS}
    return next((said for check, said in by_check.items() if check in checks), _TEXTS)
