"""This module names content by what it says: digests of tables, documents and directories.

A table's digest is taken over its logical Arrow content, so another Parquet writer, chunking or
encoding does not change it, and any change that code could see does:

- Column names, their order, logical types and the order of rows count. Nullability flags, metadata
  and the names of list elements do not.
- A dictionary or run-end encoded column equals its decoded values; `large_string` and
  `string_view` equal `string`, and likewise for binary and lists.
- Null differs from NaN. Every NaN is the same. -0.0 differs from 0.0, since 1/x tells them apart.
- The unit of a timestamp, time or duration and the zone of a timestamp count: code that reads the
  integers behind them would otherwise be given another result as its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, StoreError

if TYPE_CHECKING:
    import pyarrow

_TABLE_FORMAT = b"headrace table 1"
_FILES_FORMAT = b"headrace files 1"
_THREADS = 4
_THREADED_BYTES = 2_000_000
_READ_BYTES = 1 << 20


def table_digest(table: pyarrow.Table) -> str:
    """Return the sha256, in hex, of the logical content of `table`.

    Args:
        table: Any Arrow table, `(n_rows, n_columns)`; nulls are content. Unions are refused.

    Raises:
        BoundaryError: A column has a type without a digest (a union).
    """
    from headrace._arrow_content import column_digest, type_name

    names = [type_name(field.type, field.name) for field in table.schema]
    if table.nbytes > _THREADED_BYTES and table.num_columns > 1:
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            columns = list(pool.map(column_digest, table.columns))
    else:
        columns = [column_digest(column) for column in table.columns]

    whole = hashlib.sha256(_TABLE_FORMAT)
    rows = table.num_rows if columns else 0  # rows of nothing are nothing
    whole.update(f"\n{rows} rows, {table.num_columns} columns\n".encode())
    for field, name, digest in zip(table.schema, names, columns, strict=True):
        whole.update(json.dumps([field.name, name]).encode())
        whole.update(digest)
    return whole.hexdigest()


def document_digest(document: Any) -> str:
    """Return the sha256, in hex, of `document` as canonical JSON (see `canonical_json`)."""
    return hashlib.sha256(canonical_json(document)).hexdigest()


def canonical_json(document: Any) -> bytes:
    """Return `document` as JSON with sorted keys, no spaces, and floats in their shortest form.

    Args:
        document: Dicts with text keys, lists, tuples, text, numbers, booleans and None. NaN and
            the infinities are written `NaN`, `Infinity` and `-Infinity`, which Python reads back.

    Raises:
        DataError: Something in it is not JSON; the message says where.
    """
    _require_json(document, "$")
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii")


def files_digest(directory: Path) -> str:
    """Return the sha256, in hex, of the relative paths and contents of a directory's files.

    Empty directories, permissions and times do not count.

    Raises:
        StoreError: `directory` is not a directory, or holds something other than plain files.
    """
    return checksums_digest({n: file_checksum(Path(directory, n)) for n in plain_files(directory)})


def bytes_digest(files: Mapping[str, bytes]) -> str:
    """Return what `files_digest` says of a directory with these files, by relative POSIX path."""
    return checksums_digest({n: hashlib.sha256(data).hexdigest() for n, data in files.items()})


def checksums_digest(checksums: Mapping[str, str]) -> str:
    """Return the digest of files whose sha256 is already known, by relative POSIX path."""
    whole = hashlib.sha256(_FILES_FORMAT)
    for item in sorted(checksums.items()):
        whole.update(json.dumps(item).encode())
    return whole.hexdigest()


def plain_files(directory: Path) -> list[str]:
    """Return the sorted relative POSIX paths of the files below `directory`.

    Raises:
        StoreError: `directory` is not a directory, or holds a link, socket or device.
    """
    if not Path(directory).is_dir():
        raise StoreError(
            f"'{directory}' is not a directory.",
            remedy="give the directory that holds the files, not one of the files.",
        )
    return sorted(_walk(os.fspath(directory), ""))


def file_checksum(path: Path) -> str:
    """Return the sha256, in hex, of the bytes of one file: what `sha256sum` prints."""
    hasher = hashlib.sha256()
    for piece in file_pieces(path):
        hasher.update(piece)
    return hasher.hexdigest()


def file_pieces(path: Path) -> Iterator[memoryview]:
    """Yield the bytes of a file in pieces; each is valid until the next is asked for."""
    view = memoryview(bytearray(_READ_BYTES))
    with open(path, "rb", buffering=0) as file:
        while size := file.readinto(view):
            yield view[:size]


def _walk(root: str, prefix: str) -> Iterator[str]:
    with os.scandir(root) as entries:
        for entry in entries:
            relative = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, relative + "/")
            elif entry.is_file(follow_symlinks=False):
                yield relative
            else:
                raise StoreError(
                    f"'{entry.path}' is neither a plain file nor a directory.",
                    remedy="replace links by the files that they point to, and leave out the rest.",
                )


def _require_json(value: Any, where: str) -> None:
    if value is None or isinstance(value, (str, bool, int, float)):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise DataError(
                    f"The key {key!r} at {where} is of type {type(key).__name__}; "
                    "a document's keys are text.",
                    remedy=f"write it as text: '{key}'.",
                )
            _require_json(item, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for position, item in enumerate(value):
            _require_json(item, f"{where}[{position}]")
    else:
        raise DataError(
            f"The value at {where} is of type {type(value).__name__}, which JSON cannot hold.",
            remedy="use dicts, lists, text, numbers, booleans and None; write a time as "
            "value.isoformat() and an array as value.tolist().",
        )
