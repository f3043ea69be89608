"""This module reads how an endpoint reads its inputs, now and at each generation, as documents.

Operators whose code is part of a cache key ask here: `serving.endpoints` holds tables of
SQLAlchemy, which no key can hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.errors import UnknownNameError

Lookups = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class LookedUp:
    """This is what an endpoint looks up.

    Args:
        lookups: What it looks up now, one document a view.
        by_generation: What it looked up at each of its generations.
        task: What its models do, such as "classification".
        outcomes: What may be told of its decisions, one document an outcome.
    """

    lookups: Lookups
    by_generation: Mapping[int, Lookups]
    task: str = ""
    outcomes: Sequence[Mapping[str, Any]] = ()


def looked_up_by(endpoint: str) -> LookedUp:
    """Return what an endpoint looks up.

    Raises:
        UnknownNameError: There is no such endpoint.
    """
    from sqlalchemy import text

    from headrace.lineage.database import Database
    from headrace.settings import settings

    database = Database(settings().database_url)
    changes = text(
        "SELECT generation, spec FROM endpoint_change WHERE endpoint = :name ORDER BY generation"
    )
    try:
        with database.reading() as connection:
            specs = {
                str(name): spec
                for name, spec in connection.execute(text("SELECT name, spec FROM endpoint"))
            }
            rows = [tuple(row) for row in connection.execute(changes, {"name": endpoint})]
    finally:
        database.close()
    if endpoint not in specs:
        raise UnknownNameError.of(
            "endpoint",
            endpoint,
            specs,
            remedy="List the endpoints with `headrace endpoint list`.",
        )
    found: dict[int, Lookups] = {}
    lookups: Lookups = ()
    for generation, spec in rows:
        lookups = lookups if spec in (None, "null") else _lookups(spec)
        found[generation] = lookups
    spec = _document(specs[endpoint])
    return LookedUp(
        lookups=spec.get("lookups", ()),
        by_generation=found,
        task=spec.get("task", ""),
        outcomes=spec.get("outcomes", ()),
    )


def _lookups(spec: Any) -> Lookups:
    found: Lookups = _document(spec).get("lookups", ())
    return found


def _document(spec: Any) -> Mapping[str, Any]:
    """Return a spec; PostgreSQL gives the document, SQLite its text."""
    document: Mapping[str, Any] = json.loads(spec) if isinstance(spec, str) else spec
    return document
