"""This module makes Feast's page of features over our registry; only its own process imports it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

_AS_OLD_AS = timedelta(seconds=2)


def feast_pages() -> Any:
    """Return Feast's UI and its REST API as an ASGI application; the import takes seconds.

    What Feast's own command line needs, `feature_store.yaml`, is written beside the registry.
    """
    from features._feast_file import write_feast_file
    from features.store import PROJECT, feature_store

    store = feature_store()
    write_feast_file(store)
    _require_project(store, PROJECT)
    registry: Any = store.registry
    registry.cached_registry_proto_ttl = _AS_OLD_AS  # zero, our default, is never for Feast
    from feast.ui_server import get_app

    return get_app(store, PROJECT)


def _require_project(store: Any, name: str) -> None:
    """Put the project into a registry that is still empty, or its page is an error."""
    from feast.errors import ProjectObjectNotFoundException
    from feast.project import Project

    try:
        store.registry.get_project(name, allow_cache=False)
    except ProjectObjectNotFoundException:
        description = "Features that were published with Headrace."
        store.registry.apply_project(Project(name=name, description=description), commit=True)
