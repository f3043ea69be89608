"""This module changes who answers at an endpoint: the database first, then the registry's aliases.

People at the command line and the rule in a flow act through the same function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.errors import ServiceError, UnknownNameError
from headrace.settings import settings
from serving._aliases import sync_aliases
from serving._endpoint_spec import plain
from serving.endpoints import Action, Endpoints, OvertakenError
from serving.routing import Route


class AliasesBehindError(ServiceError):
    """This endpoint was changed, but the aliases in the model registry do not say so yet.

    Args:
        route: The route since; it is recorded, and the serving host applies it.
    """

    def __init__(self, problem: str, *, remedy: str, route: Route) -> None:
        super().__init__(problem, remedy=remedy)
        self.route = route


def act(
    name: str,
    action: Action,
    *,
    generation: int | None,
    reason: str,
    trace: Mapping[str, Any] | None = None,
    challenger: str | None = None,
    endpoints: Endpoints | None = None,
    **options: Any,
) -> Route:
    """Change an endpoint and let the aliases in the model registry follow.

    With a generation it is idempotent: when the same actor did the same from that generation for
    the same reason, a repeat changes nothing and sets the aliases again, which repairs a crash
    between the two.

    Args:
        name: The endpoint.
        action: What to do.
        generation: The generation that was looked at; None changes whichever there is.
        reason: Why, in words.
        trace: What it rests on, as JSON-like data.
        challenger: Which challenger, as "name/3"; see `Endpoints.change`.
        options: What the action takes beside, such as `shares`; likewise.
        endpoints: Where endpoints are recorded; the shared database by default.

    Returns:
        The route since.

    Raises:
        UnknownNameError: There is no such endpoint.
        OvertakenError: Somebody else changed it meanwhile.
        RoutingError: The route does not allow it.
        AliasesBehindError: It is changed, but the registry could not be told.
    """
    endpoints = endpoints or Endpoints()
    try:
        route = endpoints.change(
            name,
            action,
            generation=generation,
            reason=reason,
            trace=trace,
            challenger=challenger,
            **options,
        )
    except OvertakenError:
        asked = (action, settings().actor, reason, None if trace is None else plain("trace", trace))
        last = endpoints.history(name)[-1]
        repeated = generation is not None and last.generation == generation + 1
        compared = [rival.model for rival in last.after.rivals] + [last.after.champion]
        same_challenger = action != "challenge" or challenger in compared
        if not (repeated and same_challenger):
            raise
        if (last.action, last.actor, last.reason, last.trace) != asked:
            raise
        route = last.after
    try:
        sync_aliases(route)
    except (ServiceError, UnknownNameError) as error:
        raise AliasesBehindError(
            f"The endpoint '{name}' is at generation {route.generation}, but the aliases in the "
            f"model registry do not say so yet: {error.problem}",
            remedy=error.remedy,
            route=route,
        ) from error
    return route
