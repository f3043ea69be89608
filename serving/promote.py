"""This module lets the rule decide: the better challenger answers, the broken one goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace import Report, operator
from headrace.content import document_digest
from headrace.settings import settings
from serving._endpoint_spec import plain
from serving._judged import mark_of, remember, remembered
from serving.deploy import APPLIED_WITHIN_SECONDS
from serving.rule import Rule

if TYPE_CHECKING:
    from serving.endpoints import Endpoints
    from serving.rollout.judging import Judged
    from serving.routing import Route

_REMEMBERED = 4
_VERDICTS = ("headrace verdict ", "headrace ruling ")


@operator(effect=True)
def promote(replayed: Report, *, endpoint: str, rule: Rule | None = None) -> Report:
    """Judge an endpoint's challengers by its rule, and act on what it says.

    "If model 2 performs better than model 1, promote it": on mature outcomes only, block by block,
    and without harm from looking often. *hold* is a ruling like any other. A challenger goes from
    shadow through the steps of the rule's ramp to champion, or back; what was promoted is watched
    if the rule says so. An experiment that was decided is not judged again, and neither is one that
    was held and of which nothing was logged or said since. What is done is announced as
    `headrace.model.promoted`, `.ramped`, `.confirmed`, `.withdrawn`, `.restarted` or
    `.rolled_back`.

    Args:
        replayed: What `replay` reported; it says up to which moment the evidence is known.
        endpoint: Name of the endpoint.
        rule: The rule; None takes the one that the endpoint was deployed with. Another one than
            that of earlier verdicts begins the experiment anew.

    Returns:
        action ("promote", "ramp", "hold", "invalidate", "rollback", "restart"), did (what was done
        to the route), why (prose), champion, challenger, experiment, trace (everything that the
        ruling rests on, to judge again), changed, passed; rulings (one for each challenger) and
        waits_for_approval (challengers for which nothing else is missing).

    Raises:
        UnknownNameError: There is no such endpoint.
        DefinitionError: There is no rule.
        OvertakenError: Somebody else changed the endpoint meanwhile.
        AliasesBehindError: The change is recorded, but the model registry could not be told.
        ServiceError: The change is recorded, but the lane does not answer with it.
    """
    from serving.endpoints import Endpoints
    from serving.rollout.acts import required_rule
    from serving.rollout.judging import judge_all

    endpoints = Endpoints()
    route = endpoints.route(endpoint)
    if route.experiment is None:
        return _decided_before(endpoints, endpoint)
    judged_by = required_rule(endpoints, endpoint, rule)
    as_of = datetime.fromisoformat(replayed.document["as_of"])
    # before the log is read: what is logged meanwhile makes another mark
    mark = _mark(endpoints, route, judged_by, as_of)
    held = remembered(endpoint, mark)
    if held is not None and all(map(set.__contains__, _traces(endpoints, route), held["traces"])):
        return Report.of(held["document"])
    judged = judge_all(endpoints, endpoint, as_of=as_of, rule=judged_by)
    document = report_after(endpoints, route, judged)
    if not document["changed"]:
        traces = [document_digest(_trace_of(judged, rival.experiment)) for rival in route.rivals]
        remember(endpoint, mark, {"document": document, "traces": traces})
    return Report.of(document)


def report_after(endpoints: Endpoints, before: Route, judged: Sequence[Judged]) -> dict[str, Any]:
    """Return what is reported of a look, once requests are answered accordingly.

    Args:
        endpoints: Where the endpoint is recorded.
        before: The route that was looked at.
        judged: What became of its challengers.

    Raises:
        HeadraceError: Something could not be done, or not told; the first such error.
        ServiceError: The lane does not answer with what changed.
    """
    from serving.hosted import is_up
    from serving.rollout._report import document_of

    for each in judged:
        if each.error is not None:
            raise each.error
    after = endpoints.route(before.endpoint)
    if after.generation != before.generation:
        endpoints.wait_applied(
            before.endpoint,
            after.generation,
            timeout_seconds=APPLIED_WITHIN_SECONDS,
            alive=is_up,
        )
    return document_of(judged, before, after)


def _mark(endpoints: Endpoints, route: Route, rule: Rule, as_of: datetime) -> str:
    """Return what names the look: everything that its rulings rest on."""
    from headrace.decisions.state import state_of as state_of_log
    from serving.hosted import decisions_folder
    from serving.rollout.live_counts import counts_of
    from serving.rollout.standing import state_of

    log = state_of_log(decisions_folder(settings(), route.endpoint))
    states = [state_of(endpoints, route, rival.model, rule=rule) for rival in route.rivals]
    counted = [
        counts_of(endpoints.database, route.endpoint, rival.experiment, model)
        for rival in route.rivals
        for model in (rival.model, route.champion)
    ]
    return mark_of(
        asdict(route),
        rule.document(),
        as_of.isoformat(),
        log,
        [state.to_json() for state in states],
        [None if counts is None else dict(counts) for counts in counted],
    )


def _traces(endpoints: Endpoints, route: Route) -> list[set[str]]:
    """Return the digests of the newest verdicts on each challenger: one that is gone is none.

    More than the newest, because others look too, such as the flow `rollout` with its own clock.
    """
    return [
        {
            document_digest(dict(each.trace))
            for each in endpoints.judgements(route.endpoint, rival.experiment, last=_REMEMBERED)
        }
        for rival in route.rivals
    ]


def _trace_of(judged: Sequence[Judged], experiment: str) -> dict[str, Any]:
    rulings = [each.ruling for each in judged if each.experiment == experiment]
    return {} if not rulings or rulings[0] is None else plain("trace", rulings[0].trace())


def _decided_before(endpoints: Endpoints, endpoint: str) -> Report:
    """Report the last verdict of an endpoint at which nothing is being compared."""
    from serving._aliases import sync_aliases
    from serving.rollout.settling import settle

    settle(endpoints, endpoint)  # if whoever decided it did not come to tell
    route = endpoints.route(endpoint)
    sync_aliases(route)  # if MLflow was away when it was decided
    document: dict[str, Any] = {
        "passed": True,
        "changed": False,
        "endpoint": endpoint,
        "action": "none",
        "did": None,
        "why": f"Nothing is being compared at endpoint '{endpoint}'.",
        "champion": route.champion,
        "challenger": None,
        "experiment": None,
        "trace": None,
        "waits_for_approval": [],
        "rulings": [],
    }
    for change in reversed(endpoints.history(endpoint)):
        if change.trace is None or change.before is None:
            continue
        if str(change.trace.get("format", "")).startswith(_VERDICTS):  # a bandit's trace is none
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
        from serving.rollout.assess import replay

        verdict = replay(trace)
        said = {"action": verdict.action, "why": verdict.prose()}
        remember(endpoint, mark, said)
    return said
