"""This module says which models somebody may still ask for: registered, answering, or compared."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from sqlalchemy import select

from headrace.errors import ServiceError, UnknownNameError
from headrace.lineage import tables as records
from headrace.lineage.closure import chunks
from serving._mlflow import MlflowDown
from serving.bundles import folder_of, known_versions
from serving.endpoints import Endpoints
from serving.registry import Registry

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from headrace.lineage.database import Database

_MODELS = ("Model", "SelectedModel")


def roots_in_service(database: Database, registry: Registry | None) -> set[str]:
    """Return the digests of the models in service, and the invocations that put them there.

    What led to these is what proves a model: its data, and the evaluation that it was registered
    with.

    Args:
        database: Where lineage and endpoints are recorded.
        registry: What is registered; None takes every model that an effect ever took, or that was
            written for serving, for registered: more than there is, and never less of ours.

    Raises:
        ServiceError: The registry does not answer, so that nobody knows what is registered.
    """
    served, unknown = _served(Endpoints(database))
    with database.reading() as connection:
        if registry is None or unknown:
            served |= set(_bundled()) | set(_models_of_effects(connection))
        if registry is not None:
            served |= _registered(registry)
        return served | set(_effects_on(connection, served))


def _served(endpoints: Endpoints) -> tuple[set[str], bool]:
    """Return the digests of what answers or may at once, and whether one of them is not known."""
    digests, unknown = set(), False
    for name in endpoints.names():
        route = endpoints.route(name)
        for ref in filter(None, (route.champion, route.challenger, route.previous)):
            try:
                digests.add(folder_of(ref).name)
            except UnknownNameError:
                unknown = True
    return digests, unknown


def _registered(registry: Registry) -> set[str]:
    try:
        versions = [version for name in registry.names() for version in registry.versions(name)]
    except MlflowDown as error:
        raise ServiceError(
            f"{error.problem} So nobody knows which models are registered.",
            remedy="Start it with `headrace up --only mlflow`; or add --without-registry, which "
            "takes every model that was ever registered from here for registered.",
        ) from error
    return {version.digest for version in versions if version.digest}


def _bundled() -> Iterator[str]:
    return (folder_of(ref).name for ref in known_versions())


def _models_of_effects(connection: Connection) -> list[str]:
    edge, invocation = records.edge, records.invocation
    query = select(edge.c.earlier).join_from(edge, invocation, edge.c.later == invocation.c.id)
    query = query.where(invocation.c.effect, edge.c.sort == "input", edge.c.kind.in_(_MODELS))
    return list(connection.scalars(query.distinct()))


def _effects_on(connection: Connection, digests: Collection[str]) -> Iterator[str]:
    edge, invocation = records.edge, records.invocation
    for chunk in chunks(sorted(digests)):
        query = select(edge.c.later).join_from(edge, invocation, edge.c.later == invocation.c.id)
        query = query.where(invocation.c.effect, edge.c.sort == "input", edge.c.earlier.in_(chunk))
        yield from connection.scalars(query.distinct())
