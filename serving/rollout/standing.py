"""This module says where a challenger stands: its stage, its tries, and what people said to it.

It asks the database alone, so that it can be asked often and while other services are away.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from sqlalchemy import select

from headrace.errors import DefinitionError, UnknownNameError
from headrace.lineage import tables as records
from serving._route_steps import require_rival
from serving.bundles import folder_of
from serving.endpoints import Endpoints
from serving.rollout import _course
from serving.rollout.state import RolloutState, Said, Stage, person
from serving.routing import Route
from serving.rule import Rule

if TYPE_CHECKING:
    from headrace.lineage.database import Database

_REGISTERING = ("serving.register.register", "serving.register.register_challenger")


def state_of(
    endpoints: Endpoints, route: Route, challenger: str, *, rule: Rule | None = None
) -> RolloutState:
    """Return where a challenger stands at a route.

    Args:
        endpoints: Where the endpoint is recorded.
        route: The route that is looked at.
        challenger: One of its challengers, or the old champion that watches, as "name/3".
        rule: What it is judged by, for what people said to that; the endpoint's by default.

    Raises:
        UnknownNameError: There is no such endpoint.
        RoutingError: The version does not challenge there.
    """
    require_rival(route, challenger)
    experiment = str(route.experiment_of(challenger))
    history = [c for c in endpoints.history(route.endpoint) if c.generation <= route.generation]
    stay = _course.stay_of(history, challenger)
    began = _course.began_with(stay, experiment) or history[-1]
    share = _course.share_of(route, challenger)
    stage: Stage = "traffic" if share else "shadow"
    tries = (1, 1)
    if _course.is_watch(history, challenger):
        stage = "watch"
    else:
        tries = _course.tries_of(history, route.champion, experiment)
    authors = _course.authors_of(stay, challenger)
    authors |= _registrars(endpoints.database, challenger)
    return RolloutState(
        endpoint=route.endpoint,
        generation=route.generation,
        champion=route.champion,
        challenger=challenger,
        experiment=experiment,
        stage=stage,
        share=share,
        design=route.traffic.design if share and route.traffic is not None else None,
        began=began.at,
        since=_course.share_since(stay, challenger, began).at,
        first_try=tries[0],
        last_try=tries[1],
        held=route.held,
        said=_said(endpoints, route.endpoint, experiment, rule, authors),
        authors=tuple(sorted(authors)),
    )


def rule_of(endpoints: Endpoints, name: str) -> Rule | None:
    """Return the rule that an endpoint was deployed with; None when people decide.

    Raises:
        UnknownNameError: There is no such endpoint.
    """
    declared = endpoints.spec(name).rule
    return None if declared is None else Rule(**declared)


def require_may_approve(rule: Rule, state: RolloutState, actor: str) -> None:
    """Refuse somebody whose word does not count.

    Args:
        rule: The rule that asks for approval.
        state: Where the challenger stands; it names the authors.
        actor: Who wants to say something.

    Raises:
        DefinitionError: The rule asks nobody, or not this person, or they are an author.
    """
    where = f"{state.challenger} at the endpoint '{state.endpoint}'"
    if rule.approval is None:
        raise DefinitionError(
            f"The rule '{rule.name}' asks nobody before it promotes {where}.",
            remedy="Let it ask: Rule(..., approval=Approval()), in the flow that deploys.",
        )
    if rule.approval.by and actor not in rule.approval.by:
        raise DefinitionError(
            f"'{actor}' may not approve {where}: the rule '{rule.name}' asks "
            f"{', '.join(repr(each) for each in rule.approval.by)}.",
            remedy="Let one of them say it; HEADRACE_ACTOR says who you are.",
        )
    if person(actor) in map(person, state.authors):
        raise DefinitionError(
            f"'{actor}' put up or registered {where}, and may not approve it.",
            remedy="Let somebody else look at it; HEADRACE_ACTOR says who you are.",
        )


def _said(
    endpoints: Endpoints,
    name: str,
    experiment: str,
    rule: Rule | None,
    authors: Collection[str],
) -> Said | None:
    """Return the newest word of somebody who may say one, to this experiment by this rule."""
    rule = rule or rule_of(endpoints, name)
    if rule is None or rule.approval is None:
        return None
    put_up = set(map(person, authors))
    for consent in reversed(endpoints.consents(name, experiment)):
        may = not rule.approval.by or consent.actor in rule.approval.by
        if may and person(consent.actor) not in put_up and consent.rule == rule.hash:
            return Said(
                approved=consent.approved,
                actor=consent.actor,
                at=consent.at,
                reason=consent.reason,
            )
    return None


def _registrars(database: Database, model: str) -> set[str]:
    """Return who registered a version, as far as lineage knows; MLflow is not asked."""
    try:
        digest = folder_of(model).name
    except UnknownNameError:  # registered elsewhere
        return set()
    edge, invocation, run = records.edge, records.invocation, records.run
    query = (
        select(run.c.actor)
        .join_from(edge, invocation, edge.c.later == invocation.c.id)
        .join(run, invocation.c.run_id == run.c.id)
        .where(edge.c.earlier == digest, edge.c.sort == "input")
        .where(invocation.c.operator.in_(_REGISTERING), invocation.c.state == "executed")
        .distinct()
    )
    with database.reading() as connection:
        return {actor for actor in connection.scalars(query) if actor}
