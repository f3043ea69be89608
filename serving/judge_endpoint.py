"""This module judges the challengers of one endpoint, by its rule and its own clock, and acts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from headrace import Report, operator
from headrace.calls import Finding, PlannedCall
from headrace.settings import settings
from serving.served_features import naive_times


def _check(call: PlannedCall) -> list[Finding]:
    return [
        Finding(problem=error.problem, remedy=error.remedy, rule="time")
        for error in naive_times(call.parameters, ("as_of",))
    ]


@operator(effect=True, check=_check, named_by="endpoint", cpu=0.5)
def judge_endpoint(
    *,
    endpoint: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")],
    as_of: datetime | None = None,
) -> Report:
    """Judge promotion, ramp and watch of an endpoint, and do what its rule says.

    Args:
        endpoint: Name of the endpoint.
        as_of: The moment, aware, whose knowledge is used. None is now; at an endpoint whose
            requests say when they are decided, the last moment of which its log knows anything.

    Returns:
        As of `promote`; action is "none" where there is no rule, or nothing is compared.

    Raises:
        UnknownNameError: There is no such endpoint.
        OvertakenError: Somebody else changed the endpoint meanwhile.
        AliasesBehindError: A change is recorded, but the model registry could not be told.
        ServiceError: A change is recorded, but the lane does not answer with it.
    """
    from serving.endpoints import Endpoints
    from serving.hosted import decisions_folder
    from serving.promote import report_after
    from serving.rollout.judging import judge_all
    from serving.rollout.log_time import moment_of
    from serving.rollout.settling import settle

    endpoints = Endpoints()
    route, spec = endpoints.route(endpoint), endpoints.spec(endpoint)
    if spec.rule is None or not route.rivals:
        settle(endpoints, endpoint)
        return _nothing(
            endpoint,
            route.champion,
            f"The endpoint '{endpoint}' has no rule; people decide there."
            if spec.rule is None
            else f"Nothing is being compared at endpoint '{endpoint}'.",
        )
    moment = as_of or moment_of(decisions_folder(settings(), endpoint), spec.clock)
    judged = judge_all(endpoints, endpoint, as_of=moment)
    if not judged:  # somebody else was faster
        said = f"Nothing is being compared at endpoint '{endpoint}' any more."
        return _nothing(endpoint, endpoints.route(endpoint).champion, said)
    return Report.of(report_after(endpoints, route, judged))


def _nothing(endpoint: str, champion: str, why: str) -> Report:
    document: dict[str, Any] = {
        "passed": True,
        "changed": False,
        "endpoint": endpoint,
        "action": "none",
        "did": None,
        "why": why,
        "champion": champion,
        "challenger": None,
        "experiment": None,
        "trace": None,
        "waits_for_approval": [],
        "rulings": [],
        "told": why,
    }
    return Report.of(document)
