"""This module says in Feast's terms what an on-demand view is; only the door to Feast imports it.

It becomes an `OnDemandFeatureView` of mode "python" on lists. The singleton mode, which is quicker
for one row, raises in Feast where there are many.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feast import FeatureService, Field, OnDemandFeatureView, RequestSource
from feast import FeatureView as FeastView
from feast.transformation.python_transformation import PythonTransformation

from features._feast_objects import _TYPES, _field
from features._on_demand_code import import_folders
from features._on_demand_feast import feast_source
from features.on_demand import OnDemandView
from features.on_demand_call import OnDemandCall


def on_demand_objects(
    view: OnDemandView,
    feast_views: Mapping[str, FeastView],
    *,
    call: OnDemandCall,
    dtypes: Mapping[str, str],
    roots: tuple[Path, ...],
    version: str,
    tags: Mapping[str, str],
) -> list[Any]:
    """Return what stands for a view in Feast's registry: it, its request source, its service.

    Args:
        view: The view.
        feast_views: The views that it needs, as they are registered.
        call: What is to be called.
        dtypes: The type of each of its arguments.
        roots: Folders of first-party code.
        version: Digest of the view's version, which is on each feature.
        tags: What else is to be known of it.
    """
    # a value of the request that is a key of a view as well: Feast takes it for the key alone
    keys = {key for each in feast_views.values() for key in each.join_keys}
    asked = [c for c in view.request_columns if c.name not in keys]
    sources: list[Any] = []
    for name, registered in feast_views.items():
        needed = [need.column for need in view.needs if need.view == name]
        sources.append(registered[needed])
    requests = []
    if asked:
        requests.append(
            RequestSource(
                name=f"{view.name}_request",
                schema=[
                    Field(name=c.name, dtype=_TYPES[c.dtype], description=c.description)
                    for c in asked
                ],
                description=f"What {view.name} takes from a request.",
                owner=view.owner,
            )
        )
    fields = [_field(column, version) for column in view.columns]
    registered_view = _Declared(
        name=view.name,
        sources=[*sources, *requests],
        schema=fields,
        feature_transformation=_transformation(
            view.name, feast_source(call, dtypes, import_folders(roots), roots)
        ),
        mode="python",
        description=view.description,
        owner=view.owner,
        tags=dict(tags),
    )
    service = FeatureService(
        name=view.name,
        features=[registered_view],
        description=f"All features of {view.name}.",
        owner=view.owner,
    )
    return [registered_view, *requests, service]


class _Declared(OnDemandFeatureView):
    """This has the features that it says, which Feast would else infer from made-up rows."""

    def infer_features(self) -> None:
        """Infer nothing: a function need not know what to do with made-up text."""


def _transformation(name: str, text: str) -> PythonTransformation:
    """Return the function that Feast runs, made of the text that it keeps and runs again."""
    namespace: dict[str, Any] = {"__name__": "features_on_demand"}
    exec(text, namespace)  # noqa: S102  the text was made here
    return PythonTransformation(udf=namespace[name], udf_string=text)
