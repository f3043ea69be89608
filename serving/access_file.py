"""This module tells lanes who may ask them: a file that the host writes, and every lane reads.

A lane has no database. The file holds digests of secrets, and no key could be made of them; it is
for its owner alone all the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import orjson

from serving.access_keys import Verb


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """This is what a client may do at one endpoint.

    Args:
        name: The client.
        digest: What is kept of its secret.
        verbs: What it may do; nothing where it may not ask this endpoint.
        per_second: Requests a second at each replica; None for any number.
        burst: Requests at once.
        expires_us: From when on its key is none, microseconds since 1970; None for never.
    """

    name: str
    digest: str
    verbs: frozenset[Verb]
    per_second: float | None
    burst: int
    expires_us: int | None


def access_file(notices: Path) -> Path:
    """Return where the file is, beside the folder of notices."""
    return notices.parent / "access.json"


def write_access(
    path: Path, clients: Iterable[Mapping[str, Any]], replicas: Mapping[str, int]
) -> None:
    """Replace the file; a reader sees the old or the new one.

    Args:
        path: The file.
        clients: What `ApiClient` holds of each client whose key is good.
        replicas: How many replicas each endpoint has, among which a client's rate is shared.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    kept = ("name", "key_id", "digest", "endpoints", "verbs", "per_second", "burst", "expires_at")
    document = {
        "clients": [{key: client[key] for key in kept} for client in clients],
        "replicas": dict(replicas),
    }
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(document))
    half.replace(path)


def read_access(path: Path, endpoint: str) -> dict[str, Granted]:
    """Return what each client may do at an endpoint, by the id of its key.

    Raises:
        OSError: There is no such file.
        ValueError: It is not what the host writes.
    """
    document = orjson.loads(path.read_bytes())
    try:
        count = max(1, int(document["replicas"].get(endpoint, 1)))
        return {each["key_id"]: _granted(each, endpoint, count) for each in document["clients"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} lacks {error}") from error


def _granted(client: Mapping[str, Any], endpoint: str, replicas: int) -> Granted:
    may = any(fnmatchcase(endpoint, pattern) for pattern in client["endpoints"])
    rate, expires = client["per_second"], client["expires_at"]
    moment = None if expires is None else datetime.fromisoformat(expires)
    return Granted(
        name=client["name"],
        digest=client["digest"],
        verbs=frozenset(client["verbs"]) if may else frozenset(),
        per_second=None if rate is None else rate / replicas,
        burst=max(1, round((client["burst"] or 1) / replicas)),
        expires_us=None if moment is None else round(moment.timestamp() * 1_000_000),
    )
