"""This module says as an event that an endpoint was changed, so that flows can start by it."""

from __future__ import annotations

from headrace.recording import Event
from serving.endpoints import Action
from serving.routing import Route

_DONE = {"promote": "promoted", "rollback": "rolled_back", "withdraw": "withdrawn"}


def change_event(action: Action, before: Route, after: Route, *, run: str | None = None) -> Event:
    """Return the event of a change at an endpoint.

    Its name is `headrace.model.promoted` or `.rolled_back`, where another model answers now, or
    `.withdrawn`, where a challenger is gone; its resource is `headrace.model.<endpoint>`.

    Args:
        action: What was done: "promote", "rollback" or "withdraw".
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
            "challenger": before.challenger,
            "generation": after.generation,
            "run": run,
        },
    )
