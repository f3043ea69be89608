"""This module computes the on-demand views of `build`, from the labels and what was joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from features._on_demand_rows import on_demand_columns
from features.on_demand import OnDemandView
from headrace.errors import DefinitionError
from headrace.schemas import TableSchema
from operators._build_plan import ComputedView

if TYPE_CHECKING:
    import pyarrow as pa


def on_demand_views(given: Sequence[OnDemandView | str] | None) -> list[OnDemandView]:
    """Return the views that a call was given; it has put views in the place of names."""
    views = [each for each in given or () if isinstance(each, OnDemandView)]
    if len(views) < len(given or ()):  # pragma: no cover - the call has done so
        raise DefinitionError(
            "An on-demand view is given by name to the body.", remedy="Call the operator."
        )
    return views


def computed_columns(
    computed: ComputedView,
    labels: pa.Table,
    joined: Mapping[tuple[str, str], pa.ChunkedArray],
    *,
    at: str,
) -> dict[str, pa.ChunkedArray]:
    """Return the columns that an on-demand view gives the examples.

    Args:
        computed: The view, and what is taken of it.
        labels: The labelled rows, whose columns stand for the request.
        joined: The features that on-demand views need, by view and column.
        at: Column of the labels with the moment of the decision.

    Raises:
        BoundaryError: A value of the request has another type than the view declares.
        DataError: The view cannot be computed.
    """
    from headrace.conform import conform

    view = computed.view
    asked = {c.name: at if c.role == "decision_time" else c.name for c in view.request_columns}
    request = labels.select(list(asked.values())).rename_columns(list(asked))
    if asked:  # the same types as a request's values have
        schema = TableSchema(name=view.name, columns=view.request_columns)
        request = conform(request, schema, where=f"The request of on-demand view '{view.name}'")
    inputs = {
        argument.name: request.column(argument.column)
        if argument.view is None
        else joined[argument.view, argument.column]
        for argument in view.arguments
    }
    made = on_demand_columns(view, inputs, labels.num_rows)
    return {computed.taken[name].name: made[name] for name in computed.taken}
