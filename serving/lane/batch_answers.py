"""This module writes what is answered to a matrix or a table: JSON, floats, or a table of Arrow."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from headrace.clock import from_us
from headrace.decisions.batches import ids_of, scores_of
from serving._batch_errors import ARROW, FLOATS
from serving._request_errors import RequestError
from serving.lane.exchange import Answer, Asked

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+").fullmatch


async def batch_answer(
    asked: Asked,
    endpoint: str,
    logged: dict[str, Any],
    scores: npt.NDArray[np.float64],
    *,
    repeated: bool,
) -> Answer:
    """Return the answer to a batch that was logged as one record.

    Args:
        asked: The request, whose header `accept` says what is to be sent back: 64-bit floats
            (32-bit ones where it says `type=float32`), a table of Arrow, or else JSON.
        endpoint: Name of the endpoint.
        logged: The record.
        scores: The scores in it.
        repeated: Whether it had been answered before.
    """
    accepted = (asked.header(b"accept") or b"").decode("latin-1")
    headers = (
        (b"x-headrace-batch", _quoted(logged["id"])),
        (b"x-headrace-model", logged["model"].encode()),
        (b"x-headrace-repeated", b"true" if repeated else b"false"),
    )
    if FLOATS in accepted:
        kind = "<f4" if "float32" in accepted else "<f8"
        return Answer(scores.astype(kind, copy=False).tobytes(), 200, FLOATS.encode(), headers)
    if ARROW in accepted:
        rows = rows_of_record(logged, repeated=repeated)
        return await table_answer(asked, endpoint, logged["id"], rows)
    document = {
        "id": logged["id"],
        "endpoint": endpoint,
        "model": logged["model"],
        "at": from_us(logged["at"]).isoformat(),
        "repeated": repeated,
        "rows": len(scores),
        "figure": logged["answer"],
        "scores": scores,
    }
    return Answer(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), 200, headers=headers)


@dataclass(frozen=True, slots=True)
class Answered:
    """This is the answer to one row of a table, or why there is none.

    Args:
        id: Id of the decision.
        model: Who answered, None where nobody did.
        figure: What the score is called.
        score: The score.
        repeated: Whether it had been answered before.
        error: The refusal, as JSON-like data.
    """

    id: str
    model: str | None
    figure: str | None
    score: float | None
    repeated: bool
    error: dict[str, Any] | None = None

    @classmethod
    def of(cls, identity: str, answer: dict[str, Any] | RequestError) -> Answered:
        """Return it for what a decider answered to a row."""
        if isinstance(answer, RequestError):
            return cls(identity, None, None, None, False, told(answer))
        figure = next(iter(answer["answer"]))
        return cls(identity, answer["model"], figure, answer["answer"][figure], answer["repeated"])


def _quoted(identity: str) -> bytes:
    """Return an id as a header can hold it: most are as they are."""
    return (identity if _PLAIN(identity) else quote(identity, safe="")).encode()


def told(error: RequestError) -> dict[str, Any]:
    """Return a refusal among answers: as it would be alone, with its status."""
    document: dict[str, Any] = orjson.loads(error.to_json())["error"]
    return {"status": error.status, **document}


def rows_of_record(logged: dict[str, Any], *, repeated: bool) -> list[Answered]:
    """Return the answers to the rows of a batch that was logged as one record."""
    model, figure = logged["model"], logged["answer"]
    return [
        Answered(identity, model, figure, score, repeated)
        for identity, score in zip(ids_of(logged), scores_of(logged).tolist(), strict=True)
    ]


async def table_answer(
    asked: Asked, endpoint: str, identity: str, rows: Sequence[Answered]
) -> Answer:
    """Return the answer to a table: a table of Arrow where that is accepted, else JSON."""
    accepted = (asked.header(b"accept") or b"").decode("latin-1")
    figure = next((row.figure for row in rows if row.figure is not None), "score")
    if ARROW in accepted:
        # pyarrow is imported by whoever first wants it, which takes a while
        content = await asyncio.to_thread(written_table, rows)
        headers = ((b"x-headrace-batch", _quoted(identity)),)
        return Answer(content, 200, ARROW.encode(), headers)
    document = {
        "id": identity,
        "endpoint": endpoint,
        "figure": figure,
        "decisions": [
            {"id": row.id, "model": row.model, "score": row.score, "repeated": row.repeated}
            if row.error is None
            else {"id": row.id, "error": row.error}
            for row in rows
        ],
    }
    return Answer(orjson.dumps(document))


def written_table(rows: Sequence[Answered]) -> bytes:
    """Return an Arrow IPC stream of answers: id, model, score, repeated, and error."""
    import pyarrow as pa

    errors = [None if row.error is None else row.error["message"] for row in rows]
    table = pa.table(
        {
            "id": pa.array([row.id for row in rows], pa.string()),
            "model": pa.array([row.model for row in rows], pa.string()),
            "score": pa.array([row.score for row in rows], pa.float64()),
            "repeated": pa.array([row.repeated for row in rows], pa.bool_()),
            "error": pa.array(errors, pa.string()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content
