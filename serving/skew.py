"""This module checks an endpoint for skew against what is published of the views that it reads."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from headrace import Report, Table
from headrace.errors import DataError


def skew_of(
    endpoint: str,
    *,
    sample: int | None = 10_000,
    seed: int = 0,
    at_least: float = 0.999,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Report:
    """Compare what an endpoint served with the offline join on the published rows of its views.

    Args:
        endpoint: Name of the endpoint.
        sample: How many decisions to look at; None for all.
        seed: Which ones.
        at_least: The share of equal values that every feature must reach.
        since: The first moment of decisions, aware; None for the beginning.
        until: The last moment; None for the moment up to which all of its views are published:
            what became known later is not offline yet.

    Returns:
        As `measure_skew`, with `endpoint`, `until` and `unpublished`, the views that nothing can be
        compared with.

    Raises:
        UnknownNameError: There is no such endpoint.
        DataError: It looks nothing up, or nothing of its views is published.
    """
    from features._published import published
    from features.access import granted_rows, offered
    from headrace.errors import UnknownNameError
    from operators.measure_skew import measure_skew
    from serving.endpoints import Endpoints
    from serving.served_features import served_features

    lookups = Endpoints().spec(endpoint).lookups
    rows: list[Table[Any]] = []
    newest, unpublished = [], []
    for lookup in lookups:
        reference = f"{lookup['view']}@v{lookup.get('number', 0)}"
        try:
            record = published(reference)
        except UnknownNameError:
            record = None
        if record is None:
            unpublished.append(reference)
            continue
        columns = list(lookup["features"])
        schema = offered(reference, columns).schema
        rows.append(Table.of(granted_rows(reference, columns), schema=schema))
        newest.append(datetime.fromisoformat(record.published_at))
    if not lookups:
        raise DataError(
            f"Endpoint '{endpoint}' looks nothing up.",
            remedy="There is no skew where every value comes from the request.",
        )
    if not rows:
        raise DataError(
            f"Endpoint '{endpoint}' looks up {_listed(unpublished)}, of which nothing is "
            "published.",
            remedy="Publish the views; the offline join is made of their rows.",
        )
    until = until or min(newest)
    served = served_features(endpoint=endpoint, sample=sample, seed=seed, since=since, until=until)
    report = measure_skew(_without(served, unpublished), rows, at_least=at_least)
    return Report.of(
        {
            **report.document,
            "passed": report.document["passed"] and not unpublished,
            "endpoint": endpoint,
            "until": until.isoformat(),
            "unpublished": unpublished,
        }
    )


def _without(served: Table[Any], references: list[str]) -> Table[Any]:
    """Return what was served without the features of some views."""
    views = {reference.partition("@")[0] for reference in references}
    if served.schema is None:  # pragma: no cover - it was made with one
        raise TypeError(served)
    gone = [c.name for c in served.schema.columns if str(c.source).partition("@")[0] in views]
    return Table.of(served.arrow(), schema=served.schema.dropping(gone))


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
