"""This module says whose answers are watched every second, and under which name they are counted.

Watched is every challenger, and the champion for as long as there is one to go back to.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from serving.lane.table import Guarded
from serving.rollout._course import is_watch
from serving.rollout.standing import state_of
from serving.rollout.state import RolloutState
from serving.rule import Rule
from serving.rule_guardrails import ErrorRate, Latency

if TYPE_CHECKING:
    from serving._endpoint_records import Change
    from serving._endpoint_spec import EndpointSpec
    from serving.endpoints import Endpoints
    from serving.route import Route

_LETTERS = 12
_log = logging.getLogger("headrace.serving")


@dataclass(frozen=True, kw_only=True)
class Ward:
    """This is one model that is watched every second.

    Args:
        guard: The model, and under which name its answers are counted.
        rule: By which it is judged.
        state: Where it stands; in a watch the old champion is the challenger.
    """

    guard: Guarded
    rule: Rule
    state: RolloutState


def live_guardrails(rule: Rule) -> tuple[ErrorRate | Latency, ...]:
    """Return the guardrails of a rule that need no outcome, in its order."""
    return tuple(each for each in rule.guardrails if isinstance(each, ErrorRate | Latency))


def rule_in(spec: EndpointSpec) -> Rule | None:
    """Return the rule of a spec; None without one, or where it is of another version."""
    if spec.rule is None:
        return None
    try:
        return Rule(**spec.rule)
    except HeadraceError as error:
        _log.error("A rule cannot be read, and guards nothing: %s", error)
        return None


def guards_of(route: Route, rule: Rule | None, history: Sequence[Change]) -> tuple[Guarded, ...]:
    """Return whose answers are counted at a route; nobody's without live guardrails.

    Args:
        route: The route.
        rule: The endpoint's.
        history: Its changes, oldest first.
    """
    return tuple(guard for guard, _ in _guarded(route, rule, history))


def wards_of(endpoints: Endpoints, name: str) -> list[Ward]:
    """Return who is watched at an endpoint as it is now.

    Args:
        endpoints: Where it is recorded.
        name: The endpoint.

    Raises:
        UnknownNameError: There is no such endpoint.
    """
    route, rule = endpoints.route(name), rule_in(endpoints.spec(name))
    if rule is None or not live_guardrails(rule):
        return []
    history = [c for c in endpoints.history(name) if c.generation <= route.generation]
    wards = []
    for guard, rival in _guarded(route, rule, history):
        if rival is None:
            state = _reign(route, guard.experiment, history)
        else:
            state = state_of(endpoints, route, rival, rule=rule)
        wards.append(Ward(guard=guard, rule=rule, state=state))
    return wards


def _guarded(
    route: Route, rule: Rule | None, history: Sequence[Change]
) -> list[tuple[Guarded, str | None]]:
    """Return who is guarded, each with its rival; None for a champion that nobody watches."""
    if rule is None or not live_guardrails(rule):
        return []
    limits = {each.max_ms for each in live_guardrails(rule) if isinstance(each, Latency)}
    limits_ms = tuple(sorted(limits))
    found: list[tuple[Guarded, str | None]] = []
    is_watched = False
    for rival in route.rivals:
        watches = is_watch(history, rival.model)
        is_watched |= watches
        model = route.champion if watches else rival.model
        guard = Guarded(model=model, experiment=rival.experiment, limits_ms=limits_ms)
        found.append((guard, rival.model))
    if route.previous is not None and not is_watched:
        reign = _reign_id(route, rule, history)
        guard = Guarded(model=route.champion, experiment=reign, limits_ms=limits_ms)
        found.append((guard, None))
    return found


def _crowned(route: Route, history: Sequence[Change]) -> Change:
    """Return the change with which the champion began to answer."""
    for change in reversed(history):
        if change.before is None or change.before.champion != route.champion:
            return change
    return history[0]


def _reign_id(route: Route, rule: Rule, history: Sequence[Change]) -> str:
    began = _crowned(route, history).generation
    named = json.dumps(["reign", route.endpoint, route.champion, began, rule.hash])
    return hashlib.sha256(named.encode()).hexdigest()[:_LETTERS]


def _reign(route: Route, experiment: str, history: Sequence[Change]) -> RolloutState:
    """Return the state of a promoted champion that is in no comparison with the old one."""
    began = _crowned(route, history).at
    return RolloutState(
        endpoint=route.endpoint,
        generation=route.generation,
        champion=route.champion,
        challenger=str(route.previous),
        experiment=experiment,
        stage="watch",
        share=0.0,
        design=None,
        began=began,
        since=began,
        held=route.held,
    )
