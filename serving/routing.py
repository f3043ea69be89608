"""This module decides which model answers at an endpoint: pure changes of one small value.

A route is never edited: every change makes the next one, whose generation is one higher. A new
model has to prove itself against the champion; only `promote` and `rollback` change who answers
those units that no challenger was given by `split` and `reweigh`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from headrace.errors import ParameterError
from serving._route_steps import (
    alone,
    challenger_of,
    dealt_without,
    experiment_id,
    following,
    joined,
    models_of,
    require_rival,
    with_rivals,
)
from serving.route import Rival, Route, RoutingError, require_endpoint, require_model
from serving.traffic import Bandit, Design, Traffic, redealt

__all__ = [
    "Rival",
    "Route",
    "RoutingError",
    "challenge",
    "declare",
    "promote",
    "require_endpoint",
    "require_model",
    "restate",
    "reweigh",
    "rollback",
    "shadow",
    "split",
    "split_now",
    "withdraw",
]


def declare(
    route: Route | None,
    *,
    endpoint: str,
    champion: str,
    challenger: str | None,
    tried: Collection[tuple[str, str | None]],
    also: Sequence[str] = (),
) -> Route:
    """Return the route after a flow said what it would serve; the same one if nothing changes.

    The first champion answers. From then on a proposed champion becomes the challenger of the
    present one, unless it lost to it before. Where the proposed champion answers already, its
    challengers are set as declared. An old champion that watches a promotion goes on: a model that
    was trained meanwhile does not end the watch. A pair that was tried changes nothing, so that
    running a flow again neither undoes a promotion nor restarts an experiment.

    Args:
        route: The present route; None when there is none yet.
        endpoint: Name of the endpoint.
        champion: The proposed champion, as "name/3".
        challenger: Its challenger; the champion itself counts as None.
        tried: Pairs of champion and challenger that were declared or compared here before.
        also: Further challengers; those that were tried against the present champion, or that
            stand on the route already, change nothing.

    Raises:
        ParameterError: A name or version is not allowed.
    """
    challenger = None if challenger == champion else challenger
    for model in (champion, challenger, *also):
        if model is not None:
            require_model(model)
    if route is None:
        start = Route(
            endpoint=endpoint,
            generation=1,
            champion=champion,
            challenger=None,
            experiment=None,
            previous=None,
        )
        return joined(start, [each for each in (challenger, *also) if each is not None])
    wanted = _wanted(route, champion, challenger, tried)
    others = [each for each in also if (route.champion, each) not in tried]
    if wanted == route.challenger:
        new = [each for each in others if each not in (route.champion, *models_of(route))]
        return joined(following(route), new) if new else route
    watching = () if route.watched is None else (route.watched,)
    after = with_rivals(alone(following(route)), watching)
    return joined(after, [each for each in (wanted, *others) if each is not None])


def _wanted(
    route: Route,
    champion: str,
    challenger: str | None,
    tried: Collection[tuple[str, str | None]],
) -> str | None:
    """Return who challenges the present champion after a declaration."""
    if (champion, challenger) in tried:
        return route.challenger
    if champion == route.champion:
        return challenger
    lost = champion == route.previous or (route.champion, champion) in tried
    return route.challenger if lost else champion


def challenge(route: Route, challenger: str, *, beside: bool = False) -> Route:
    """Return the route with another model in shadow.

    Args:
        route: The present route.
        challenger: The version, as "name/3".
        beside: Leave the experiments that run as they are; else they end.

    Raises:
        ParameterError: `challenger` is not of the form "name/3".
        RoutingError: It is the champion, or a challenger already.
    """
    if require_model(challenger) in (route.champion, *models_of(route)):
        role = "champion" if challenger == route.champion else "challenger"
        raise RoutingError(
            f"{challenger} is the {role} of the endpoint '{route.endpoint}' already.",
            remedy="Name another version.",
        )
    after = following(route)
    return joined(after if beside else alone(after), [challenger])


def promote(route: Route, challenger: str | None = None, *, watch: bool = False) -> Route:
    """Return the route on which a challenger answers; `previous` remembers the old champion.

    All experiments end: they compared with a champion that no longer answers.

    Args:
        route: The present route.
        challenger: Which one; the only or first one by default.
        watch: Whether the old champion goes on in shadow, as the only challenger.

    Raises:
        RoutingError: There is no such challenger.
    """
    champion = challenger_of(route, "promoted", challenger)
    after = replace(alone(following(route)), champion=champion, previous=route.champion)
    return joined(after, [route.champion]) if watch else after


def withdraw(route: Route, challenger: str | None = None) -> Route:
    """Return the route without a challenger; the champion goes on answering.

    Args:
        route: The present route.
        challenger: Which one; all of them by default.

    Raises:
        RoutingError: There is no such challenger.
    """
    gone = challenger_of(route, "withdrawn", challenger)
    if challenger is None:
        return alone(following(route))
    stay = [rival for rival in route.rivals if rival.model != gone]
    return with_rivals(dealt_without(following(route), gone), stay)


def split(
    route: Route,
    shares: Mapping[str, float],
    *,
    design: Design,
    unit: Sequence[str] = (),
    patience_ms: float = 50.0,
    steps: Sequence[float] = (),
    bandit: Bandit | None = None,
) -> Route:
    """Return the route on which challengers answer a share of the units.

    What was in shadow alone is another experiment when it answers: each challenger with a share
    has a new id.

    Args:
        route: The present route.
        shares: Challenger to its share; the champion has the rest.
        design: What it is for; see `Traffic`.
        unit: Columns of the entity that make a unit; none deals each decision by itself.
        patience_ms: How long a challenger's answer is waited for, in milliseconds.
        steps: The shares of a ramp; the first one must be the challenger's.
        bandit: How shares follow outcomes; only for "thompson".

    Raises:
        RoutingError: A model does not challenge here.
        ParameterError: The shares or the design are not allowed.
    """
    return split_now(
        following(route),
        shares,
        design=design,
        unit=unit,
        patience_ms=patience_ms,
        steps=steps,
        bandit=bandit,
    )


def split_now(
    route: Route,
    shares: Mapping[str, float],
    *,
    design: Design,
    unit: Sequence[str] = (),
    patience_ms: float = 50.0,
    steps: Sequence[float] = (),
    bandit: Bandit | None = None,
) -> Route:
    """Return a route that nobody has seen yet, of the same generation, with traffic dealt.

    Its arguments and errors are those of `split`.
    """
    if not shares:
        raise ParameterError(
            "No share of traffic was given.", remedy="Give one, such as flight_delay/2=0.05."
        )
    for model in shares:
        require_rival(route, model)
    salt = experiment_id(route, "+".join(sorted(shares)))
    traffic = Traffic(
        design=design,
        unit=tuple(unit),
        salt=salt,
        patience_ms=patience_ms,
        steps=tuple(steps),
        bandit=bandit,
    )
    rivals = [
        Rival(model=rival.model, experiment=experiment_id(route, rival.model))
        if rival.model in shares
        else rival
        for rival in route.rivals
    ]
    return replace(with_rivals(route, rivals), traffic=redealt(traffic, shares))


def reweigh(route: Route, shares: Mapping[str, float]) -> Route:
    """Return the route with other shares for the same experiment.

    Args:
        route: The present route.
        shares: Challenger to its share; one that is not named answers nobody from now on.

    Raises:
        RoutingError: No traffic is dealt, or a model does not challenge here.
        ParameterError: The shares are not allowed.
    """
    if route.traffic is None:
        raise RoutingError(
            f"The endpoint '{route.endpoint}' deals no traffic to challengers.",
            remedy=f"Begin with `headrace endpoint split {route.endpoint} --share NAME/3=0.05`.",
        )
    for model in shares:
        require_rival(route, model)
    dealt = redealt(route.traffic, shares)
    return replace(following(route), traffic=dealt if dealt.spans else None)


def shadow(route: Route, challenger: str | None = None) -> Route:
    """Return the route on which a challenger answers nobody, and goes on in shadow.

    Args:
        route: The present route.
        challenger: Which one; all of them by default.

    Raises:
        RoutingError: It answers nobody as it is.
    """
    shares = {} if route.traffic is None else route.traffic.shares()
    if not shares or (challenger is not None and challenger not in shares):
        who = challenger or "No challenger"
        raise RoutingError(
            f"{who} has no share of the traffic of the endpoint '{route.endpoint}'"
            f"{'' if challenger is None else ', and answers nobody'}.",
            remedy="See the shares with `headrace endpoint show`.",
        )
    if challenger is None:
        return replace(following(route), traffic=None)
    return dealt_without(following(route), challenger)


def rollback(route: Route) -> Route:
    """Return the route on which the champion before the last promotion answers again.

    Challengers go too: they were compared with the champion that is rolled back. The step is taken
    once: a second rollback has nothing to go back to and cannot bring back the model that was
    found wanting. To try that one again, challenge with it.

    Raises:
        RoutingError: No promotion is left to be undone.
    """
    if route.previous is None:
        raise RoutingError(
            f"The endpoint '{route.endpoint}' has nothing to roll back to: no promotion is left to "
            f"be undone, and {route.champion} answers.",
            remedy="Let another version challenge it, and promote that.",
        )
    return replace(alone(following(route)), champion=route.previous, previous=None)


def restate(route: Route) -> Route:
    """Return the next generation with the same models: something else of the endpoint changed."""
    return following(route)
