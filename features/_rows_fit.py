"""This module checks, while a flow is planned, that rows given to an effect fit their view."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from features.view import FeatureView
from headrace.calls import Finding, PlannedCall
from headrace.errors import did_you_mean


def columns_missing(
    call: PlannedCall, verb: str, *, needless: Collection[str] = ()
) -> Sequence[Finding]:
    """Find the columns of the call's `view` that its `view_rows` lack.

    Args:
        call: The planned call.
        verb: What is to be done with the rows, such as "publish".
        needless: Columns that the rows may lack.
    """
    view, given = call.parameters.get("view"), call.schema("view_rows")
    if not isinstance(view, FeatureView) or given is None:
        return []
    return [
        Finding(
            problem=f"The rows to {verb} have no column '{name}', which view '{view.name}' has."
            f"{did_you_mean(name, given.names)}",
            remedy=f"{verb.capitalize()} what compute_features(..., view={view.name}) makes.",
            rule="view rows",
            input="view_rows",
        )
        for name in view.schema.names
        if name not in given and name not in needless
    ]
