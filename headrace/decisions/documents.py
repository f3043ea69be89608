"""This module turns a document into a record, after a cheap look at whether it is one."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import orjson

from headrace.decisions.columns import Columns, columns_id
from headrace.decisions.frames import BATCH, DECISION, KINDS, SCORES, Record, key_of
from headrace.errors import ParameterError, did_you_mean

__all__ = ["LONGEST_ID", "columns_id", "record_of"]

LONGEST_ID = 200
_LONGEST_BATCH_ID = 190  # its rows add "/" and a number
_MOST_ROWS = 10_000_000
_record = tuple.__new__  # half the time of `Record(...)`


def record_of(document: Mapping[str, Any], known: Mapping[int, Columns]) -> Record:
    """Return the record of a decision, a batch of them, a shadow, its scores, or an outcome.

    Args:
        document: The document; NaN and infinite numbers are written as null.
        known: The columns that decisions may refer to, by their number.

    Raises:
        ParameterError: The kind, the id or the moment is missing or wrong, the features do not fit
            their names, or a value cannot be JSON.
    """
    what = document.get("kind")
    kind = KINDS.get(what) if isinstance(what, str) else None
    name = document.get("id")
    logged = document.get("logged")
    if kind is None:
        raise _unknown_kind(document)
    longest = _LONGEST_BATCH_ID if kind == BATCH else LONGEST_ID
    if not isinstance(name, str) or not 0 < len(name) <= longest:
        raise ParameterError(
            f"The id of a {what} is {name!r:.80}.",
            remedy=f"Give an id of 1 to {longest} characters.",
        )
    if type(logged) is not int or not -(1 << 63) <= logged < 1 << 63:
        raise ParameterError(
            f"The {what} '{name}' says that it was logged at {logged!r:.80}.",
            remedy="Give 'logged' as a whole number of microseconds since 1970, UTC.",
        )
    if kind == DECISION:
        number, features = document.get("columns"), document.get("features")
        columns = known.get(number) if type(number) is int else None
        if columns is None or type(features) is not list or len(features) != len(columns.names):
            _check_features(document, known)
    elif kind == BATCH:
        document = _checked_batch(document, known)
    elif kind == SCORES:
        document = _checked_scores(document)
    try:
        payload = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        return _record(Record, (kind, key_of(name), logged, payload))
    except (TypeError, UnicodeEncodeError) as error:
        raise ParameterError(
            f"The {what} {name!r} cannot be written as JSON: {error}.",
            remedy="Hold text, numbers, true, false, null, lists and dicts with text keys.",
        ) from error


def parsed(payloads: list[bytes]) -> list[dict[str, Any]]:
    """Return the documents of payloads, which are parsed as one list: half the time of each."""
    try:
        documents: list[dict[str, Any]] = orjson.loads(b"[%b]" % b",".join(payloads))
    except orjson.JSONDecodeError:
        documents = []
    if len(documents) != len(payloads):  # a payload is no document
        return [orjson.loads(payload) for payload in payloads]
    return documents


def _columns_of(document: Mapping[str, Any], known: Mapping[int, Columns]) -> Columns:
    number = document.get("columns")
    columns = known.get(number) if isinstance(number, int) else None
    if columns is None:
        raise ParameterError(
            f"The {document['kind']} '{document['id']}' has columns {number!r:.80}, which this log "
            "was not told of.",
            remedy="Take the number from `log.columns(names)` of the log that is written.",
        )
    return columns


def _check_features(document: Mapping[str, Any], known: Mapping[int, Columns]) -> None:
    names = _columns_of(document, known).names
    features = document.get("features")
    count = len(features) if isinstance(features, list | tuple) else None
    if count != len(names):
        has = f"a list of {count}" if count is not None else f"{features!r:.80}"
        raise ParameterError(
            f"The decision '{document['id']}' has {len(names)} columns, but as features {has}.",
            remedy="List a value for each column, in their order; None for a missing one.",
        )


def _checked_batch(document: Mapping[str, Any], known: Mapping[int, Columns]) -> dict[str, Any]:
    """Return the document of a batch with its rows first, where an index looks for them.

    Only lengths are compared: what is in the texts is neither decoded nor looked at.
    """
    width = len(_columns_of(document, known).names)
    rows, matrix = document.get("rows"), document.get("matrix")
    if isinstance(matrix, bytes):  # as it came from a client
        matrix = b64encode(matrix)
        document = {**document, "matrix": orjson.Fragment(b'"%b"' % matrix)}
    if type(rows) is not int or not 0 < rows <= _MOST_ROWS:
        raise _wrong_batch(document, "rows", f"a whole number from 1 to {_MOST_ROWS}")
    if document.get("format") not in ("float32", "arrow"):
        raise _wrong_batch(document, "format", "'float32' or 'arrow'")
    if not isinstance(matrix, str | bytes) or (
        document["format"] == "float32" and len(matrix) != _as_text(4 * rows * width)
    ):
        raise _wrong_batch(document, "matrix", f"{rows} x {width} float32 as base64")
    scores = document.get("scores")
    if not isinstance(scores, str) or len(scores) != _as_text(8 * rows):
        raise _wrong_batch(document, "scores", f"{rows} float64 as base64")
    ids = document.get("ids")
    if ids is not None and (not isinstance(ids, list) or not _are_ids(ids, rows)):
        raise _wrong_batch(document, "ids", f"{rows} different texts of 1 to {LONGEST_ID}")
    first: dict[str, Any] = {"kind": "batch", "rows": rows}
    if ids is not None:
        first["ids"] = ids
    else:
        document = {name: value for name, value in document.items() if name != "ids"}
    return first | dict(document)


def _checked_scores(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a shadow's scores of many decisions, with their number first."""
    ids, scores = document.get("ids"), document.get("scores")
    if not isinstance(ids, list) or not isinstance(scores, list) or not 0 < len(ids) == len(scores):
        raise ParameterError(
            f"The scores '{document['id']}' are not of as many ids.",
            remedy="Give 'ids' and 'scores' as lists of one length, at least 1.",
        )
    return {"kind": "scores", "rows": len(ids)} | {
        name: value for name, value in document.items() if name not in ("kind", "rows")
    }


def _as_text(size: int) -> int:
    """Return how long so many bytes are as base64."""
    return 4 * -(-size // 3)


def _are_ids(ids: list[Any], rows: int) -> bool:
    return len(ids) == rows == len(set(map(str, ids))) and all(
        isinstance(each, str) and 0 < len(each) <= LONGEST_ID for each in ids
    )


def _wrong_batch(document: Mapping[str, Any], name: str, expected: str) -> ParameterError:
    return ParameterError(
        f"The batch '{document['id']}' has as {name} {document.get(name)!r:.80}, which is not "
        f"{expected}.",
        remedy="Make the record with `batch_record` of headrace.decisions.batches.",
    )


def _unknown_kind(document: Mapping[str, Any]) -> ParameterError:
    kind = document.get("kind")
    hint = did_you_mean(kind, KINDS) if isinstance(kind, str) else ""
    return ParameterError(
        f"A record of the decision log is of kind {kind!r:.80}.{hint}",
        remedy="Log a document whose 'kind' is 'decision', 'batch', 'shadow' or 'outcome'.",
    )
