"""These operators feed stream views from a flow: rows that came in, and time that passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from features.catalog import ViewOrName
from features.view import FeatureView
from headrace import Report, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DefinitionError, did_you_mean


def stream_fits(call: PlannedCall) -> Sequence[Finding]:
    """Find out whether the view takes pushed rows, and which columns of its source they lack."""
    view = call.parameters.get("view")
    if not isinstance(view, FeatureView):
        return []
    if not view.stream:
        return [
            Finding(
                problem=f"Feature view '{view.name}' takes no pushed rows.",
                remedy="Declare it with stream=True.",
                rule="view stream",
            )
        ]
    given = call.schema("rows")
    return [
        Finding(
            problem=f"The rows to push to view '{view.name}' have no column '{name}'."
            f"{did_you_mean(name, given.names)}",
            remedy=f"Push rows with the columns of '{view.source_schema.name}'.",
            rule="view source",
            input="rows",
        )
        for name in (view.source_schema.names if given is not None else ())
        if given is not None and name not in given
    ]


@operator(effect=True, check=stream_fits, named_by="view")
def push_features(rows: Table[Any], *, view: ViewOrName, space: str = "headrace") -> Report:
    """Push rows of a view's source: keep them, and bring what they change online.

    The same rows again change nothing.

    Args:
        rows: Rows of the view's source, known by now.
        view: A view with `stream=True`, or its name in the catalogue.
        space: The online space: "headrace" for live decisions.

    Returns:
        The view and space; how many `rows` there were, how many were `new`, `repeated`, `outdated`;
        how many `entities` they changed, how many rows were `written` online; and whether this call
        `changed` anything.

    Raises:
        DefinitionError: The view takes no pushed rows.
        BoundaryError: The rows do not fit the source.
        DataError: A key, a time or an id is null, or a feature cannot be stored.
        LeakageError: A row is known before it happened, or not known yet.
        StoreError: The log or the online store cannot be written.
    """
    from features.stream import push

    pushed = push(_view(view), rows.arrow(), batch=f"artifact:{rows.digest}", space=space)
    return Report.of(
        {
            "passed": True,
            "changed": pushed.new > 0,
            "view": _view(view).name,
            "space": space,
            "rows": pushed.rows,
            "new": pushed.new,
            "repeated": pushed.repeated,
            "outdated": pushed.outdated,
            "entities": pushed.entities,
            "written": pushed.written,
        }
    )


@operator(effect=True, check=stream_fits, named_by="view")
def advance_features(*, view: ViewOrName, space: str = "headrace") -> Report:
    """Bring online what changed in a stream view because time passed: put it on a schedule.

    Args:
        view: A view with `stream=True`, or its name in the catalogue.
        space: The online space: "headrace" for live decisions.

    Returns:
        The view and space, `until` when, how many `entities` had something due, how many rows were
        `written` online, and whether this call `changed` anything.

    Raises:
        DefinitionError: The view takes no pushed rows.
        StoreError: The log or the online store cannot be written.
    """
    from features.stream import advance

    done = advance(_view(view), space=space)
    return Report.of(
        {
            "passed": True,
            "changed": done.written > 0,
            "view": _view(view).name,
            "space": space,
            "until": done.until.isoformat(),
            "entities": done.entities,
            "written": done.written,
        }
    )


def _view(view: FeatureView | str) -> FeatureView:
    if isinstance(view, str):  # pragma: no cover - the call has put the view in the name's place
        raise DefinitionError(
            f"The view '{view}' is given by name to the body.", remedy="Call the operator."
        )
    return view
