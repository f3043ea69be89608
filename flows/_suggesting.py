"""This module finds the views that `suggest_features` tries, and what they were computed from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError, did_you_mean

if TYPE_CHECKING:
    from features._published import Published
    from headrace.lineage import Lineage


@dataclass(frozen=True, kw_only=True)
class Try:
    """This is a view to try.

    Args:
        view: Its name.
        columns: The features that the flow may read; None for all.
        source: Reference of the artifact that its published rows were computed from; None where
            lineage does not know it, or the view's code changed since.
    """

    view: str
    columns: list[str] | None
    source: str | None


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """This is a published view that is not tried.

    Args:
        view: Its name.
        reason: Why, in a sentence.
    """

    view: str
    reason: str


def views_to_try(
    *, flow: str, grants: Sequence[str], only: Sequence[str], using: Collection[str]
) -> tuple[list[Try], list[LeftOut]]:
    """Return the published views to try, and those that are left out with the reason.

    Args:
        flow: The flow that will read them.
        grants: What it is granted.
        only: Names of views to try; empty for all that are published.
        using: Names of views that are used already.

    Raises:
        UnknownNameError: One of `only` is not published.
    """
    from features._published import published_views
    from features.access import offered
    from headrace.errors import UnknownNameError
    from headrace.grants import Reader, refusals

    records = {record.view: record for record in published_views()}
    for name in (*only, *using):
        if name not in records:
            raise UnknownNameError(
                f"No view '{name}' is published.{did_you_mean(name, records)}",
                remedy="`headrace features list` shows what is.",
            )
    tried, left_out = [], []
    for name in only or sorted(set(records) - set(using)):
        offer = offered(name)
        if offer.stage == "deprecated" and name not in only:
            left_out.append(LeftOut(view=name, reason="It is deprecated."))
            continue
        reader = Reader(flow=flow, granted=tuple(grants))
        barred = {
            each.feature.column: each.feature
            for each in offer.externals()
            if each.feature is not None and refusals([each], reader, subject=f"'{flow}'")
        }
        columns = [f.column for f in offer.features if f.column not in barred]
        if barred:
            owner = next(iter(barred.values())).owner
            names = ", ".join(barred)
            reason = f"{owner} does not let '{flow}' read {names}."
            left_out.append(LeftOut(view=name, reason=reason))
        if columns:
            tried.append(
                Try(
                    view=name,
                    columns=columns if barred else None,
                    source=_source_of(records[name]),
                )
            )
    return tried, left_out


def views_used_with(labels: str) -> list[str]:
    """Return the published views that the newest `build` put beside some labels.

    Args:
        labels: A reference to them.

    Raises:
        UnknownNameError: There is no such artifact.
    """
    from features._published import published_views
    from headrace import load
    from headrace.execution import Session

    known = {record.view for record in published_views()}
    schema = _built_from(Session.of_settings().lineage, load(labels).digest)
    sources = [column.get("source") or "" for column in schema.get("columns", ())]
    return [name for name in dict.fromkeys(s.partition("@")[0] for s in sources) if name in known]


def _built_from(lineage: Lineage, digest: str) -> dict[str, Any]:
    """Return the schema of the examples that were built last from labels."""
    from sqlalchemy import select

    from headrace.lineage import tables

    edge, invocation, artifact = tables.edge, tables.invocation, tables.artifact
    made = edge.alias()
    query = (
        select(artifact.c.schema)
        .join_from(edge, invocation, edge.c.later == invocation.c.id)
        .join(made, made.c.earlier == invocation.c.id)
        .join(artifact, artifact.c.digest == made.c.later)
        .where(
            edge.c.sort == "input",
            edge.c.earlier == digest,
            made.c.sort == "output",
            invocation.c.operator.endswith(".build"),
        )
        .order_by(invocation.c.started_at.desc())
        .limit(1)
    )
    with lineage.database.reading() as connection:
        found: dict[str, Any] | None = connection.scalars(query).one_or_none()
    return found or {}


def _source_of(record: Published) -> str | None:
    """Return the artifact that a view's published rows were computed from."""
    from features._versions import version_of
    from features.catalog import catalog
    from headrace.execution import Session

    try:
        view = catalog().view(record.view)
    except HeadraceError:
        return None  # published from another repository
    if version_of(view) != record.version:
        return None
    digest = _input_of(Session.of_settings().lineage, record.digest)
    return None if digest is None else f"artifact:{digest}"


def _input_of(lineage: Lineage, digest: str) -> str | None:
    """Return the digest of what `compute_features` read when it made an artifact."""
    from sqlalchemy import select

    from headrace.lineage import tables

    edge, invocation = tables.edge, tables.invocation
    made = edge.alias()
    query = (
        select(edge.c.earlier)
        .join_from(edge, invocation, edge.c.later == invocation.c.id)
        .join(made, made.c.earlier == invocation.c.id)
        .where(
            edge.c.sort == "input",
            edge.c.name == "source",
            made.c.sort == "output",
            made.c.later == digest,
            invocation.c.operator.endswith("compute_features"),
        )
        .order_by(invocation.c.started_at.desc())
        .limit(1)
    )
    with lineage.database.reading() as connection:
        found: str | None = connection.scalars(query).one_or_none()
    return found
