"""This module is `headrace endpoint`: what answers, why, and changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _screen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.endpoints import Action, Endpoints
    from serving.judge import Verdict
    from serving.routing import Route

_APPLIED_WITHIN_SECONDS = 60.0

_HELP = """See and change what endpoints answer with.

Example: headrace endpoint show flight_delay
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

Name = Annotated[str, typer.Argument(help="The endpoint, such as flight_delay.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("list")
def list_endpoints(*, as_json: AsJson = False) -> None:
    """List the endpoints: which model answers, which one challenges, and where.

    Example: headrace endpoint list
    """
    from flows._command import _endpoint_text as told
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    found = [told.Shown.of(endpoints, name) for name in endpoints.names()]
    if as_json:
        _screen.write_json([shown.summary() for shown in found])
    elif not found:
        _screen.write("There is no endpoint yet; a flow that serves a model makes one.")
    else:
        told.write_list(found)


@app.command("show")
def show(name: Name, *, as_json: AsJson = False) -> None:
    """Show an endpoint: its models, where it answers, the last verdict and its history.

    Example: headrace endpoint show flight_delay
    """
    from flows._command import _endpoint_text as told
    from serving.endpoints import Endpoints

    shown = told.Shown.of(Endpoints(), name)
    if as_json:
        _screen.write_json(shown.to_json())
    else:
        told.write_endpoint(shown)


@app.command("promote")
def promote(
    name: Name,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Promote without the rule's word; needs --reason.")
    ] = False,
    reason: Reason = None,
) -> None:
    """Let the challenger answer, if the newest verdict on it says so.

    Example: headrace endpoint promote flight_delay
    """
    from headrace.errors import ParameterError
    from serving import routing
    from serving.endpoints import Endpoints

    if force and not reason:
        raise ParameterError(
            "--force was given without a reason.",
            remedy='Say why, for those who come later: --force --reason "…".',
        )
    endpoints = Endpoints()
    route = endpoints.route(name)
    routing.promote(route)  # refuses where there is nothing to promote
    trace = endpoints.verdict(name, str(route.experiment))
    if force:
        _act(endpoints, route, "promote", f"forced: {reason}", trace)
        return
    verdict = _verdict_for_promotion(endpoints, route, trace)
    why = reason or f"rule '{verdict.rule.name}' says promote"
    _act(endpoints, route, "promote", why, trace)


@app.command("rollback")
def rollback(name: Name, *, reason: Reason = None) -> None:
    """Let the previous champion answer again; before any promotion, withdraw the challenger.

    Example: headrace endpoint rollback flight_delay --reason "complaints since noon"
    """
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    route = endpoints.route(name)
    withdraws = route.previous is None and route.challenger is not None
    why = reason or "asked for at the command line"
    _act(endpoints, route, "withdraw" if withdraws else "rollback", why, None)


def _act(
    endpoints: Endpoints,
    looked_at: Route,
    action: Action,
    reason: str,
    trace: Mapping[str, Any] | None,
) -> None:
    """Change an endpoint, and wait until requests are answered accordingly."""
    import time

    from serving.acting import AliasesBehindError, act
    from serving.hosted import is_up

    name, began, warning = looked_at.endpoint, time.monotonic(), None
    try:
        route = act(
            name,
            action,
            generation=looked_at.generation,
            reason=reason,
            trace=trace,
            endpoints=endpoints,
        )
    except AliasesBehindError as error:  # requests are answered all the same
        route, warning = error.route, error
    done = {"promote": "promoted", "withdraw": "withdrawn", "rollback": "rolled back"}[action]
    of = looked_at.champion if action == "rollback" else looked_at.challenger
    _screen.write(f"{of} is {done}: {route.champion} answers at '{name}'.")
    if warning is not None:
        typer.echo(f"Warning: {warning}", err=True)
    _announce(action, looked_at, route)
    if not is_up():
        _screen.write("Nothing is served now; the change is recorded, for the next `headrace up`.")
        return
    lane = endpoints.wait_applied(
        name, route.generation, timeout_seconds=_APPLIED_WITHIN_SECONDS, alive=is_up
    )
    _screen.write(f"Applied at {lane.url} after {time.monotonic() - began:.2f} s.")


def _announce(action: Action, before: Route, after: Route) -> None:
    """Start the flows that wait for such a change; it stands, whoever hears of it."""
    from flows._events import emit_now
    from headrace.errors import ServiceError
    from serving.change_events import change_event

    event = change_event(action, before, after)
    try:
        emit_now(event.name, resource=event.resource, payload=event.payload)
    except ServiceError as error:
        typer.echo(f"Warning: {error}", err=True)


def _verdict_for_promotion(
    endpoints: Endpoints, route: Route, trace: Mapping[str, Any] | None
) -> Verdict:
    """Return the verdict that promotes the challenger, judged again from its trace."""
    from textwrap import indent

    from serving.judge import replay
    from serving.routing import RoutingError
    from serving.rule import Rule

    force = f'`headrace endpoint promote {route.endpoint} --force --reason "…"`'
    if trace is None:
        raise RoutingError(
            f"No verdict on {route.challenger} at the endpoint '{route.endpoint}' is recorded.",
            remedy=f"Run the flow that judges it, or promote it without one: {force}.",
        )
    verdict = replay(trace)
    rule = endpoints.spec(route.endpoint).rule
    if rule is not None and Rule(**rule).hash != verdict.rule.hash:
        raise RoutingError(
            f"The newest verdict on {route.challenger} at the endpoint '{route.endpoint}' is by "
            f"the rule '{verdict.rule.name}', which has changed since or is not the endpoint's.",
            remedy=f"Run the flow that judges it again, or promote it without: {force}.",
        )
    if verdict.action != "promote":
        raise RoutingError(
            f"The newest verdict does not promote {route.challenger} at the endpoint "
            f"'{route.endpoint}'.\n{indent(verdict.prose(), '  ')}",
            remedy=f"Wait for a verdict that does, or promote it all the same: {force}.",
        )
    return verdict
