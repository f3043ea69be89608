"""This module lets a person's answer in a flow count as the approval that a rule asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from headrace import Report, operator
from headrace.errors import DataError
from serving.rollout.state import RolloutState


@operator(effect=True, named_by="endpoint", cpu=0.0)
def consent(
    answer: Report,
    *,
    endpoint: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")],
    challenger: str | None = None,
) -> Report:
    """Let what somebody answered to `approve` count for a challenger's promotion.

    It is what `headrace endpoint approve` does at the command line: said by who answered, about the
    experiment that runs and the rule of the endpoint. The same answer again changes nothing. Who
    was asked before the experiment began was asked about something else.

    Args:
        answer: What `approve` reported.
        endpoint: Name of the endpoint.
        challenger: Which version, as "name/3"; the first challenger by default.

    Returns:
        passed (whether it was approved), changed, endpoint, challenger, experiment, actor, told.

    Raises:
        DataError: The report is not one of `approve`, or of a question from before the experiment.
        UnknownNameError: There is no such endpoint.
        DefinitionError: The endpoint has no rule, the rule asks nobody or not this person, or they
            are an author of the challenger.
        RoutingError: Nobody challenges there, or not this version.
    """
    from serving._route_steps import challenger_of
    from serving.endpoints import Endpoints
    from serving.rollout.acts import required_rule
    from serving.rollout.settling import alone
    from serving.rollout.standing import require_may_approve, state_of

    said = _answer(answer)
    endpoints = Endpoints()
    route, rule = endpoints.route(endpoint), required_rule(endpoints, endpoint)
    model = challenger_of(route, "approved", challenger)
    state = state_of(endpoints, route, model, rule=rule)
    require_may_approve(rule, state, said["actor"])
    _require_about(said["asked_at"], state)
    known = any(
        (each.actor, each.approved, each.reason, each.rule)
        == (said["actor"], said["approved"], said["reason"], rule.hash)
        and each.at >= said["at"]
        for each in endpoints.consents(endpoint, state.experiment)
    )
    if not known:
        with alone(endpoint):  # whoever acts has seen it, or is done
            endpoints.consent(
                endpoint,
                state.experiment,
                rule=rule.hash,
                approved=said["approved"],
                reason=said["reason"],
                actor=said["actor"],
            )
    word = "approved" if said["approved"] else "refused"
    return Report.of(
        {
            "passed": said["approved"],
            "changed": not known,
            "endpoint": endpoint,
            "challenger": model,
            "experiment": state.experiment,
            "actor": said["actor"],
            "told": f"{model} at '{endpoint}' is {word} by {said['actor']}.",
        }
    )


def _require_about(asked_at: datetime, state: RolloutState) -> None:
    """Refuse an answer to a question that was asked before what it would count for began."""
    if asked_at >= state.began:
        return
    raise DataError(
        f"The question was asked at {asked_at:%Y-%m-%d %H:%M:%S} UTC, before {state.challenger} "
        f"began to challenge at the endpoint '{state.endpoint}' ({state.began:%Y-%m-%d %H:%M:%S} "
        "UTC), so its answer is not about that.",
        remedy="Ask again, or approve it with `headrace endpoint approve "
        f"{state.endpoint} {state.challenger}`.",
    )


def _answer(report: Report) -> dict[str, Any]:
    """Return who answered what, when and why."""
    document = report.document
    try:
        return {
            "approved": {"approved": True, "refused": False}[document["decision"]],
            "actor": str(document["approved_by"]),
            "asked_at": datetime.fromisoformat(document["asked_at"]).astimezone(UTC),
            "at": datetime.fromisoformat(document["decided_at"]),
            "reason": str(document["note"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"The report {report.digest[:12]} is no answer of `approve`: it lacks {error}.",
            remedy="Give what `approve` returned.",
        ) from error
