"""This module puts together who uses a view: flows, registered models and endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from features.usage import EndpointUse, ModelUse, Usage
    from headrace.execution import Session


def usage_of(view: str, column: str | None = None) -> Usage:
    """Return all who use a view, or one feature of it; no server is asked.

    Args:
        view: Name of the view.
        column: Name of a feature; None for the whole view.
    """
    from features.usage import Usage, flows_using
    from headrace.execution import Session

    if not _anything_recorded():
        return Usage(view=view, column=column)
    session = Session.of_settings()
    models = _models(session, view, column)
    return Usage(
        view=view,
        column=column,
        flows=flows_using(session.lineage, view, column),
        models=models,
        endpoints=_endpoints(view, column, {use.version for use in models}),
    )


def _anything_recorded() -> bool:
    """Return whether there is a database; looking for users should not make one."""
    from headrace.settings import settings

    kind, _, path = settings().database_url.partition("///")
    return kind != "sqlite:" or Path(path).exists()


def _models(session: Session, view: str, column: str | None) -> tuple[ModelUse, ...]:
    from features.usage import ModelUse, measured_on_test, values_of
    from serving.bundles import card_of, folder_of, known_versions

    found = []
    for version in known_versions():
        try:
            card = card_of(version)
        except HeadraceError:
            continue  # a damaged bundle says so where it is to answer
        taken = [(feature.name, feature.source) for feature in card.features]
        if not values_of(view, taken, {}, {}, column):
            continue
        on_test = measured_on_test(session.lineage, session.store, folder_of(version).name)
        values = values_of(view, taken, card.importance, on_test, column)
        found.append(
            ModelUse(version=version, flavor=card.flavor, features=len(taken), values=values)
        )
    return tuple(sorted(found, key=lambda use: _by_number(use.version)))


def _endpoints(view: str, column: str | None, models: set[str]) -> tuple[EndpointUse, ...]:
    from features.usage import EndpointUse
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    found = []
    for name in endpoints.names():
        spec, route = endpoints.spec(name), endpoints.route(name)
        for lookup in spec.lookups:
            features = tuple(lookup["features"])
            if lookup["view"] != view or (column is not None and column not in features):
                continue
            takes = {ref: ref if ref in models else None for ref in _named(route)}
            found.append(
                EndpointUse(
                    endpoint=name,
                    version=int(lookup.get("number", 0)),
                    space=spec.space,
                    features=features if column is None else (column,),
                    champion=takes.get(route.champion),
                    challenger=takes.get(route.challenger or ""),
                )
            )
    return tuple(found)


def _named(route: Any) -> list[str]:
    return [ref for ref in (route.champion, route.challenger) if ref is not None]


def _by_number(version: str) -> tuple[str, int, str]:
    name, _, number = version.rpartition("/")
    return name, int(number) if number.isdigit() else 0, version
