"""This module is the part of `headrace endpoint` about rules: judge, approve, hold and release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _screen
from flows._command._endpoint_acting import act, tell, wait_applied

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from serving._verdict import Verdict
    from serving.endpoints import Endpoints
    from serving.rollout.judging import Judged
    from serving.rollout.ruling import Ruling
    from serving.rollout.state import RolloutState
    from serving.routing import Route

Name = Annotated[str, typer.Argument(help="The endpoint, such as flight_delay.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")]
Version = Annotated[
    str | None,
    typer.Argument(help="Which challenger, such as flight_delay/2; where there are several."),
]


def judge(
    name: Name,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look: record nothing, change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rulings as JSON.")] = False,
) -> None:
    """Judge the challengers of an endpoint by its rule now, and do what it says.

    Example: headrace endpoint judge flight_delay --dry-run
    """
    import time

    from headrace.settings import settings
    from serving.endpoints import Endpoints
    from serving.hosted import decisions_folder
    from serving.rollout.acts import look, required_rule
    from serving.rollout.judging import Judged, judge_all
    from serving.rollout.log_time import moment_of

    endpoints, began = Endpoints(), time.monotonic()
    route = endpoints.route(name)
    rule = required_rule(endpoints, name)
    as_of = moment_of(decisions_folder(settings(), name), endpoints.spec(name).clock)
    if dry_run:
        rulings = [
            look(endpoints, name, rival.model, as_of=as_of, rule=rule) for rival in route.rivals
        ]
        judged = [Judged.of(ruling) for ruling in rulings]
    else:
        judged = judge_all(endpoints, name, as_of=as_of, rule=rule, heard=tell)
    after = endpoints.route(name)
    _write_judged(after, judged, as_of, as_json=as_json)
    if after.generation != route.generation and not as_json:
        wait_applied(endpoints, after, began)


def approve(
    name: Name,
    version: Version = None,
    *,
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no.")] = False,
    reason: Reason = None,
) -> None:
    """Approve what the rule would do with a challenger; you are recorded (HEADRACE_ACTOR).

    Shows the newest ruling first. Whoever put the challenger up, or registered it, may not.

    Example: headrace endpoint approve flight_delay flight_delay/2 --reason "looked at the slices"
    """
    from textwrap import indent

    from headrace.recording import Event
    from headrace.settings import settings
    from serving.endpoints import Endpoints
    from serving.rollout.acts import required_rule
    from serving.rollout.assess import replay
    from serving.rollout.settling import alone
    from serving.rollout.standing import require_may_approve, state_of
    from serving.routing import RoutingError

    endpoints = Endpoints()
    route, rule = endpoints.route(name), required_rule(endpoints, name)
    challenger = _only(route, version)
    state = state_of(endpoints, route, challenger, rule=rule)
    trace = endpoints.verdict(name, state.experiment)
    if trace is None or trace.get("rule_hash") != rule.hash:
        raise RoutingError(
            f"No ruling on {challenger} at the endpoint '{name}' by the rule '{rule.name}' is "
            "recorded: there is nothing yet to say something to.",
            remedy=f"Let it be judged first: `headrace endpoint judge {name}`.",
        )
    _screen.write(indent(replay(trace).prose(), "  "))
    actor = settings().actor
    require_may_approve(rule, state, actor)
    with alone(name):  # whoever acts has seen it, or is done
        endpoints.consent(
            name, state.experiment, rule=rule.hash, approved=not refuse, reason=reason or ""
        )
    said = "refused" if refuse else "approved"
    _screen.write(f"{challenger} at '{name}' is {said} by {actor}.")
    payload = {"endpoint": name, "challenger": challenger, "experiment": state.experiment}
    tell(
        Event(
            name=f"headrace.model.{said}",
            resource=f"headrace.model.{name}",
            payload=payload | {"actor": actor, "reason": reason or ""},
        )
    )
    if not refuse:
        _screen.write(f"The flow `rollout` acts on it, or `headrace endpoint judge {name}` now.")


def hold(
    name: Name,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; everybody who looks sees it.")],
) -> None:
    """Let no rule promote or ramp anything; what breaks is withdrawn all the same.

    Example: headrace endpoint hold flight_delay --reason "the data of May is being corrected"
    """
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    act(endpoints, endpoints.route(name), "hold", reason, why=reason)


def release(name: Name, *, reason: Reason = None) -> None:
    """Let rules promote and ramp again at an endpoint that is held.

    Example: headrace endpoint release flight_delay --reason "the data is right again"
    """
    from serving.endpoints import Endpoints

    endpoints = Endpoints()
    act(endpoints, endpoints.route(name), "release", reason or "asked for at the command line")


def ruling_for_promotion(
    endpoints: Endpoints, route: Route, challenger: str, trace: Mapping[str, Any] | None
) -> str:
    """Return the name of the rule that promotes the challenger, judged again from its trace.

    Args:
        endpoints: Where endpoints are recorded.
        route: The route that was looked at.
        challenger: Who is to be promoted.
        trace: The newest verdict; None without one.

    Raises:
        RoutingError: No verdict promotes it, or a person holds it or has not approved it.
        DataError: Judging the trace again gives something else.
    """
    from textwrap import indent

    from serving.rollout.assess import replay
    from serving.rollout.standing import rule_of, state_of
    from serving.routing import RoutingError

    name = route.endpoint
    force = f'`headrace endpoint promote {name} --force --reason "…"`'
    if trace is None:
        raise RoutingError(
            f"No verdict on {challenger} at the endpoint '{name}' is recorded.",
            remedy=f"Run the flow that judges it, or promote it without one: {force}.",
        )
    verdict = replay(trace)
    rule = rule_of(endpoints, name)
    if rule is not None and rule.hash != verdict.rule.hash:
        raise RoutingError(
            f"The newest verdict on {challenger} at the endpoint '{name}' is by the rule "
            f"'{verdict.rule.name}', which has changed since or is not the endpoint's.",
            remedy=f"Run the flow that judges it again, or promote it without: {force}.",
        )
    if verdict.action != "promote":
        raise RoutingError(
            f"The newest verdict does not promote {challenger} at the endpoint "
            f"'{name}'.\n{indent(verdict.prose(), '  ')}",
            remedy=f"Wait for a verdict that does, or promote it all the same: {force}.",
        )
    _require_recent(endpoints, verdict, challenger, force)
    if route.held is not None:
        raise RoutingError(
            f"The endpoint '{name}' is held: {route.held}",
            remedy=f"Let it go with `headrace endpoint release {name}`, or promote it all the "
            f"same: {force}.",
        )
    state = state_of(endpoints, route, challenger, rule=verdict.rule)
    if verdict.rule.approval is not None and not (state.said and state.said.approved):
        raise RoutingError(
            f"{challenger} at the endpoint '{name}' is {_unapproved(state)}.",
            remedy=f"Let somebody else approve it: `headrace endpoint approve {name} "
            f"{challenger}`, or promote it all the same: {force}.",
        )
    return verdict.rule.name


def _require_recent(
    endpoints: Endpoints, verdict: Ruling | Verdict, challenger: str, force: str
) -> None:
    """Refuse a ruling that knows nothing of what happened since: it may be worse by now."""
    from datetime import timedelta

    from headrace.settings import settings
    from serving._verdict import Verdict
    from serving.hosted import decisions_folder
    from serving.rollout.log_time import moment_of
    from serving.routing import RoutingError

    if isinstance(verdict, Verdict):  # those of before there were rulings do not know the clock
        return
    name, most = verdict.state.endpoint, verdict.rule.max_age_hours
    now = moment_of(decisions_folder(settings(), name), endpoints.spec(name).clock)
    hours = (now - verdict.gathered.as_of) / timedelta(hours=1)
    if hours > most:
        raise RoutingError(
            f"The newest verdict on {challenger} at the endpoint '{name}' knows nothing of the "
            f"last {hours:,.0f} hours; {most:g} are allowed.",
            remedy=f"Let it be judged again: `headrace endpoint judge {name}`, or promote it all "
            f"the same: {force}.",
        )


def refuse_old_champion(endpoints: Endpoints, route: Route, challenger: str) -> None:
    """Refuse to promote the old champion of a promotion that is watched.

    Raises:
        RoutingError: It is that.
    """
    from serving.rollout.standing import state_of
    from serving.routing import RoutingError

    if state_of(endpoints, route, challenger).stage == "watch":
        name = route.endpoint
        raise RoutingError(
            f"{challenger} was the champion of the endpoint '{name}', and watches whether "
            f"{route.champion} is worse.",
            remedy=f"Go back to it with `headrace endpoint rollback {name}`, or end the watch with "
            f"`headrace endpoint withdraw {name} {challenger}`.",
        )


def register(app: typer.Typer) -> None:
    """Add these commands to `headrace endpoint`."""
    for command in (judge, approve, hold, release):
        app.command()(command)


def _unapproved(state: RolloutState) -> str:
    if state.said is None:
        return "approved by nobody who may"
    return f"refused by {state.said.actor}" + (
        f": {state.said.reason}" if state.said.reason else ""
    )


def _only(route: Route, version: str | None) -> str:
    """Return the challenger that is meant.

    Raises:
        RoutingError: There is none, it is no challenger, or there are several.
    """
    from serving._route_steps import challenger_of, models_of
    from serving.routing import RoutingError

    models = models_of(route)
    if version is None and len(models) > 1:
        raise RoutingError(
            f"Several challenge {route.champion} at the endpoint '{route.endpoint}': "
            f"{', '.join(models)}.",
            remedy=f"Name one, as in `headrace endpoint approve {route.endpoint} {models[0]}`.",
        )
    return challenger_of(route, "approved", version)


def _write_judged(route: Route, judged: list[Judged], as_of: datetime, *, as_json: bool) -> None:
    if as_json:
        _screen.write_json(
            {
                "endpoint": route.endpoint,
                "as_of": as_of.isoformat(),
                "generation": route.generation,
                "champion": route.champion,
                "rulings": [
                    each.to_json() | {"trace": None if each.ruling is None else each.ruling.trace()}
                    for each in judged
                ],
            }
        )
    elif not judged:
        _screen.write(f"Nothing is being compared at endpoint '{route.endpoint}'.")
    else:
        _screen.write("\n\n".join(each.told() for each in judged))
    for each in judged:
        if each.error is not None:
            typer.echo(f"Warning: {each.error}", err=True)
