"""This module holds the steps that changes of a route are made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from headrace.errors import did_you_mean
from serving.route import Rival, Route, RoutingError
from serving.traffic import redealt

_EXPERIMENT_LETTERS = 12


def models_of(route: Route) -> tuple[str, ...]:
    """Return the challengers, the first one first."""
    return tuple(rival.model for rival in route.rivals)


def following(route: Route) -> Route:
    """Return the route of the next generation, as it is otherwise."""
    return replace(route, generation=route.generation + 1)


def alone(route: Route) -> Route:
    """Return the route without challengers and dealt traffic."""
    return replace(route, challenger=None, experiment=None, also=(), traffic=None)


def with_rivals(route: Route, rivals: Sequence[Rival]) -> Route:
    """Return the route with other challengers."""
    first = rivals[0] if rivals else None
    return replace(
        route,
        challenger=None if first is None else first.model,
        experiment=None if first is None else first.experiment,
        also=tuple(rivals[1:]),
    )


def joined(route: Route, models: Sequence[str]) -> Route:
    """Return the route with more challengers, whose experiments begin with its generation."""
    rivals = list(route.rivals)
    for model in models:
        if model not in (route.champion, *(rival.model for rival in rivals)):
            rivals.append(Rival(model=model, experiment=experiment_id(route, model)))
    return with_rivals(route, rivals)


def dealt_without(route: Route, model: str) -> Route:
    """Return the route with the traffic of one challenger given back to the champion."""
    if route.traffic is None:
        return route
    left = {name: share for name, share in route.traffic.shares().items() if name != model}
    return replace(route, traffic=redealt(route.traffic, left) if left else None)


def experiment_id(route: Route, challenger: str) -> str:
    """Return the id of a comparison that begins with the generation of a route."""
    named = json.dumps([route.endpoint, route.champion, challenger, route.generation])
    return hashlib.sha256(named.encode()).hexdigest()[:_EXPERIMENT_LETTERS]


def challenger_of(route: Route, done: str, named: str | None) -> str:
    """Return the named challenger, or the first one.

    Raises:
        RoutingError: There is no such challenger.
    """
    if route.challenger is None:
        raise RoutingError(
            f"The endpoint '{route.endpoint}' has no challenger that could be {done}; "
            f"{route.champion} answers.",
            remedy="Let a version challenge it first.",
        )
    if named is None:
        return route.challenger
    require_rival(route, named)
    return named


def require_rival(route: Route, model: str) -> None:
    """Refuse a version that does not challenge here.

    Raises:
        RoutingError: It does not.
    """
    models = models_of(route)
    if model not in models:
        said = ", ".join(models) if models else "nobody"
        raise RoutingError(
            f"{model} does not challenge {route.champion} at the endpoint '{route.endpoint}'; "
            f"{said} {'do' if len(models) > 1 else 'does'}.{did_you_mean(model, models)}",
            remedy=f"Let it challenge first: `headrace endpoint challenge {route.endpoint} "
            f"{model}`.",
        )
