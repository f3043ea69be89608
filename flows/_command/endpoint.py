"""This module is `headrace endpoint`: what answers, why, and changing it."""

from __future__ import annotations

from typing import Annotated

import typer

from flows._command import _endpoint_ruling, _endpoint_traffic, _screen
from flows._command._endpoint_acting import act

_HELP = """See and change what endpoints answer with.

Example: headrace endpoint show flight_delay
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)
_endpoint_traffic.register(app)
_endpoint_ruling.register(app)

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
    """Let the challenger answer, if the newest verdict on it says so and nobody holds it.

    Example: headrace endpoint promote flight_delay
    """
    from headrace.errors import ParameterError
    from serving import routing
    from serving.endpoints import Endpoints
    from serving.rollout.standing import rule_of

    if force and not reason:
        raise ParameterError(
            "--force was given without a reason.",
            remedy='Say why, for those who come later: --force --reason "…".',
        )
    endpoints = Endpoints()
    route = endpoints.route(name)
    challenger = routing.promote(route, version).champion  # refuses where there is none
    _endpoint_ruling.refuse_old_champion(endpoints, route, challenger)
    trace = endpoints.verdict(name, str(route.experiment_of(challenger)))
    if force:
        why = f"forced: {reason}"
    else:
        rule = _endpoint_ruling.ruling_for_promotion(endpoints, route, challenger, trace)
        why = reason or f"rule '{rule}' says promote"
    declared = rule_of(endpoints, name)
    watch = declared is not None and declared.watch is not None
    act(endpoints, route, "promote", why, trace=trace, challenger=challenger, watch=watch)


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
