"""This module says as an event that an endpoint was changed, so that flows can start by it."""

from __future__ import annotations

from headrace.recording import Event
from serving.endpoints import Action
from serving.routing import Route

_DONE = {
    "promote": "promoted",
    "rollback": "rolled_back",
    "withdraw": "withdrawn",
    "challenge": "challenged",
    "split": "split",
    "reweigh": "reweighed",
    "shadow": "shadowed",
    "redeploy": "redeployed",
    "ramp": "ramped",
    "restart": "restarted",
    "hold": "held",
    "release": "released",
    "confirm": "confirmed",
}


def change_event(action: Action, before: Route, after: Route, *, run: str | None = None) -> Event:
    """Return the event of a change at an endpoint.

    Its name is `headrace.model.promoted` or `.rolled_back`, where another model answers now,
    `.withdrawn`, where a challenger is gone, `.challenged`, `.split`, `.reweighed` or `.shadowed`,
    `.ramped` or `.restarted`, where what challengers do is another thing, `.confirmed`, where a
    promotion is no longer watched, `.held`, `.released` or `.redeployed`; its resource is
    `headrace.model.<endpoint>`.

    Args:
        action: What was done.
        before: The route before it.
        after: The route since.
        run: The flow run that did it; None for a person.
    """
    return Event(
        name=f"headrace.model.{_DONE[action]}",
        resource=f"headrace.model.{after.endpoint}",
        payload={
            "endpoint": after.endpoint,
            "champion": after.champion,
            "previous": before.champion,
            "challenger": before.challenger or after.challenger,
            "shares": {} if after.traffic is None else after.traffic.shares(),
            "generation": after.generation,
            "run": run,
        },
    )
