"""This module says what an action makes of a route."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from headrace.errors import ParameterError, did_you_mean
from serving import routing, routing_stages
from serving._endpoint_records import Action
from serving.routing import Route


def new_rivals(before: Route | None, after: Route) -> list[str]:
    """Return the challengers whose experiments begin with a route."""
    known = {rival.experiment for rival in before.rivals} if before is not None else set()
    return [rival.model for rival in after.rivals if rival.experiment not in known]


def with_new_rule(before: Route, after: Route) -> Route:
    """Return a route on which experiments that ran by another rule begin anew, as they stand."""
    running = {rival.experiment for rival in before.rivals}
    stay = [rival.model for rival in after.rivals if rival.experiment in running]
    return routing_stages.begun_anew(after, stay)


def after_action(
    action: Action, before: Route, challenger: str | None, options: Mapping[str, Any]
) -> Route:
    """Return the route after an action; see `Endpoints.change`.

    Raises:
        ParameterError: There is no such action, or its challenger is not as it should be.
        RoutingError: The route does not allow it.
    """
    plain_steps: dict[str, Callable[..., Route]] = {
        "rollback": routing.rollback,
        "redeploy": routing.restate,
        "split": routing.split,
        "reweigh": routing.reweigh,
        "hold": routing_stages.hold,
        "release": routing_stages.release,
        "confirm": routing_stages.confirm,
    }
    named_steps: dict[str, Callable[..., Route]] = {
        "promote": routing.promote,
        "withdraw": routing.withdraw,
        "shadow": routing.shadow,
        "challenge": routing.challenge,
        "ramp": routing_stages.ramp,
        "restart": routing_stages.restart,
    }
    if action not in plain_steps | named_steps:
        raise ParameterError(
            f"An endpoint cannot be changed by '{action}'."
            f"{did_you_mean(action, plain_steps | named_steps)}",
            remedy="Use "
            + ", ".join(sorted(f"'{each}'" for each in plain_steps | named_steps))
            + ".",
        )
    if (action in ("challenge", "ramp") and challenger is None) or (
        challenger is not None and action in plain_steps
    ):
        raise ParameterError(
            f"The action '{action}' was given the challenger {challenger}.",
            remedy="Name one for 'challenge' and 'ramp', one of several for 'promote', 'withdraw', "
            "'restart' and 'shadow', and none for any other action.",
        )
    if action in plain_steps:
        return plain_steps[action](before, **options)
    return named_steps[action](before, challenger, **options)
