"""This module keeps on record who read features of views that hold personal or secret ones.

A record is written before the rows are handed out, so that there is no read without one; a run that
takes over what an earlier run had read is on record too, as "reused". Nothing is ever rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from headrace.clock import current_clock
from headrace.lineage.records import FeatureRead

if TYPE_CHECKING:
    from headrace.grants import Feature
    from headrace.lineage.database import Database


def remember_reads(
    features: Sequence[Feature],
    *,
    sort: Literal["read", "reused", "deployed"],
    flow: str,
    run_id: str | None,
    actor: str,
    endpoint: str | None = None,
    database: Database | None = None,
) -> None:
    """Put a read on record: one entry for each view that holds something sensitive.

    Args:
        features: What is read; views without sensitive features leave no trace here.
        sort: What becomes of it.
        flow: Which flow reads; empty for a person in a REPL.
        run_id: In which run, None outside one.
        actor: Who started it.
        endpoint: Which endpoint may look the features up.
        database: Where to record; the shared database of the settings by default.

    Raises:
        StoreError: It cannot be recorded; the caller must not hand anything out then.
    """
    views: dict[tuple[str, int], list[Feature]] = {}
    for feature in features:
        if feature.guarded:
            views.setdefault((feature.view, feature.version), []).append(feature)
    reads = [
        FeatureRead(
            sort=sort,
            view=view,
            columns=tuple(f.column for f in read),
            version=version,
            rows=None if endpoint is not None else read[0].rows,
            at=current_clock().now(),
            flow=flow,
            run_id=run_id,
            endpoint=endpoint,
            actor=actor,
        )
        for (view, version), read in views.items()
    ]
    if reads:
        record_reads(reads, database=database)


def record_reads(reads: Sequence[FeatureRead], *, database: Database | None = None) -> None:
    """Append reads to the record.

    Raises:
        StoreError: The database cannot be written.
    """
    from sqlalchemy import insert

    from headrace.lineage.tables import feature_read

    rows = [asdict(read) | {"columns": list(read.columns)} for read in reads]
    with _opened(database) as opened, opened.writing() as connection:
        connection.execute(insert(feature_read), rows)


def reads_of(view: str | None = None, *, database: Database | None = None) -> list[FeatureRead]:
    """Return the reads on record, oldest first.

    Args:
        view: Of this view; None for all.
        database: Where to look; the shared database of the settings by default.
    """
    from sqlalchemy import select

    from headrace.lineage.tables import feature_read as table

    query = select(table).order_by(table.c.id)
    if view is not None:
        query = query.where(table.c.view == view)
    with _opened(database) as opened, opened.reading() as connection:
        found: list[dict[str, Any]] = [dict(row._mapping) for row in connection.execute(query)]
    for row in found:
        del row["id"]
    return [FeatureRead(**row | {"columns": tuple(row["columns"])}) for row in found]


@contextmanager
def _opened(database: Database | None) -> Iterator[Database]:
    """Yield a database; the shared one is closed again."""
    if database is not None:
        yield database
        return
    from headrace.lineage.database import Database as Opening
    from headrace.settings import settings

    shared = Opening(settings().database_url)
    try:
        yield shared
    finally:
        shared.close()
