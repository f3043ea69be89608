"""This module says what an endpoint computes of requests: the on-demand views of its models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from features.access import features_of
from features.on_demand import OnDemandView
from features.on_demand_call import OnDemandCall, call_of
from features.view import FeatureView
from headrace.calls import Finding
from headrace.grants import External, Feature, require_all
from headrace.models import ModelCard
from headrace.settings import settings
from operators._build_on_demand import need_findings

AnyView = FeatureView | OnDemandView


def looked_up(views: Iterable[Any]) -> list[FeatureView]:
    """Return the views that are looked up in the online store."""
    return [view for view in views if isinstance(view, FeatureView)]


def computed_of(views: Iterable[Any], cards: Iterable[ModelCard]) -> list[OnDemandView]:
    """Return the on-demand views of which a model takes a feature."""
    taken = {feature.source for card in cards for feature in card.features}
    return [view for view in views if isinstance(view, OnDemandView) and view.name in taken]


def needed_of(computed: Iterable[OnDemandView]) -> list[tuple[str, str]]:
    """Return the features of views that on-demand views are computed from."""
    return [(need.view, need.column) for view in computed for need in view.needs]


def calls_of(computed: Iterable[OnDemandView]) -> tuple[OnDemandCall, ...]:
    """Return what an endpoint calls, with the digest of the code as it is now.

    Raises:
        DefinitionError: A function cannot be imported elsewhere, or not be seen through.
    """
    return tuple(call_of(view, settings().roots) for view in computed)


def on_demand_problems(views: Sequence[Any]) -> Iterator[Finding]:
    """Find what the on-demand views of an endpoint need and do not get, and names given twice."""
    schemas = {view.name: view.schema for view in looked_up(views)}
    on_demand = [view for view in views if isinstance(view, OnDemandView)]
    names = [view.name for view in on_demand]
    for view in on_demand:
        if view.name in schemas or names.count(view.name) > 1:
            yield Finding(
                problem=f"The endpoint is given two views '{view.name}'.",
                remedy="Give each view once; on-demand views and others share one name space.",
                rule="endpoint views",
            )
            return
        for need in view.needs:
            for found in need_findings(view.name, need, schemas, names):
                yield Finding(
                    problem=found.problem,
                    remedy="Give it among `views`, as the on-demand view needs it."
                    if found.rule == "unknown view" and need.view not in names
                    else found.remedy,
                    rule=found.rule,
                )


def require_computed_allowed(
    endpoint: str, views: Iterable[Any], calls: Iterable[Mapping[str, Any]]
) -> list[Feature]:
    """Refuse on-demand features that the deploying flow may not read; return them.

    Args:
        endpoint: Name of the endpoint.
        views: The views that it was given.
        calls: What it computes, as its spec has it.

    Raises:
        GrantError: The owner does not let the flow read one, or the flow lacks the grant.
    """
    used = {call["view"] for call in calls}
    features = []
    for view in views:
        if isinstance(view, OnDemandView) and view.name in used:
            guarded: Any = view  # it is guarded as a feature view is
            features += features_of(guarded, [column.name for column in view.columns])
    asked = [External(name=f.name, fingerprint=lambda: None, feature=f) for f in features]
    require_all(asked, subject=f"Endpoint '{endpoint}'")
    return features
