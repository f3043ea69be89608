"""This module writes votes as a file: Parquet, JSON lines, or CSV that no spreadsheet executes."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from headrace.labels.items import VoteRecord

if TYPE_CHECKING:
    import pyarrow

Form = Literal["parquet", "jsonl", "csv"]
CONTENT_TYPES: dict[Form, str] = {
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
}
COLUMNS = tuple(field.name for field in fields(VoteRecord))
_TIMES = frozenset({"at", "as_of"})
# what a spreadsheet takes for the beginning of a formula, also in its wide forms
_FORMULA = re.compile("^[\\s\x00]*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


def exported(votes: Sequence[VoteRecord], form: Form) -> bytes:
    """Return votes as the content of a file, with the columns of `VoteRecord`.

    Args:
        votes: The votes; their order is kept.
        form: "parquet", with types; "jsonl", one JSON object a line; or "csv", where a text that a
            spreadsheet would take for a formula is preceded by an apostrophe.
    """
    if form == "parquet":
        return _parquet(votes)
    rows = [{name: getattr(vote, name) for name in COLUMNS} for vote in votes]
    if form == "jsonl":
        lines = (json.dumps(row, default=datetime.isoformat) for row in rows)
        return "".join(f"{line}\n" for line in lines).encode()
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    dangerous = isinstance(value, str) and _FORMULA.match(text) and not _NUMBER.match(text)
    return f"'{text}" if dangerous else text


def _parquet(votes: Sequence[VoteRecord]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    columns = {
        name: pyarrow.array([getattr(vote, name) for vote in votes], _type(pyarrow, name))
        for name in COLUMNS
    }
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


def _type(arrow: Any, name: str) -> pyarrow.DataType:
    if name in _TIMES:
        return arrow.timestamp("us", tz="UTC")
    types = {
        "number": arrow.int64(),
        "seconds": arrow.float64(),
        "suggestion_shown": arrow.bool_(),
    }
    return types.get(name, arrow.string())
