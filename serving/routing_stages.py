"""This module takes a challenger through the stages of a rule: pure changes of a route."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from serving._route_steps import (
    challenger_of,
    dealt_without,
    experiment_id,
    following,
    models_of,
    require_rival,
    with_rivals,
)
from serving.route import Rival, Route, RoutingError
from serving.routing import withdraw
from serving.traffic import Traffic, redealt


def confirm(route: Route) -> Route:
    """Return the route on which a promotion is no longer watched, though it can be undone.

    Raises:
        RoutingError: No promotion is watched.
    """
    watched = route.watched
    if watched is None:
        raise RoutingError(
            f"No promotion is watched at the endpoint '{route.endpoint}'.",
            remedy="See what runs there with `headrace endpoint show`.",
        )
    return withdraw(route, watched.model)


def hold(route: Route, *, why: str) -> Route:
    """Return the route at which no rule promotes or ramps anything; rollbacks go on.

    Args:
        route: The present route.
        why: The reason, which everybody sees.

    Raises:
        RoutingError: It is held already.
    """
    if route.held is not None:
        raise RoutingError(
            f"The endpoint '{route.endpoint}' is held already: {route.held}",
            remedy=f"Let it go with `headrace endpoint release {route.endpoint}`.",
        )
    return replace(following(route), held=why)


def release(route: Route) -> Route:
    """Return the route at which rules promote and ramp again.

    Raises:
        RoutingError: It is not held.
    """
    if route.held is None:
        raise RoutingError(
            f"The endpoint '{route.endpoint}' is not held.",
            remedy=f"Hold it with `headrace endpoint hold {route.endpoint} --reason TEXT`.",
        )
    return replace(following(route), held=None)


def ramp(
    route: Route,
    challenger: str,
    *,
    share: float,
    steps: Sequence[float] = (),
    unit: Sequence[str] = (),
    patience_ms: float = 50.0,
) -> Route:
    """Return the route on which a challenger answers another share in the experiment that runs.

    Unlike `split` it begins nothing anew: a rule has declared the steps beforehand, and weighs
    what each share saw.

    Args:
        route: The present route.
        challenger: Which one.
        share: Its share from now on, above 0.
        steps: The shares that it goes through; told when traffic is first dealt.
        unit: Columns of the entity that make a unit; likewise.
        patience_ms: How long a challenger's answer is waited for, in milliseconds; likewise.

    Raises:
        RoutingError: It does not challenge here, or traffic is dealt in another way.
        ParameterError: The share or the steps are not allowed.
    """
    require_rival(route, challenger)
    traffic = route.traffic
    if traffic is None:
        salt = experiment_id(following(route), f"ramp+{challenger}")
        traffic = Traffic(
            design="ramp",
            unit=tuple(unit),
            salt=salt,
            patience_ms=patience_ms,
            steps=tuple(steps),
        )
    elif traffic.design != "ramp":
        raise RoutingError(
            f"The endpoint '{route.endpoint}' deals traffic by '{traffic.design}', which no rule "
            "may move.",
            remedy=f"Take it back with `headrace endpoint shadow {route.endpoint}`.",
        )
    dealt = redealt(traffic, traffic.shares() | {challenger: share})
    return replace(following(route), traffic=dealt)


def restart(route: Route, challenger: str | None = None) -> Route:
    """Return the route on which challengers begin anew, in shadow, as if never seen.

    Args:
        route: The present route.
        challenger: Which one; all of them by default.

    Raises:
        RoutingError: There is no such challenger.
    """
    anew = challenger_of(route, "compared anew", challenger)
    after = following(route)
    chosen = models_of(route) if challenger is None else (anew,)
    for model in chosen:
        after = dealt_without(after, model)
    return begun_anew(after, chosen)


def begun_anew(route: Route, models: Collection[str]) -> Route:
    """Return a route that nobody has seen yet, on which some challengers' experiments are new.

    Args:
        route: The route, of a generation that begins now.
        models: The challengers; shares stay as they are.
    """
    rivals = [
        Rival(model=rival.model, experiment=experiment_id(route, rival.model))
        if rival.model in models
        else rival
        for rival in route.rivals
    ]
    return with_rivals(route, rivals)
