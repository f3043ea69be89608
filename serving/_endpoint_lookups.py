"""This module says what an endpoint may look up: what its models were trained on, and no more.

The flow that deploys must be allowed to read it, by the owners of the views; of what is personal or
secret there is a record. A model that asks for anything else is not served.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from features.access import features_of, offered
from features.online_lookup import Lookup, lookup_of
from features.view import FeatureView
from headrace.errors import StoreError, UnknownNameError
from headrace.grants import External, Feature, Refusal, current_reader, refusals, require_all
from headrace.models import ModelCard

if TYPE_CHECKING:
    from serving.endpoints import Endpoints


def models_answering(endpoints: Endpoints, endpoint: str) -> list[str]:
    """Return the versions that answer, are compared, or would answer after a rollback."""
    if endpoint not in endpoints.names():
        return []
    route = endpoints.route(endpoint)
    compared = [rival.model for rival in route.rivals]
    return [ref for ref in (route.champion, *compared, route.previous) if ref is not None]


def lookups_of(
    views: Sequence[FeatureView],
    cards: Iterable[ModelCard],
    *,
    also: Iterable[tuple[str, str]] = (),
) -> tuple[Lookup, ...]:
    """Return what is looked up for models: of each view the features that one of them takes.

    Args:
        views: The views that may be read, in the order of the lookups.
        cards: The models.
        also: More features that are needed, as (view, feature).
    """
    wanted = {(f.source, f.name) for card in cards for f in card.features} | set(also)
    lookups = []
    for view in views:
        names = [c.name for c in view.columns if (view.name, c.name) in wanted]
        if names:
            lookups.append(lookup_of(view, names))
    return tuple(lookups)


def require_allowed(
    endpoint: str, views: Sequence[FeatureView], lookups: Sequence[Lookup]
) -> list[Feature]:
    """Refuse lookups that the deploying flow may not read; return the features.

    Args:
        endpoint: Name of the endpoint.
        views: The views.
        lookups: What is looked up in them.

    Raises:
        GrantError: The owner of a view does not let the flow read it, or the flow lacks the grant
            for what is personal or secret.
    """
    by_name = {view.name: view for view in views}
    features = [
        feature
        for lookup in lookups
        for feature in features_of(by_name[lookup.view], lookup.features, version=lookup.number)
    ]
    # what the definition says, and what was said when the view was published last: both count
    published = [feature for lookup in lookups for feature in _as_published(lookup)]
    for asked in (features, published):
        require_all([_external(feature) for feature in asked], subject=f"Endpoint '{endpoint}'")
    return features


def remember_deployed(endpoint: str, features: Sequence[Feature]) -> None:
    """Put on record which sensitive views an endpoint may look up, once for each change.

    Raises:
        StoreError: It cannot be recorded.
    """
    from headrace.lineage.feature_reads import reads_of, remember_reads
    from headrace.recording import current_invocation
    from headrace.settings import settings

    if not any(feature.guarded for feature in features):
        return
    newest = {
        read.view: (read.columns, read.version)
        for read in reads_of()
        if (read.sort, read.endpoint) == ("deployed", endpoint)
    }
    new = [
        feature
        for feature in features
        if newest.get(feature.view)
        != (tuple(f.column for f in features if f.view == feature.view), feature.version)
    ]
    reader, invocation = current_reader(), current_invocation()
    remember_reads(
        new,
        sort="deployed",
        flow="" if reader is None else reader.flow,
        run_id=None if invocation is None else invocation.run_id,
        actor=settings().actor,
        endpoint=endpoint,
    )


def barred_views(views: Iterable[FeatureView]) -> list[Refusal]:
    """Return which views the flow that is planned may not read at all."""
    reader = current_reader()
    if reader is None:
        return []
    asked = [f for view in views for f in features_of(view, [c.name for c in view.columns])]
    ordinary = [_external(f) for f in asked if not f.sensitive]
    return refusals(ordinary, reader, subject="The endpoint")


def _as_published(lookup: Lookup) -> list[Feature]:
    try:
        offer = offered(lookup.view)
    except (UnknownNameError, StoreError):  # nothing is published that says who may read it
        return []
    return [replace(f, own=True) for f in offer.features if f.column in lookup.features]


def _external(feature: Feature) -> External:
    return External(name=feature.name, fingerprint=lambda: None, feature=feature)
