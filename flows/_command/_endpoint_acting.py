"""This module changes an endpoint for somebody at the command line, and waits for its effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.recording import Event
    from serving.endpoints import Action, Endpoints
    from serving.routing import Route

_APPLIED_WITHIN_SECONDS = 60.0


def act(
    endpoints: Endpoints,
    looked_at: Route,
    action: Action,
    reason: str,
    *,
    trace: Mapping[str, Any] | None = None,
    challenger: str | None = None,
    **options: Any,
) -> None:
    """Change an endpoint, and wait until requests are answered accordingly.

    Args:
        endpoints: Where endpoints are recorded.
        looked_at: The route that was shown; if it has changed since, nothing is done.
        action: What to do.
        reason: Why, in words.
        trace: What it rests on.
        challenger: Which challenger it is about.
        options: What the action takes beside, such as `shares`.

    Raises:
        HeadraceError: It cannot be done, or was overtaken.
    """
    import time

    from serving.acting import AliasesBehindError
    from serving.acting import act as change
    from serving.change_events import change_event

    name, began, warning = looked_at.endpoint, time.monotonic(), None
    try:
        route = change(
            name,
            action,
            generation=looked_at.generation,
            reason=reason,
            trace=trace,
            challenger=challenger,
            endpoints=endpoints,
            **options,
        )
    except AliasesBehindError as error:  # requests are answered all the same
        route, warning = error.route, error
    _screen.write(_done(action, looked_at, route, challenger))
    if warning is not None:
        typer.echo(f"Warning: {warning}", err=True)
    tell(change_event(action, looked_at, route))
    wait_applied(endpoints, route, began)


def wait_applied(endpoints: Endpoints, route: Route, began: float) -> None:
    """Wait until requests are answered as a route says, and say so.

    Args:
        endpoints: Where endpoints are recorded.
        route: The route since the change.
        began: When the change was begun, by the monotonic clock, in seconds.

    Raises:
        ServiceError: The lane does not answer with it.
    """
    import time

    from serving.hosted import is_up

    if not is_up():
        _screen.write("Nothing is served now; the change is recorded, for the next `headrace up`.")
        return
    lane = endpoints.wait_applied(
        route.endpoint, route.generation, timeout_seconds=_APPLIED_WITHIN_SECONDS, alive=is_up
    )
    _screen.write(f"Applied at {lane.url} after {time.monotonic() - began:.2f} s.")


def _done(action: Action, before: Route, after: Route, challenger: str | None) -> str:
    """Return what was done, as a sentence."""
    name = after.endpoint
    who = challenger or ", ".join(rival.model for rival in before.rivals)
    if action == "rollback":
        return f"{before.champion} is rolled back: {after.champion} answers at '{name}'."
    if action in ("promote", "withdraw"):
        done = "promoted" if action == "promote" else "withdrawn"
        who = after.champion if action == "promote" else who
        verb = "are" if ", " in who else "is"
        return f"{who} {verb} {done}: {after.champion} answers at '{name}'."
    if action == "challenge":
        return f"{who} challenges {after.champion} at '{name}', in shadow."
    if action == "hold":
        return f"'{name}' is held: no rule promotes or ramps anything there. {after.held}"
    if action == "release":
        return f"'{name}' is released: rules promote and ramp again."
    if action == "redeploy":
        return f"The processes of '{name}' are replaced, one after the other."
    shares = {} if after.traffic is None else after.traffic.shares()
    dealt = ", ".join(f"{model} {share:.4g}" for model, share in shares.items())
    if not shares:
        return f"{after.champion} answers all requests at '{name}'; challengers are in shadow."
    return f"Shares at '{name}': {dealt}, and {after.champion} the rest."


def tell(event: Event) -> None:
    """Start the flows that wait for an event; what happened stands, whoever hears of it."""
    from flows._events import emit_now
    from headrace.errors import ServiceError

    try:
        emit_now(event.name, resource=event.resource, payload=event.payload)
    except ServiceError as error:
        typer.echo(f"Warning: {error}", err=True)
