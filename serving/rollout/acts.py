"""This module looks at a challenger and does what the ruling says, once, whoever else does.

The ruling is recorded first, then the route changes by compare and swap on the generation that was
looked at, then the registry says so, and then an event. Any of them may be the last before the
process ends: the next one to come tells the rest; see `serving.rollout.settling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from headrace.errors import DefinitionError, ServiceError, UnknownNameError
from headrace.settings import settings
from serving._endpoint_records import Action
from serving.endpoints import Endpoints, OvertakenError
from serving.hosted import decisions_folder
from serving.rollout._course import BY_A_RULE
from serving.rollout.log_time import in_log_time
from serving.rollout.ruling import Ruling
from serving.rollout.settling import (
    Announce,
    alone,
    announce_in_run,
    recorded,
    tag_verdict,
    tell,
)
from serving.rollout.standing import rule_of, state_of
from serving.routing import Route
from serving.rule import Rule


def look(
    endpoints: Endpoints,
    name: str,
    challenger: str,
    *,
    as_of: datetime,
    rule: Rule | None = None,
) -> Ruling:
    """Return what the rule says of a challenger now; nothing is recorded or changed.

    Args:
        endpoints: Where the endpoint is recorded.
        name: The endpoint.
        challenger: One of its challengers, or the old champion that watches, as "name/3".
        as_of: The moment, aware, whose knowledge is used.
        rule: What to judge by; the endpoint's by default.

    Raises:
        UnknownNameError: There is no such endpoint.
        RoutingError: The version does not challenge there.
        DefinitionError: There is no rule.
        ParameterError: `as_of` has no zone.
    """
    from serving.rollout.assess import assess
    from serving.rollout.gathering import gather
    from serving.rollout.live_counts import counts_of

    rule = required_rule(endpoints, name, rule)
    folder = decisions_folder(settings(), name)
    state = state_of(endpoints, endpoints.route(name), challenger, rule=rule)
    if endpoints.spec(name).clock == "replayed":
        state = in_log_time(state, endpoints, folder, rule=rule, as_of=as_of)
    guarded = state.champion if state.stage == "watch" else challenger
    live = counts_of(endpoints.database, name, state.experiment, guarded)
    gathered = gather(folder, rule=rule, state=state, as_of=as_of, live=live)
    return assess(rule, gathered, state)


def required_rule(endpoints: Endpoints, name: str, given: Rule | None = None) -> Rule:
    """Return the rule that was given, or the endpoint's.

    Raises:
        UnknownNameError: There is no such endpoint.
        DefinitionError: There is no rule.
    """
    rule = given or rule_of(endpoints, name)
    if rule is None:
        raise DefinitionError(
            f"The endpoint '{name}' has no rule to judge by.",
            remedy="Give one here, or where the endpoint is deployed: deploy(..., rule=Rule(...)).",
        )
    return rule


def carry_out(
    ruling: Ruling, endpoints: Endpoints, *, heard: Announce = announce_in_run
) -> Route | None:
    """Record a ruling and do what it says, if the endpoint is still as it was looked at.

    Args:
        ruling: What `look` returned.
        endpoints: Where the endpoint is recorded.
        heard: Passes the event of the change on; by default to the flow run that is running.

    Returns:
        The route since; None for "hold", which changes nothing.

    Raises:
        OvertakenError: Somebody else changed the endpoint meanwhile; the ruling is recorded.
        RoutingError: The route does not allow it; likewise.
        AliasesBehindError: It is changed, but the registry could not be told; the next one who
            judges the endpoint tells it.
    """
    trace, state = ruling.trace(), ruling.state
    action, options = step_of(ruling)
    if action is None:
        judgement = recorded(endpoints, trace)
        with suppress(ServiceError, UnknownNameError):  # nothing changed that it would have to say
            tag_verdict(judgement)
        return None
    with alone(state.endpoint):
        judgement = recorded(endpoints, trace)
        _require_not_refused(ruling, endpoints)
        after = endpoints.change(
            state.endpoint,
            action,
            generation=state.generation,
            reason=_reason(ruling),
            trace=trace,
            **options,
        )
        change = next(
            each
            for each in reversed(endpoints.history(state.endpoint))
            if each.generation == after.generation
        )
        tell(endpoints, change, judgement, heard)
    return after


def step_of(ruling: Ruling) -> tuple[Action | None, dict[str, Any]]:
    """Return what a ruling does to the route, with its options; None where it holds."""
    rule, state = ruling.rule, ruling.state
    challenger: Mapping[str, Any] = {"challenger": state.challenger}
    is_watch = state.stage == "watch"
    if ruling.action == "promote":
        if is_watch:
            return "confirm", {}
        return "promote", {**challenger, "watch": rule.watch is not None}
    if ruling.action == "rollback":
        return ("rollback", {}) if is_watch else ("withdraw", {**challenger})
    if ruling.action == "invalidate":
        return "restart", {**challenger}
    if ruling.action == "ramp" and rule.ramp is not None and ruling.share is not None:
        dealt = {"unit": rule.ramp.unit, "patience_ms": rule.ramp.patience_ms}
        steps = {"steps": rule.ramp.steps, "share": ruling.share}
        return "ramp", {**challenger, **steps, **dealt}
    return None, {}


def _require_not_refused(ruling: Ruling, endpoints: Endpoints) -> None:
    """Refuse to advance what somebody refused since it was looked at: a word changes no route.

    Raises:
        OvertakenError: Somebody who may refused it meanwhile.
        RoutingError: It does not challenge there any more.
    """
    state, rule = ruling.state, ruling.rule
    if rule.approval is None or ruling.action not in ("promote", "ramp") or state.said is None:
        return
    route = endpoints.route(state.endpoint)
    said = state_of(endpoints, route, state.challenger, rule=rule).said
    if said is not None and not said.approved:
        raise OvertakenError(
            f"{said.actor} refused {state.challenger} at the endpoint '{state.endpoint}' at "
            f"{said.at:%Y-%m-%d %H:%M:%S} UTC, after it was looked at.",
            remedy=f"Judge it again with `headrace endpoint judge {state.endpoint}`.",
        )


def _reason(ruling: Ruling) -> str:
    said = ruling.state.said
    asked = ruling.rule.approval is not None and ruling.action in ("promote", "ramp")
    by = f", approved by {said.actor}" if asked and said is not None and said.approved else ""
    return f"{BY_A_RULE}{ruling.rule.name}'{by}"
