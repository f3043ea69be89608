"""This module puts a registered model behind an endpoint, where it answers live requests."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from features.on_demand_names import AnyViewOrName
from features.online_lookup import Lookup
from headrace import Report, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import (
    DataError,
    DefinitionError,
    ServiceError,
    UnknownNameError,
    did_you_mean,
)
from headrace.models import ModelCard
from serving._endpoint_computed import (
    AnyView,
    calls_of,
    computed_of,
    looked_up,
    needed_of,
    on_demand_problems,
    require_computed_allowed,
)
from serving._endpoint_lookups import (
    barred_views,
    lookups_of,
    models_answering,
    remember_deployed,
    require_allowed,
)
from serving._endpoint_store import require_fast, slow_store
from serving._rule_at_endpoint import named, planned_problems, require_fitting, served_problems
from serving.hop_room import require_room_to_deploy
from serving.hosted import host_lacking, is_up
from serving.outcome_kinds import OutcomeKind, require_declared, require_distinct
from serving.placement import Placement
from serving.retention import Retention
from serving.rule import Rule
from serving.split import Split

if TYPE_CHECKING:
    from serving.endpoints import EndpointSpec
    from serving.routing import Route

APPLIED_WITHIN_SECONDS = 120.0
LIVE_SPACE = "headrace"


def _check(call: PlannedCall) -> Sequence[Finding]:
    views = call.parameters.get("views") or ()
    names = [view.name for view in looked_up(views)]
    findings = [
        Finding(
            problem=f"The endpoint may lack view '{name}', which it does not read."
            f"{did_you_mean(name, names)}",
            remedy="Name views of `views`.",
            rule="endpoint views",
        )
        for name in call.parameters.get("may_lack") or ()
        if name not in names
    ]
    if call.parameters.get("clock") == "replayed" and call.parameters.get("space") == LIVE_SPACE:
        findings.append(
            Finding(
                problem=f"The endpoint's clock is replayed, and it reads the live space "
                f"'{LIVE_SPACE}', which no replay may fill.",
                remedy='Give it a space of its own, such as space="replay".',
                rule="endpoint space",
            )
        )
    findings += on_demand_problems(views)
    slow = slow_store(
        str(call.parameters.get("endpoint")),
        str(call.parameters.get("space", LIVE_SPACE)),
        looked_up(views),
    )
    findings += [slow] if slow is not None else []
    rule, traffic = call.parameters.get("rule"), call.parameters.get("traffic")
    if rule is not None:
        outcomes = call.parameters.get("outcomes")
        findings += named(
            rule, planned_problems(rule, views=views, outcomes=outcomes, traffic=traffic)
        )
    barred = barred_views(looked_up(views))
    return findings + [Finding(problem=p, remedy=r, rule=rule) for rule, p, r in barred]


@operator(effect=True, check=_check, needs=host_lacking)
def deploy(
    champion: Report,
    challengers: list[Report],
    *,
    endpoint: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")],
    views: Sequence[AnyViewOrName],
    rule: Rule | None = None,
    clock: Literal["live", "replayed"] = "live",
    space: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = LIVE_SPACE,
    may_lack: list[str] | None = None,
    traffic: Split | None = None,
    placement: Placement | None = None,
    outcomes: list[OutcomeKind] | None = None,
    retention: Retention | None = None,
) -> Report:
    """Serve a registered model at an endpoint, and challengers in its shadow or beside it.

    The first champion answers. Later on a proposed champion is a challenger like any other: who
    answers changes by the rule (see `promote`) or by a person, never by running a flow again, which
    changes nothing.

    Args:
        champion: What `register` reported of the model that is proposed to answer.
        challengers: Likewise of the models to compare it with, each by itself; may be none.
        endpoint: Name of the endpoint; small letters, digits and `_`.
        views: The feature views that its models may read: those that they were trained on. Of each
            the endpoint looks up only the features that its models take, or that the on-demand
            views among them are computed from.
        rule: What decides on promotion; None leaves it to people.
        clock: "live", or "replayed": then requests say the moment of the decision.
        space: The online space to read; "headrace" is the live one.
        may_lack: Views whose entities may be unknown, such as a new aircraft. Their features are
            null then; of other views an unknown entity is refused.
        traffic: Which share of the requests new challengers answer; None leaves them in shadow.
        placement: How many processes answer, and where models are scored; one, in its own process,
            by default.
        outcomes: What may be told of a decision; None takes one number without a name.
        retention: How long decisions are kept; None keeps them.

    Returns:
        endpoint, generation, champion, challenger, experiment, url of the lane, changed, passed,
        and `told`, a sentence for people.

    Raises:
        DataError: A model reads a view that is not among `views`.
        DefinitionError: The rule does not fit the models, the views, the outcomes or the traffic;
            the function of an on-demand view cannot be imported elsewhere, or features lie where
            only Feast reads them.
        GrantError: The flow may not let an endpoint read a feature; the message says whom to ask.
        UnknownNameError: A version was not registered from here.
        ServiceError: Ray Serve is not up, there is no room for the processes that the placement
            asks for, or the lane cannot answer.
    """
    from serving._aliases import sync_aliases
    from serving.endpoints import Endpoints

    read = [_resolved(view) for view in views]
    proposed, others = _ref(champion), [_ref(report) for report in challengers]
    endpoints = Endpoints()
    if rule is not None:
        planned = planned_problems(rule, views=read, outcomes=outcomes, traffic=traffic)
        require_fitting(rule, endpoint, planned)
    spec = _spec(endpoint, [proposed, *others], models_answering(endpoints, endpoint), read, rule)
    spec = replace(
        spec,
        clock=clock,
        space=space,
        may_lack=tuple(may_lack or ()),
        placement=_document(placement),
        outcomes=_outcomes(outcomes, traffic),
        retention=_document(retention),
    )
    lookups = [Lookup.from_json(each) for each in spec.lookups]
    require_fast(endpoint, space, lookups)
    allowed = require_allowed(endpoint, looked_up(read), lookups)
    allowed += require_computed_allowed(endpoint, read, spec.on_demand)
    lacking = host_lacking({})
    if lacking is not None:
        raise ServiceError(lacking.problem, remedy=lacking.remedy)
    require_room_to_deploy(endpoint, None if placement is None else placement.hop, endpoints)
    remember_deployed(endpoint, allowed)
    route, changed = endpoints.declare(
        endpoint,
        spec=spec,
        champion=proposed,
        challenger=others[0] if others else None,
        also=others[1:],
        split=None if traffic is None else traffic.onto,
        reason="declared by a flow",
    )
    lane = endpoints.wait_applied(
        endpoint, route.generation, timeout_seconds=APPLIED_WITHIN_SECONDS, alive=is_up
    )
    sync_aliases(route)
    document = _reported(route, lane.url)
    return Report.of(document | {"changed": changed, "proposed": [proposed, *others]})


def _reported(route: Route, url: str | None) -> dict[str, Any]:
    return {
        "passed": True,
        "endpoint": route.endpoint,
        "generation": route.generation,
        "champion": route.champion,
        "challenger": route.challenger,
        "experiment": route.experiment,
        "challengers": [rival.model for rival in route.rivals],
        "shares": {} if route.traffic is None else route.traffic.shares(),
        "url": url,
        "told": _told(route, url),
    }


def _outcomes(
    kinds: Sequence[OutcomeKind] | None, traffic: Split | None
) -> tuple[dict[str, Any], ...]:
    """Return what may be told, if Thompson sampling goes by what is among it."""
    require_distinct(kinds or ())
    if traffic is not None and traffic.design == "thompson":
        require_declared(traffic.outcome, kinds, whose="Thompson sampling")
    return tuple(kind.document() for kind in kinds or ())


def _document(declared: BaseModel | None) -> dict[str, Any] | None:
    return None if declared is None else declared.model_dump(mode="json")


def _told(route: Route, url: str | None) -> str:
    shares = {} if route.traffic is None else route.traffic.shares()
    said = [
        f"{rival.model} answers {shares[rival.model]:.4g} of the requests"
        if rival.model in shares
        else f"{rival.model} is in its shadow"
        for rival in route.rivals
    ]
    return (
        "; ".join([f"Endpoint '{route.endpoint}' answers at {url} with {route.champion}", *said])
        + "."
    )


def _spec(
    endpoint: str,
    proposed: Sequence[str],
    answering: Sequence[str],
    views: Sequence[AnyView],
    rule: Rule | None,
) -> EndpointSpec:
    """Return how the endpoint reads its inputs: for the proposed models and those that answer."""
    from serving.bundles import card_of
    from serving.endpoints import EndpointSpec

    cards = {ref: card_of(ref) for ref in proposed}
    for ref, card in cards.items():
        _require_views(ref, card, views)
    if rule is not None:
        require_fitting(rule, endpoint, served_problems(rule, cards=cards, views=views))
    for ref in answering:
        with contextlib.suppress(
            UnknownNameError
        ):  # its bundle is gone, so nothing goes back to it
            cards.setdefault(ref, card_of(ref))
    computed = computed_of(views, cards.values())
    lookups = lookups_of(looked_up(views), cards.values(), also=needed_of(computed))
    return EndpointSpec(
        model=proposed[0].rpartition("/")[0],
        task=cards[proposed[0]].task,
        clock="live",
        space=LIVE_SPACE,
        lookups=tuple(lookup.to_json() for lookup in lookups),
        rule=None if rule is None else rule.document(),
        on_demand=tuple(call.to_json() for call in calls_of(computed)),
    )


def _ref(registered: Report) -> str:
    return f"{registered.document['name']}/{registered.document['version']}"


def _resolved(view: Any) -> AnyView:
    if isinstance(view, str):  # pragma: no cover - the call has put the view in the name's place
        raise DefinitionError(
            f"The view '{view}' is given by name to the body.", remedy="Call the operator."
        )
    found: AnyView = view
    return found


def _require_views(ref: str, card: ModelCard, views: Sequence[AnyView]) -> None:
    """Refuse a model that takes what the endpoint does not read."""
    columns = {view.name: [c.name for c in view.columns] for view in views}
    for feature in card.features:
        if feature.source is None:
            continue
        if feature.source not in columns:
            raise DataError(
                f"{ref} takes feature '{feature.name}' of view '{feature.source}', which is not "
                f"among the views of the endpoint.{did_you_mean(feature.source, columns)}",
                remedy="Give all views that the model was trained on.",
            )
        if feature.name not in columns[feature.source]:
            raise DataError(
                f"{ref} takes feature '{feature.name}' of view '{feature.source}', which the view "
                f"does not have.{did_you_mean(feature.name, columns[feature.source])}",
                remedy="Give the view as the model was trained on it; a column that `build` had to "
                "rename, because two views had it, needs a name of its own in its view.",
            )
