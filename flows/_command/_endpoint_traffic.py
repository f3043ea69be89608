"""This module is the part of `headrace endpoint` that says who challenges, and who answers whom."""

from __future__ import annotations

from typing import Annotated

import typer

from flows._command import _screen
from flows._command._endpoint_acting import act

Name = Annotated[str, typer.Argument(help="The endpoint, such as flight_delay.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")]
Version = Annotated[str, typer.Argument(help="The version, such as flight_delay/2.")]
AnyVersion = Annotated[str | None, typer.Argument(help="Which challenger; all of them by default.")]
Shares = Annotated[
    list[str],
    typer.Option("--share", help="Challenger and its share, such as flight_delay/2=0.05."),
]
_BY_HAND = "asked for at the command line"


def challenge(
    name: Name,
    version: Version,
    *,
    beside: Annotated[
        bool, typer.Option("--beside", help="Leave the challengers there are as they are.")
    ] = False,
    reason: Reason = None,
) -> None:
    """Let a version challenge the champion, in its shadow; the one before it goes.

    Example: headrace endpoint challenge flight_delay flight_delay/4 --beside
    """
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    route = endpoints.route(name)
    act(endpoints, route, "challenge", reason or _BY_HAND, challenger=version, beside=beside)


def split(
    name: Name,
    *,
    share: Shares,
    design: Annotated[str, typer.Option("--design", help="ab, canary, ramp or thompson.")] = "ab",
    unit: Annotated[
        list[str] | None,
        typer.Option("--unit", help="Column of the entity whose values always meet one model."),
    ] = None,
    patience_ms: Annotated[
        float, typer.Option("--patience-ms", help="How long a challenger's answer is waited for.")
    ] = 50.0,
    step: Annotated[
        list[float] | None, typer.Option("--step", help="A share of a ramp; give several.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Begin to deal traffic: challengers answer a share of the requests, as a new experiment.

    Example: headrace endpoint split flight_delay --share flight_delay/2=0.05 --unit tail
    """
    from serving.endpoints import Endpoints
    from serving.traffic import Bandit

    endpoints = Endpoints()
    act(
        endpoints,
        endpoints.route(name),
        "split",
        reason or _BY_HAND,
        shares=_shares(share),
        design=design,
        unit=tuple(unit or ()),
        patience_ms=patience_ms,
        steps=tuple(step or ()),
        bandit=Bandit() if design == "thompson" else None,
    )


def share_of(
    name: Name,
    shares: Annotated[
        list[str], typer.Argument(help="Challenger and its share, such as flight_delay/2=0.1.")
    ],
    *,
    reason: Reason = None,
) -> None:
    """Change the shares of the experiment that runs; who had a challenger keeps it as it grows.

    Example: headrace endpoint share flight_delay flight_delay/2=0.2
    """
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    route = endpoints.route(name)
    now = {} if route.traffic is None else route.traffic.shares()
    wanted = now | _shares(shares)
    act(endpoints, route, "reweigh", reason or _BY_HAND, shares=wanted)


def shadow(name: Name, version: AnyVersion = None, *, reason: Reason = None) -> None:
    """Let a challenger answer nobody from now on; it goes on in shadow.

    Example: headrace endpoint shadow flight_delay
    """
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    act(endpoints, endpoints.route(name), "shadow", reason or _BY_HAND, challenger=version)


def withdraw(name: Name, version: AnyVersion = None, *, reason: Reason = None) -> None:
    """End the comparison with a challenger; the champion goes on answering.

    Example: headrace endpoint withdraw flight_delay flight_delay/2 --reason "bad data in May"
    """
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    act(endpoints, endpoints.route(name), "withdraw", reason or _BY_HAND, challenger=version)


def redeploy(name: Name, *, reason: Reason = None) -> None:
    """Replace the processes of an endpoint by new ones, with the code that is there now.

    Example: headrace endpoint redeploy flight_delay
    """
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    act(endpoints, endpoints.route(name), "redeploy", reason or _BY_HAND)


def history(
    name: Name,
    *,
    last: Annotated[int, typer.Option("--last", min=1, help="How many of the newest.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show who changed what at an endpoint, when and why, the newest first.

    Example: headrace endpoint history flight_delay --last 5
    """
    from flows._command import _endpoint_text as told
    from serving.endpoints import Endpoints

    changes = Endpoints().history(name, last=last)
    if as_json:
        _screen.write_json([told.change_json(change) for change in reversed(changes)])
    else:
        told.write_history(changes)


def register(app: typer.Typer) -> None:
    """Add these commands to `headrace endpoint`."""
    for command in (challenge, split, shadow, withdraw, redeploy, history):
        app.command()(command)
    app.command("share")(share_of)


def _shares(given: list[str]) -> dict[str, float]:
    """Return the shares that were given as NAME/3=0.05.

    Raises:
        ParameterError: One is of another form.
    """
    from headrace.errors import ParameterError

    found = {}
    for each in given:
        model, sign, share = each.rpartition("=")
        try:
            found[model] = float(share)
        except ValueError:
            sign = ""
        if not sign or not model:
            raise ParameterError(
                f"{each!r} is not a challenger and its share.",
                remedy="Write it as in flight_delay/2=0.05, which is 5 % of the requests.",
            )
    return found
