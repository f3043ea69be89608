"""This module puts a registered model behind an endpoint, where it answers live requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from features.catalog import ViewOrName
from features.view import FeatureView
from headrace import Report, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError, ServiceError, did_you_mean
from headrace.models import ModelCard
from serving.rule import Rule

if TYPE_CHECKING:
    from serving.endpoints import EndpointSpec
    from serving.routing import Route

APPLIED_WITHIN_SECONDS = 120.0
LIVE_SPACE = "headrace"


def _check(call: PlannedCall) -> Sequence[Finding]:
    views = call.parameters.get("views")
    names = [v.name for v in views or () if isinstance(v, FeatureView)]
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
    return findings


@operator(effect=True, check=_check)
def deploy(
    champion: Report,
    challengers: list[Report],
    *,
    endpoint: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")],
    views: Sequence[ViewOrName],
    rule: Rule | None = None,
    clock: Literal["live", "replayed"] = "live",
    space: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")] = LIVE_SPACE,
    may_lack: list[str] | None = None,
) -> Report:
    """Serve a registered model at an endpoint, and a challenger in its shadow.

    The first champion answers. Later on a proposed champion is a challenger like any other: who
    answers changes by the rule (see `promote`) or by a person, never by running a flow again, which
    changes nothing.

    Args:
        champion: What `register` reported of the model that is proposed to answer.
        challengers: Likewise of the model to compare it with; none or one.
        endpoint: Name of the endpoint; small letters, digits and `_`.
        views: The feature views that its models may read: those that they were trained on.
        rule: What decides on promotion; None leaves it to people.
        clock: "live", or "replayed": then requests say the moment of the decision.
        space: The online space to read; "headrace" is the live one.
        may_lack: Views whose entities may be unknown, such as a new aircraft. Their features are
            null then; of other views an unknown entity is refused.

    Returns:
        endpoint, generation, champion, challenger, experiment, url of the lane, changed, passed,
        and `told`, a sentence for people.

    Raises:
        DataError: A model reads a view that is not among `views`.
        UnknownNameError: A version was not registered from here.
        ServiceError: Ray Serve is not up, or the lane cannot answer.
    """
    from serving._aliases import sync_aliases
    from serving.endpoints import Endpoints
    from serving.hosted import is_up

    read = [_resolved(view) for view in views]
    proposed, others = _ref(champion), [_ref(report) for report in challengers]
    _require_at_most_one(endpoint, others)
    spec = _spec(proposed, others, read, rule)
    spec = replace(spec, clock=clock, space=space, may_lack=tuple(may_lack or ()))
    if not is_up():
        raise ServiceError(
            "Ray Serve is not up, so no endpoint can be served.",
            remedy="Start it with `headrace up`, then run the flow again.",
        )
    endpoints = Endpoints()
    route, changed = endpoints.declare(
        endpoint,
        spec=spec,
        champion=proposed,
        challenger=others[0] if others else None,
        reason="declared by a flow",
    )
    lane = endpoints.wait_applied(
        endpoint, route.generation, timeout_seconds=APPLIED_WITHIN_SECONDS, alive=is_up
    )
    sync_aliases(route)
    return Report.of(
        {
            "passed": True,
            "changed": changed,
            "endpoint": endpoint,
            "generation": route.generation,
            "proposed": [proposed, *others],
            "champion": route.champion,
            "challenger": route.challenger,
            "experiment": route.experiment,
            "url": lane.url,
            "told": _told(route, lane.url),
        }
    )


def _told(route: Route, url: str | None) -> str:
    shadow = f"; {route.challenger} is in its shadow" if route.challenger else ""
    return f"Endpoint '{route.endpoint}' answers at {url} with {route.champion}{shadow}."


def _spec(
    proposed: str, others: Sequence[str], views: Sequence[FeatureView], rule: Rule | None
) -> EndpointSpec:
    """Return how the endpoint reads its inputs: all features of all views, so it stays the same."""
    from features.online_lookup import lookup_of
    from serving.bundles import card_of
    from serving.endpoints import EndpointSpec

    for ref in (proposed, *others):
        _require_views(ref, card_of(ref), views)
    return EndpointSpec(
        model=proposed.rpartition("/")[0],
        task=card_of(proposed).task,
        clock="live",
        space=LIVE_SPACE,
        lookups=tuple(lookup_of(view).to_json() for view in views),
        rule=None if rule is None else rule.document(),
    )


def _require_at_most_one(endpoint: str, challengers: Sequence[str]) -> None:
    if len(challengers) > 1:
        raise DefinitionError(
            f"The endpoint '{endpoint}' was given {len(challengers)} challengers.",
            remedy="Give one; the next can follow when it was judged.",
        )


def _ref(registered: Report) -> str:
    return f"{registered.document['name']}/{registered.document['version']}"


def _resolved(view: Any) -> FeatureView:
    if isinstance(view, str):  # pragma: no cover - the call has put the view in the name's place
        raise DefinitionError(
            f"The view '{view}' is given by name to the body.", remedy="Call the operator."
        )
    found: FeatureView = view
    return found


def _require_views(ref: str, card: ModelCard, views: Sequence[FeatureView]) -> None:
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
