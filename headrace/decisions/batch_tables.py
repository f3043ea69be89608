"""This module turns a batch into the table of its decisions, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from headrace.decisions.batches import Document, ids_of, missing_by_row, scores_of, shared_by
from headrace.decisions.cells import cells_of
from headrace.decisions.columns import Columns
from headrace.decisions.fields import FIELDS, column_of, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

_OWN = {"kind", "features", *FIELDS["decisions"]}


def batch_table(document: Document, columns: Columns, segment: str, offset: int) -> pa.Table:
    """Return the decisions of a batch as rows, the same as if each had been logged alone.

    Args:
        document: The batch.
        columns: Its columns.
        segment: Where it lies, for the column `segment`.
        offset: Where in it, for the column `place`.
    """
    import numpy as np
    import pyarrow as pa

    count = document["rows"]
    shared = {"overridden": [], **shared_by(document)}
    by_row = _by_row(document)
    rest: list[Document] = [{} for _ in range(count)] if by_row.keys() - _OWN else []
    once: list[Document] = [{}]
    every = np.zeros(count, dtype=np.int64)
    arrays: dict[str, pa.Array] = {}
    for name, kind in FIELDS["decisions"].items():
        if name in by_row:
            rest = rest or [{} for _ in range(count)]
            arrays[name] = column_of(by_row[name], name, kind, rest)
        elif name not in ("score", "answer"):
            arrays[name] = column_of([shared.get(name)], name, kind, once).take(pa.array(every))
    scores = scores_of(document)
    arrays["score"] = pa.array(scores, pa.float64(), mask=np.isnan(scores))
    arrays["answer"] = _answers(document, scores)
    once[0] |= {name: value for name, value in shared.items() if name not in _OWN}
    for name in by_row.keys() - _OWN:
        for row, value in enumerate(by_row[name]):
            rest[row][name] = value
    features, texts = cells_of(document, columns).maps()
    return pa.Table.from_arrays(
        [
            *(arrays[name] for name in FIELDS["decisions"]),
            features,
            texts,
            _more(once[0], rest, count),
            pa.repeat(pa.scalar(segment, pa.string()), count),
            pa.repeat(pa.scalar(offset, pa.int64()), count),
        ],
        schema=schema_of("decisions"),
    )


def _by_row(document: Document) -> dict[str, list[Any]]:
    """Return the fields that differ from row to row, without scores and features."""
    count = document["rows"]
    entity = document.get("entity", {})
    missing = missing_by_row(document)
    found: dict[str, list[Any]] = {"id": ids_of(document), **document.get("each", {})}
    found["entity"] = (
        [dict(zip(entity, values, strict=True)) for values in zip(*entity.values(), strict=True)]
        if entity
        else [{}] * count
    )
    found["missing"] = [missing.get(row, []) for row in range(count)]
    return found


def _answers(document: Document, scores: Any) -> pa.Array:
    import pyarrow as pa

    begin = b"{%b:" % orjson.dumps(document.get("answer", "probability"))
    written = orjson.dumps(scores.tolist())[1:-1].split(b",")
    return pa.array([begin + score + b"}" for score in written], pa.string())


def _more(shared: Document, rest: list[Document], count: int) -> pa.Array:
    import pyarrow as pa

    if any(rest):
        said = [orjson.dumps(shared | each) if shared or each else None for each in rest]
        return pa.array(said, pa.string())
    alike = orjson.dumps(shared).decode() if shared else None
    return pa.repeat(pa.scalar(alike, pa.string()), count)
