"""This module opens tables of Arrow that somebody sent: nothing in them is believed unread.

Columns of other types than a lane reads are refused before their values are looked at; compressed
ones are refused whole, as a few bytes of them may stand for gigabytes; and values are validated, as
Arrow itself trusts the offsets of a file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from serving._batch_errors import not_arrow, too_many_rows

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 100_000
_RECORD_BATCH, _DICTIONARY_BATCH = 3, 2


def read_table(body: bytes, check: Callable[[pa.Schema], None]) -> pa.Table:
    """Return the table that a body is, validated.

    Args:
        body: An Arrow IPC stream.
        check: Raises what is wrong with the columns; values are read only afterwards.

    Raises:
        RequestError: It is no such stream, is compressed, or has too many rows.
    """
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(body) as reader:
            schema = reader.schema
        check(schema)
        _require_plain(body)
        batches, rows = [], 0
        with pa.ipc.open_stream(body) as reader:
            for batch in reader:
                rows += batch.num_rows
                if rows > MOST_ROWS:
                    raise too_many_rows(rows, MOST_ROWS)
                batch.validate(full=True)
                batches.append(batch)
        return pa.Table.from_batches(batches, schema).unify_dictionaries().combine_chunks()
    except (pa.ArrowException, OSError, ValueError, struct.error, IndexError) as error:
        raise not_arrow(str(error)) from None


def _require_plain(body: bytes) -> None:
    """Refuse compressed buffers; raises struct.error or IndexError for what is no message."""
    import pyarrow as pa

    for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(body)):
        if _is_compressed(message.metadata.to_pybytes()):
            raise not_arrow("its buffers are compressed; send them uncompressed.")


def _is_compressed(metadata: bytes) -> bool:
    """Say whether a message is a batch with compressed buffers; see Arrow's Message.fbs."""
    message = struct.unpack_from("<I", metadata)[0]
    kind_at, header_at = _field(metadata, message, 1), _field(metadata, message, 2)
    if not kind_at or not header_at:
        return False
    kind = metadata[kind_at]
    batch = header_at + struct.unpack_from("<I", metadata, header_at)[0]
    if kind == _DICTIONARY_BATCH:
        data_at = _field(metadata, batch, 1)
        if not data_at:
            return False
        batch = data_at + struct.unpack_from("<I", metadata, data_at)[0]
    elif kind != _RECORD_BATCH:
        return False
    return _field(metadata, batch, 3) != 0


def _field(buffer: bytes, table: int, number: int) -> int:
    """Return where a field of a flatbuffer's table lies, 0 where it has none."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    size = struct.unpack_from("<H", buffer, vtable)[0]
    entry = 4 + 2 * number
    if entry + 2 > size:
        return 0
    offset = struct.unpack_from("<H", buffer, vtable + entry)[0]
    return table + int(offset) if offset else 0
