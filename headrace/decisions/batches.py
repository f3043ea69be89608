"""This module holds batches: many decisions that one request asked for, logged as one record.

A row of a batch is a decision as any other, with the id "<batch>/<row>" where the batch names none.
The features and the scores are numbers as the client sent them and the model gave them, in base64,
so that a thousand decisions are logged without a Python object for each value.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from headrace.decisions.cells import cells_of
from headrace.decisions.columns import Columns
from headrace.decisions.frames import key_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Document = dict[str, Any]
PER_ROW = {"rows", "format", "matrix", "scores", "ids", "entity", "missing", "answer", "each"}
"""What a batch holds for its rows; everything else is said of all of them alike."""

_HEAD = re.compile(rb'\{"kind":"(?:batch|scores)","rows":(\d+),("ids":)?')
_ROW = re.compile(r"(.+)/(0|[1-9][0-9]{0,8})", re.DOTALL)


def batch_record(
    *,
    id: str,  # noqa: A002 - the document's own word
    at: int,
    logged: int,
    columns: int,
    matrix: NDArray[np.float32] | bytes | pa.Table | pa.RecordBatch,
    scores: NDArray[np.float64],
    answer: str = "probability",
    ids: Sequence[str] | None = None,
    entity: Mapping[str, Sequence[Any]] | None = None,
    missing: Mapping[str, Sequence[int]] | None = None,
    each: Mapping[str, Sequence[Any]] | None = None,
    **said: Any,
) -> Document:
    """Return the document of a batch, to be appended to a log.

    Args:
        id: Id of the batch.
        at: When it was decided, in us.
        logged: When it is logged, in us.
        columns: What `DecisionLog.columns` gave for the names of the features.
        matrix: The features as they were used: (n_rows, n_features) of little-endian float32, in
            the order of the columns, NaN for one that is missing, categories as codes; or a table
            of Arrow with columns of these names. What is bytes already becomes base64 when it is
            logged.
        scores: One for each row.
        answer: What the score is called in the answer of a row.
        ids: Ids of the rows; "<id>/<row>" without.
        entity: For each key column, a value for each row.
        missing: For each view that had nothing, in which rows.
        each: Further fields of decisions that differ by row, such as "rank".
        said: Further fields of all decisions, such as "model" and "experiment".
    """
    import numpy as np

    document: Document = {"kind": "batch", "rows": len(scores)}
    if ids is not None:
        document["ids"] = list(ids)
    document |= {"id": id, "at": at, "logged": logged, "columns": columns}
    kind, content = "float32", matrix
    if isinstance(matrix, np.ndarray):
        content = b64encode(np.ascontiguousarray(matrix, "<f4").tobytes()).decode()
    elif not isinstance(matrix, bytes):
        kind, content = "arrow", b64encode(_stream_of(matrix)).decode()
    document |= {
        "format": kind,
        "matrix": content,
        "scores": b64encode(np.ascontiguousarray(scores, "<f8").tobytes()).decode(),
        "answer": answer,
        **said,
    }
    per_row = {"entity": entity, "missing": missing, "each": each}
    return document | {name: value for name, value in per_row.items() if value}


def _stream_of(table: pa.Table | pa.RecordBatch) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def rows_in(payload: bytes) -> int:
    """Return how many rows the payload of a batch or of scores holds, from its first bytes."""
    head = _HEAD.match(payload)
    return int(head[1]) if head else 0


def keys_in(key: int, payload: bytes) -> list[int]:
    """Return the keys under which a batch is found: its own, and those of ids that it names."""
    head = _HEAD.match(payload)
    if head is None or head[2] is None:
        return [key]
    return [key, *map(key_of, orjson.loads(payload)["ids"])]


def batch_and_row(name: str) -> tuple[str, int] | None:
    """Return the batch and the row that an id stands for, None where it cannot."""
    found = _ROW.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def shadows_of(document: Document) -> Iterator[Document]:
    """Yield the scores that one record holds of many decisions as documents of shadows.

    Args:
        document: Of kind "scores": `ids` and `scores`, and what is said of all of them alike.
    """
    shared = {n: value for n, value in document.items() if n not in ("rows", "ids", "scores")}
    for name, score in zip(document["ids"], document["scores"], strict=True):
        yield {**shared, "kind": "shadow", "id": name, "score": score}


def place_in(document: Document, name: str) -> int | None:
    """Return the row of a batch that has an id, or None."""
    ids = document.get("ids")
    if ids is not None:
        return ids.index(name) if name in ids else None
    batch, row = batch_and_row(name) or ("", 0)
    return row if batch == document["id"] and row < document["rows"] else None


def scores_of(document: Document) -> NDArray[np.float64]:
    """Return the scores of a batch, (n_rows,)."""
    import numpy as np

    scores: NDArray[np.float64] = np.frombuffer(b64decode(document["scores"]), "<f8")
    return scores


def ids_of(document: Document) -> list[str]:
    """Return the ids of the rows of a batch."""
    batch = document["id"]
    return document.get("ids") or [f"{batch}/{row}" for row in range(document["rows"])]


def shared_by(document: Document) -> Document:
    """Return what a batch says of all its rows alike, as a decision says it."""
    shared = {name: value for name, value in document.items() if name not in PER_ROW}
    return shared | {"kind": "decision", "batch": document["id"]}


def missing_by_row(document: Document) -> dict[int, list[str]]:
    """Return for each row the views that had nothing, where there are some."""
    found: dict[int, list[str]] = {}
    for view, rows in document.get("missing", {}).items():
        for row in rows:
            found.setdefault(row, []).append(view)
    return found


def decisions_of(document: Document, columns: Columns) -> Iterator[Document]:
    """Yield the rows of a batch as documents of decisions.

    Args:
        document: The batch.
        columns: Its columns.
    """
    shared, answer = shared_by(document), document.get("answer", "probability")
    entity, each = document.get("entity", {}), document.get("each", {})
    missing = missing_by_row(document)
    features = cells_of(document, columns).rows()
    scores = [None if score != score else score for score in scores_of(document).tolist()]  # noqa: PLR0124  NaN
    for row, (name, values, score) in enumerate(
        zip(ids_of(document), features, scores, strict=True)
    ):
        yield {
            **shared,
            "id": name,
            "entity": {key: given[row] for key, given in entity.items()},
            "features": values,
            "overridden": shared.get("overridden", []),
            "missing": missing.get(row, []),
            "score": score,
            "answer": {answer: score},
            **{key: given[row] for key, given in each.items()},
        }


def decision_at(document: Document, columns: Columns, row: int) -> Document:
    """Return one row of a batch as the document of a decision."""
    one = document | {
        "rows": 1,
        "ids": [ids_of(document)[row]],
        "scores": b64encode(scores_of(document)[row : row + 1].tobytes()).decode(),
        "entity": {key: given[row : row + 1] for key, given in document.get("entity", {}).items()},
        "each": {key: given[row : row + 1] for key, given in document.get("each", {}).items()},
        "missing": {view: [0] for view in missing_by_row(document).get(row, [])},
    }
    content = b64decode(document["matrix"])
    if document["format"] == "float32":
        width = 4 * len(columns.names)
        content = content[row * width : (row + 1) * width]
    else:
        import pyarrow as pa

        content = _stream_of(pa.ipc.open_stream(content).read_all().slice(row, 1))
    one["matrix"] = b64encode(content).decode()
    return next(decisions_of(one, columns))
