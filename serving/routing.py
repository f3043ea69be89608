"""This module decides which model answers at an endpoint: pure changes of one small value.

A route is never edited: every change makes the next one, whose generation is one higher. A new
model has to prove itself against the champion; only `promote` and `rollback` change who answers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from headrace.errors import DefinitionError, ParameterError

_ENDPOINT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MODEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}/[1-9][0-9]{0,8}")
_EXPERIMENT_LETTERS = 12


class RoutingError(DefinitionError):
    """This change cannot be made from the route as it stands."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """This is what an endpoint answers with.

    Args:
        endpoint: Its name: small letters, digits and `_`, at most 64, a letter first.
        generation: Grows by one with every change, from 1.
        champion: The model that answers, as "name/3": version 3 of a registered model.
        challenger: The version that is scored in shadow; None when nothing is compared.
        experiment: Id of the comparison; None without a challenger. Another pair, or the same one
            begun anew, has another id.
        previous: The champion before the last promotion, which a rollback goes back to.

    Raises:
        ParameterError: A name or version is not of that form, or a model challenges itself.
    """

    endpoint: str
    generation: int
    champion: str
    challenger: str | None
    experiment: str | None
    previous: str | None

    def __post_init__(self) -> None:
        require_endpoint(self.endpoint)
        for model in (self.champion, self.challenger, self.previous):
            if model is not None:
                require_model(model)
        if self.generation < 1 or self.challenger == self.champion:
            raise ParameterError(
                f"The endpoint '{self.endpoint}' cannot have the generation {self.generation}, the "
                f"champion {self.champion} and the challenger {self.challenger}.",
                remedy="Count generations from 1, and let a model challenge another one.",
            )
        if (self.challenger is None) != (self.experiment is None):
            raise ParameterError(
                f"The endpoint '{self.endpoint}' has the challenger {self.challenger} and the "
                f"experiment {self.experiment}.",
                remedy="Give both, or neither: an experiment compares a challenger.",
            )


def declare(
    route: Route | None,
    *,
    endpoint: str,
    champion: str,
    challenger: str | None,
    tried: Collection[tuple[str, str | None]],
) -> Route:
    """Return the route after a flow said what it would serve; the same one if nothing changes.

    The first champion answers. From then on a proposed champion becomes the challenger of the
    present one, unless it lost to it before. Where the proposed champion answers already, its
    challenger is set as declared. A pair that was tried changes nothing, so that running a flow
    again neither undoes a promotion nor restarts an experiment.

    Args:
        route: The present route; None when there is none yet.
        endpoint: Name of the endpoint.
        champion: The proposed champion, as "name/3".
        challenger: Its challenger; the champion itself counts as None.
        tried: Pairs of champion and challenger that were declared or compared here before.

    Raises:
        ParameterError: A name or version is not allowed.
    """
    challenger = None if challenger == champion else challenger
    if route is None:
        start = Route(
            endpoint=endpoint,
            generation=1,
            champion=champion,
            challenger=None,
            experiment=None,
            previous=None,
        )
        return start if challenger is None else _with_challenger(start, challenger)
    for model in (champion, challenger):
        if model is not None:
            require_model(model)
    if (champion, challenger) in tried:
        return route
    if champion != route.champion:
        lost = champion == route.previous or (route.champion, champion) in tried
        challenger = route.challenger if lost else champion
    if challenger == route.challenger:
        return route
    return _with_challenger(_next(route), challenger)


def challenge(route: Route, challenger: str) -> Route:
    """Return the route with another model in shadow; an experiment that runs ends.

    Raises:
        ParameterError: `challenger` is not of the form "name/3".
        RoutingError: It is the champion, or the challenger already.
    """
    if require_model(challenger) in (route.champion, route.challenger):
        role = "champion" if challenger == route.champion else "challenger"
        raise RoutingError(
            f"{challenger} is the {role} of the endpoint '{route.endpoint}' already.",
            remedy="Name another version.",
        )
    return _with_challenger(_next(route), challenger)


def promote(route: Route) -> Route:
    """Return the route on which the challenger answers; `previous` remembers the old champion.

    Raises:
        RoutingError: There is no challenger.
    """
    champion = _challenger_of(route, "promoted")
    return replace(_with_challenger(_next(route), None), champion=champion, previous=route.champion)


def withdraw(route: Route) -> Route:
    """Return the route without its challenger; the champion goes on answering.

    Raises:
        RoutingError: There is no challenger.
    """
    _challenger_of(route, "withdrawn")
    return _with_challenger(_next(route), None)


def rollback(route: Route) -> Route:
    """Return the route on which the champion before the last promotion answers again.

    A challenger in shadow goes too: it was compared with the champion that is rolled back. The
    step is taken once: a second rollback has nothing to go back to and cannot bring back the model
    that was found wanting. To try that one again, challenge with it.

    Raises:
        RoutingError: No promotion is left to be undone.
    """
    if route.previous is None:
        raise RoutingError(
            f"The endpoint '{route.endpoint}' has nothing to roll back to: no promotion is left to "
            f"be undone, and {route.champion} answers.",
            remedy="Let another version challenge it, and promote that.",
        )
    return replace(_with_challenger(_next(route), None), champion=route.previous, previous=None)


def restate(route: Route) -> Route:
    """Return the next generation with the same models: something else of the endpoint changed."""
    return _next(route)


def require_endpoint(name: str) -> str:
    """Return a name of an endpoint if it is allowed.

    Raises:
        ParameterError: It is not; the name is part of addresses, folders and tables.
    """
    if _ENDPOINT.fullmatch(name):
        return name
    raise ParameterError(
        f"An endpoint cannot be named {name!r}.",
        remedy="Begin with a small letter and go on with small letters, digits or '_', at most 64.",
    )


def require_model(model: str) -> str:
    """Return a reference of a model if it is of the form "name/3".

    Raises:
        ParameterError: It is not.
    """
    if _MODEL.fullmatch(model):
        return model
    raise ParameterError(
        f"{model!r} is not a version of a registered model.",
        remedy="Write the registered name and the number of the version, as in 'flight_delay/3'.",
    )


def _next(route: Route) -> Route:
    return replace(route, generation=route.generation + 1)


def _with_challenger(route: Route, challenger: str | None) -> Route:
    """Return the route with a challenger, and an experiment that begins with its generation."""
    experiment = None
    if challenger is not None:
        named = json.dumps([route.endpoint, route.champion, challenger, route.generation])
        experiment = hashlib.sha256(named.encode()).hexdigest()[:_EXPERIMENT_LETTERS]
    return replace(route, challenger=challenger, experiment=experiment)


def _challenger_of(route: Route, done: str) -> str:
    if route.challenger is None:
        raise RoutingError(
            f"The endpoint '{route.endpoint}' has no challenger that could be {done}; "
            f"{route.champion} answers.",
            remedy="Let a version challenge it first.",
        )
    return route.challenger
