"""This module turns a document into a record, after a cheap look at whether it is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from headrace.decisions.frames import COLUMNS, DECISION, KINDS, Record, key_of
from headrace.errors import ParameterError, did_you_mean

LONGEST_ID = 200
_COLUMNS_BITS = 53  # what a JSON number holds exactly, everywhere


def checked_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of features, which become the keys of a map.

    Raises:
        ParameterError: A name is no text, or occurs twice.
    """
    wrong = [name for name in names if not isinstance(name, str) or names.count(name) > 1]
    if wrong:
        raise ParameterError(
            f"The columns of a decision have the name {wrong[0]!r:.80}, which is no text or occurs "
            "twice.",
            remedy="Give each feature a name of its own.",
        )
    return names


def columns_id(names: Sequence[str]) -> int:
    """Return the number that stands for a list of names, in every process and segment."""
    digest = blake2b(orjson.dumps(list(names)), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _COLUMNS_BITS)


def columns_record(columns: int, names: Sequence[str]) -> Record:
    """Return the record that tells a segment's reader what a number of columns stands for."""
    payload = orjson.dumps({"kind": "columns", "id": columns, "names": list(names)})
    return Record(COLUMNS, columns, 0, payload)


def record_of(document: Mapping[str, Any], known: Mapping[int, tuple[str, ...]]) -> Record:
    """Return the record of a decision, a shadow or an outcome.

    Args:
        document: The document; NaN and infinite numbers are written as null.
        known: The lists of names that decisions may refer to, by their number.

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
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_ID:
        raise ParameterError(
            f"The id of a {what} is {name!r:.80}.",
            remedy=f"Give an id of 1 to {LONGEST_ID} characters.",
        )
    if type(logged) is not int or not -(1 << 63) <= logged < 1 << 63:
        raise ParameterError(
            f"The {what} '{name}' says that it was logged at {logged!r:.80}.",
            remedy="Give 'logged' as a whole number of microseconds since 1970, UTC.",
        )
    if kind == DECISION:
        _check_features(document, known)
    try:
        payload = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        return Record(kind, key_of(name), logged, payload)
    except (TypeError, UnicodeEncodeError) as error:
        raise ParameterError(
            f"The {what} {name!r} cannot be written as JSON: {error}.",
            remedy="Hold text, numbers, true, false, null, lists and dicts with text keys.",
        ) from error


def _check_features(document: Mapping[str, Any], known: Mapping[int, tuple[str, ...]]) -> None:
    columns, features = document.get("columns"), document.get("features")
    names = known.get(columns) if isinstance(columns, int) else None
    if names is None:
        raise ParameterError(
            f"The decision '{document['id']}' has columns {columns!r:.80}, which this log was not "
            "told of.",
            remedy="Take the number from `log.columns(names)` of the log that is written.",
        )
    count = len(features) if isinstance(features, list | tuple) else None
    if count != len(names):
        has = f"a list of {count}" if count is not None else f"{features!r:.80}"
        raise ParameterError(
            f"The decision '{document['id']}' has {len(names)} columns, but as features {has}.",
            remedy="List a value for each column, in their order; None for a missing one.",
        )


def _unknown_kind(document: Mapping[str, Any]) -> ParameterError:
    kind = document.get("kind")
    hint = did_you_mean(kind, KINDS) if isinstance(kind, str) else ""
    return ParameterError(
        f"A record of the decision log is of kind {kind!r:.80}.{hint}",
        remedy="Log a document whose 'kind' is 'decision', 'shadow' or 'outcome'.",
    )
