"""This module lets the aliases in the model registry say what an endpoint's versions are for."""

from __future__ import annotations

from serving.registry import Registry
from serving.routing import Route


def sync_aliases(route: Route) -> None:
    """Give the aliases champion, challenger and previous to the route's versions.

    An alias that the route has no version for is removed. What is right already is left alone, so
    it may be called any number of times. Endpoints that share a model share its aliases, which
    then speak of the endpoint that was changed last.

    Raises:
        UnknownNameError: A version of the route is not registered.
        ServiceError: The MLflow server does not answer.
    """
    registry = Registry()
    model = route.champion.rpartition("/")[0]
    wanted = {
        "champion": route.champion,
        "challenger": route.challenger,
        "previous": route.previous,
    }
    has = registry.aliases(model)
    for alias, version in wanted.items():
        number = None if version is None else version.rpartition("/")[2]
        if has.get(alias) == number:
            continue
        if number is None:
            registry.remove_alias(model, alias)
        else:
            registry.set_alias(model, alias, number)
