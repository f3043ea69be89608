"""This module is `headrace endpoint`: what answers, why, and changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _endpoint_traffic, _screen
from flows._command._endpoint_acting import act

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.endpoints import Endpoints
    from serving.judge import Verdict
    from serving.routing import Route

_HELP = """See and change what endpoints answer with.

Example: headrace endpoint show flight_delay
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)
_endpoint_traffic.register(app)

Name = Annotated[str, typer.Argument(help="The endpoint, such as flight_delay.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")]
Version = Annotated[
    str | None,
    typer.Argument(help="Which challenger, such as flight_delay/2; where there are several."),
]
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
    version: Version = None,
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
    challenger = routing.promote(route, version).champion  # refuses where there is none
    trace = endpoints.verdict(name, str(route.experiment_of(challenger)))
    if force:
        act(endpoints, route, "promote", f"forced: {reason}", trace=trace, challenger=challenger)
        return
    verdict = _verdict_for_promotion(endpoints, route, challenger, trace)
    why = reason or f"rule '{verdict.rule.name}' says promote"
    act(endpoints, route, "promote", why, trace=trace, challenger=challenger)


@app.command("rollback")
def rollback(name: Name, *, reason: Reason = None) -> None:
    """Let the previous champion answer again; before any promotion, withdraw challengers.

    Example: headrace endpoint rollback flight_delay --reason "complaints since noon"
    """
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    route = endpoints.route(name)
    withdraws = route.previous is None and route.challenger is not None
    why = reason or "asked for at the command line"
    act(endpoints, route, "withdraw" if withdraws else "rollback", why)


def _verdict_for_promotion(
    endpoints: Endpoints, route: Route, challenger: str, trace: Mapping[str, Any] | None
) -> Verdict:
    """Return the verdict that promotes the challenger, judged again from its trace."""
    from textwrap import indent

    from serving.judge import replay
    from serving.routing import RoutingError
    from serving.rule import Rule

    force = f'`headrace endpoint promote {route.endpoint} --force --reason "…"`'
    if trace is None:
        raise RoutingError(
            f"No verdict on {challenger} at the endpoint '{route.endpoint}' is recorded.",
            remedy=f"Run the flow that judges it, or promote it without one: {force}.",
        )
    verdict = replay(trace)
    rule = endpoints.spec(route.endpoint).rule
    if rule is not None and Rule(**rule).hash != verdict.rule.hash:
        raise RoutingError(
            f"The newest verdict on {challenger} at the endpoint '{route.endpoint}' is by "
            f"the rule '{verdict.rule.name}', which has changed since or is not the endpoint's.",
            remedy=f"Run the flow that judges it again, or promote it without: {force}.",
        )
    if verdict.action != "promote":
        raise RoutingError(
            f"The newest verdict does not promote {challenger} at the endpoint "
            f"'{route.endpoint}'.\n{indent(verdict.prose(), '  ')}",
            remedy=f"Wait for a verdict that does, or promote it all the same: {force}.",
        )
    return verdict
