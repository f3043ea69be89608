"""This module lets the rule decide: the better challenger answers, the broken one goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace import Report, operator
from headrace.errors import DefinitionError
from headrace.settings import settings
from serving._judged import mark_of, remember, remembered
from serving.deploy import APPLIED_WITHIN_SECONDS
from serving.rule import Rule

if TYPE_CHECKING:
    from serving._verdict import Verdict
    from serving.endpoints import Action, Endpoints
    from serving.routing import Route


@operator(effect=True)
def promote(replayed: Report, *, endpoint: str, rule: Rule | None = None) -> Report:
    """Judge an endpoint's experiment by its rule, and act on the verdict.

    "If model 2 performs better than model 1, promote it": on mature outcomes only, day by day, and
    without harm from looking often. *hold* is a verdict like any other. An experiment that was
    decided is not judged again, and neither is one that was held and of which nothing was logged
    since. A promotion is announced as `headrace.model.promoted`, a challenger's end as
    `headrace.model.withdrawn`.

    Args:
        replayed: What `replay` reported; it says up to which moment the evidence is known.
        endpoint: Name of the endpoint.
        rule: The rule; None takes the one that the endpoint was deployed with.

    Returns:
        action ("promote", "hold", "rollback"), why (prose), champion, challenger, experiment,
        trace (everything that the verdict rests on, to judge again), changed, passed.

    Raises:
        UnknownNameError: There is no such endpoint.
        DefinitionError: There is no rule.
        OvertakenError: Somebody else changed the endpoint meanwhile.
        ServiceError: The change is recorded, but the lane does not answer with it.
    """
    from headrace.decisions.state import state_of
    from serving.endpoints import Endpoints
    from serving.hosted import decisions_folder

    endpoints = Endpoints()
    route = endpoints.route(endpoint)
    if route.experiment is None:
        return _decided_before(endpoints, endpoint)
    judged_by = _rule(rule, endpoints.spec(endpoint).rule, endpoint)
    as_of = datetime.fromisoformat(replayed.document["as_of"])
    # before the log is read: what is logged meanwhile makes another mark
    state = state_of(decisions_folder(settings(), endpoint))
    mark = mark_of(asdict(route), judged_by.document(), as_of.isoformat(), state)
    held = remembered(endpoint, mark)
    if held is not None and held["trace"] == endpoints.verdict(endpoint, route.experiment):
        return Report.of(held)
    verdict = _judged(route, judged_by, as_of)
    trace = verdict.trace()
    endpoints.record_verdict(endpoint, route.experiment, trace)
    after = route if verdict.action == "hold" else _acted(endpoints, route, verdict)
    document = {
        "passed": True,
        "changed": after is not route,
        "endpoint": endpoint,
        "action": verdict.action,
        "why": verdict.prose(),
        "champion": after.champion,
        "challenger": after.challenger,
        "experiment": route.experiment,
        "trace": trace,
        "told": verdict.prose(),
    }
    if after is route:
        remember(endpoint, mark, document)
    return Report.of(document)


def _judged(route: Route, rule: Rule, as_of: datetime) -> Verdict:
    """Return what the rule says of the experiment that runs, on all that is logged."""
    from serving.evidence import collect
    from serving.hosted import decisions_folder
    from serving.judge import judge

    evidence = collect(
        decisions_folder(settings(), route.endpoint),
        rule=rule,
        endpoint=route.endpoint,
        experiment=str(route.experiment),
        champion=route.champion,
        challenger=route.challenger,
        as_of=as_of,
    )
    return judge(rule, evidence)


def _acted(endpoints: Endpoints, route: Route, verdict: Verdict) -> Route:
    """Do what a verdict says, tell of it, and wait until the lane answers accordingly."""
    from serving.acting import act
    from serving.hosted import is_up

    action: Action = "promote" if verdict.action == "promote" else "withdraw"
    after = act(
        route.endpoint,
        action,
        generation=route.generation,
        reason=f"the rule '{verdict.rule.name}'",
        trace=verdict.trace(),
        endpoints=endpoints,
    )
    _announce_change(action, route, after)
    endpoints.wait_applied(
        route.endpoint, after.generation, timeout_seconds=APPLIED_WITHIN_SECONDS, alive=is_up
    )
    return after


def _announce_change(action: Action, before: Route, after: Route) -> None:
    from headrace.recording import announce, current_invocation
    from serving.change_events import change_event

    invocation = current_invocation()
    event = change_event(
        action, before, after, run=None if invocation is None else invocation.run_id
    )
    announce(event.name, resource=event.resource, **event.payload)


def _rule(given: Rule | None, declared: Any, endpoint: str) -> Rule:
    if given is not None:
        return given
    if declared is None:
        raise DefinitionError(
            f"The endpoint '{endpoint}' has no rule to judge by.",
            remedy="Give one here, or where the endpoint is deployed: deploy(..., rule=Rule(...)).",
        )
    return Rule(**declared)


def _decided_before(endpoints: Endpoints, endpoint: str) -> Report:
    """Report the last verdict of an endpoint at which nothing is being compared."""
    from serving._aliases import sync_aliases

    route = endpoints.route(endpoint)
    sync_aliases(route)  # if MLflow was away when it was decided
    document: dict[str, Any] = {
        "passed": True,
        "changed": False,
        "endpoint": endpoint,
        "action": "none",
        "why": f"Nothing is being compared at endpoint '{endpoint}'.",
        "champion": route.champion,
        "challenger": None,
        "experiment": None,
        "trace": None,
    }
    for change in reversed(endpoints.history(endpoint)):
        if change.trace is not None and change.before is not None:
            said = _judged_again(endpoint, change.trace)
            told = (
                f"Decided before, by '{change.action}' at {change.at:%Y-%m-%d %H:%M} UTC "
                f"({change.reason}).\n{said['why']}"
            )
            document |= said | {
                "challenger": change.before.challenger,
                "experiment": change.before.experiment,
                "trace": dict(change.trace),
                "told": told,
            }
            break
    return Report.of(document)


def _judged_again(endpoint: str, trace: Mapping[str, Any]) -> dict[str, Any]:
    """Return action and prose of a trace, which judged again says the same to the last byte."""
    mark = mark_of(trace)
    said = remembered(endpoint, mark)
    if said is None:
        from serving.judge import replay

        verdict = replay(trace)
        said = {"action": verdict.action, "why": verdict.prose()}
        remember(endpoint, mark, said)
    return said
