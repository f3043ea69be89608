"""This module reads CSV files and says in plain words where one is not as it should be."""

from __future__ import annotations

import csv
import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, ParameterError
from headrace.grants import require
from headrace.schemas import DType, schema_of
from operators._ingest_files import file_name, found_file

if TYPE_CHECKING:
    import pyarrow as pa

NULLS = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "#N/A")
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_COMPRESSED = {".gz", ".bz2", ".zst", ".lz4", ".br"}


@dataclass(frozen=True, kw_only=True)
class _Source:
    """This is a CSV file in memory, as UTF-8."""

    path: Path
    data: pa.Buffer
    delimiter: str
    nulls: tuple[str, ...]
    names: tuple[str, ...]


def load_csv(
    path: str | os.PathLike[str],
    *,
    schema: type | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
    nulls: Sequence[str] = NULLS,
) -> pa.Table:
    """Return the rows of a CSV file with a header.

    Args:
        path: The file, plain or compressed (.gz, .bz2, .zst, .lz4, or .zip with one file).
        schema: The schema class whose columns are read, in its types, so that "00501" stays text
            where it says `str`. None reads all columns and infers their types.
        delimiter: The one character between values.
        encoding: How text is written in the file.
        nulls: The spellings of a missing value, in quotes or not.

    Raises:
        DataError: The file is missing, empty or ragged, repeats a column name, or is written
            with another delimiter or encoding; or a value does not have its declared type.
        GrantError: The running operator was not granted the file.
    """
    require(file_name(path))
    return rows_of_csv(
        found_file(path), schema=schema, delimiter=delimiter, encoding=encoding, nulls=nulls
    )


def rows_of_csv(
    path: Path,
    *,
    schema: type | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
    nulls: Sequence[str] = NULLS,
) -> pa.Table:
    """Return the rows of a CSV file that is there and granted; see `load_csv`."""
    import pyarrow as pa

    if len(delimiter) != 1 or not delimiter.isascii():
        raise ParameterError(
            f"The delimiter is {delimiter!r}; it must be one ASCII character.",
            remedy="Use ',', ';', '|' or a tab.",
        )
    data = _utf8(path, _content(path), encoding)
    names = _header(path, data, delimiter)
    source = _Source(path=path, data=data, delimiter=delimiter, nulls=tuple(nulls), names=names)
    types, wanted = _declared(schema, names)
    try:
        table = _parsed(source, types=types, wanted=wanted)
    except pa.ArrowInvalid as error:
        raise _explained(source, str(error), wanted) from error
    if any(pa.types.is_binary(field.type) for field in table.schema):
        raise _wrong_encoding(path, data)
    return table


def _declared(
    schema: type | None, names: Sequence[str]
) -> tuple[dict[str, pa.DataType], list[str] | None]:
    import pyarrow as pa

    declared = schema_of(schema) if schema is not None else None
    if declared is None:
        return {}, None
    kinds: dict[DType, pa.DataType] = {
        "bool": pa.bool_(),
        "int": pa.int64(),
        "float": pa.float64(),
        "string": pa.string(),
        "category": pa.string(),
        "date": pa.date32(),
    }  # times are inferred, so that one without a zone is seen as such
    types = {c.name: kinds[c.dtype] for c in declared.columns if c.dtype in kinds}
    return types, [n for n in declared.names if n in names] or None


def _parsed(
    source: _Source,
    *,
    types: dict[str, pa.DataType],
    wanted: list[str] | None,
    threads: bool = True,
    on_ragged: Any = None,
) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        pa.BufferReader(source.data),
        read_options=arrow_csv.ReadOptions(use_threads=threads, block_size=4 << 20),
        parse_options=arrow_csv.ParseOptions(
            delimiter=source.delimiter, newlines_in_values=True, invalid_row_handler=on_ragged
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types,
            include_columns=wanted,
            null_values=list(source.nulls),
            strings_can_be_null=True,
        ),
    )


def _content(path: Path) -> pa.Buffer:
    import pyarrow as pa

    if path.suffix == ".zip":
        return pa.py_buffer(_only_member(path))
    if path.stat().st_size == 0:
        return pa.py_buffer(b"")
    try:
        if path.suffix in _COMPRESSED:
            with pa.input_stream(path, compression="detect") as stream:
                return stream.read_buffer()
        with pa.memory_map(str(path)) as mapped:
            return mapped.read_buffer()
    except OSError as error:
        raise DataError(
            f"'{path}' cannot be read: {str(error).rstrip('.')}.",
            remedy="Check that the file may be read and is complete.",
        ) from error


def _only_member(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                n
                for n in archive.namelist()
                if not n.endswith("/") and not n.startswith("__MACOSX/")
            ]
            if len(names) == 1:
                return archive.read(names[0])
    except zipfile.BadZipFile as error:
        raise DataError(
            f"'{path}' is not a zip file, or it is damaged: {error}.",
            remedy="Fetch the file again, or unpack it and give the CSV file.",
        ) from error
    raise DataError(
        f"'{path}' holds {len(names)} files; exactly one is needed.",
        remedy="Unpack it and give one of the files.",
    )


def _utf8(path: Path, data: pa.Buffer, encoding: str) -> pa.Buffer:
    import pyarrow as pa

    if encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig"):
        if bytes(data[:2]) in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(
                f"'{path}' is not UTF-8; it begins like UTF-16.", remedy="Pass encoding='utf-16'."
            )
        return data
    try:
        return pa.py_buffer(data.to_pybytes().decode(encoding).encode())
    except LookupError as error:
        raise ParameterError(
            f"There is no encoding '{encoding}'.",
            remedy="Use one that Python knows, such as 'utf-8', 'latin-1' or 'utf-16'.",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"'{path}' is not written in {encoding}: byte {error.start:,} does not fit.",
            remedy="Pass the encoding that the file was written in.",
        ) from error


def _header(path: Path, data: pa.Buffer, delimiter: str) -> tuple[str, ...]:
    start = bytes(data[: 1 << 20]).removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if not start.strip():
        raise DataError(
            f"'{path}' is empty.", remedy="Give a file with a header and one row a line."
        )
    try:
        text = start[: start.rfind(b"\n") + 1 or None].decode()
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, data) from error
    names = next(csv.reader(text.splitlines(keepends=True), delimiter=delimiter))
    if len(names) == 1:
        seen = {d: names[0].count(d) for d in _DELIMITERS if d != delimiter}
        likely = max(seen, key=lambda d: seen[d])
        if seen[likely]:
            raise DataError(
                f"'{path}' has one column, '{names[0]}', when it is split at {delimiter!r}; "
                f"it seems to be delimited by {_DELIMITERS[likely]}.",
                remedy=f"Pass delimiter={likely!r}.",
            )
    repeated = sorted({n for n in names if names.count(n) > 1})
    if repeated:
        raise DataError(
            f"'{path}' names column '{repeated[0]}' {names.count(repeated[0])} times.",
            remedy="Give every column of the header a name of its own.",
        )
    return tuple(names)


def _explained(source: _Source, message: str, wanted: list[str] | None) -> DataError:
    if "invalid UTF8" in message:
        return _wrong_encoding(source.path, source.data)
    if "Expected" in message and "columns" in message:
        return _ragged(source)
    found = re.search(r"In CSV column #(\d+).*conversion error to (\S+): invalid value '(.*)'",
                      message, re.DOTALL)  # fmt: skip
    if found:
        return _misfit(source, int(found[1]), found[2], found[3])
    return DataError(
        f"'{source.path}' cannot be read as CSV: {message.rstrip('.')}.",
        remedy="Correct the file, or pass the delimiter that it was written with.",
    )


def _ragged(source: _Source) -> DataError:
    rows: list[Any] = []

    def noted(row: Any) -> str:
        rows.append(row)
        return "skip"

    _parsed(source, types={}, wanted=None, threads=False, on_ragged=noted)
    first = rows[0]
    more = f"; {len(rows) - 1:,} more rows are like that" if len(rows) > 1 else ""
    return DataError(
        f"'{source.path}' has {first.expected_columns} columns, but row {first.number:,} has "
        f"{first.actual_columns}: {first.text.strip()[:80]!r}{more}.",
        remedy="Correct the row (the header is row 1); put values that hold the delimiter or a "
        "line break in quotes.",
    )


def _misfit(source: _Source, index: int, kind: str, value: str) -> DataError:
    import pyarrow as pa

    name = source.names[index]
    column = _parsed(source, types={name: pa.string()}, wanted=[name])[name]
    row = column.index(pa.scalar(value, pa.string())).as_py()
    return DataError(
        f"'{source.path}': column '{name}' is declared as {kind}, but row {row + 2:,} holds "
        f"{value!r}.",
        remedy="Correct the value (the header is row 1), declare the column as it is, or name "
        "the value among `nulls` if it means that nothing is known.",
    )


def _wrong_encoding(path: Path, data: pa.Buffer) -> DataError:
    raw = data.to_pybytes()
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return DataError(
            f"'{path}' is not UTF-8: line {line:,} holds the byte 0x{raw[error.start]:02x}.",
            remedy="Pass the encoding it was written in, such as encoding='latin-1' or 'cp1252'.",
        )
    return DataError(
        f"'{path}' holds bytes that are no text.", remedy="Give a text file with a header."
    )
