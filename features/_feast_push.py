"""This module says in Feast's terms that rows of a view may be pushed."""

from __future__ import annotations

from feast.data_source import DataSource, PushSource

from features.view import FeatureView


def push_source(view: FeatureView, batch_source: DataSource) -> PushSource:
    """Return the source that stands for a stream view in Feast's registry.

    Feast's `push` takes rows of the view, computed already; rows of its source go through
    `features.stream.push`, which computes them.

    Args:
        view: A view with `stream=True`.
        batch_source: Where Feast reads the view's rows offline.
    """
    return PushSource(
        name=f"{view.name}_push",
        batch_source=batch_source,
        description=f"Rows of {view.name} as they come.",
        tags={"stream": "true"},
        owner=view.owner,
    )
