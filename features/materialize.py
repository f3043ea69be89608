"""This operator brings the online store up to date with a view's rows, as known at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from features._rows_fit import columns_missing
from features.catalog import ViewOrName
from features.view import EXPIRES
from headrace import Report, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError, ParameterError


def rows_fit(call: PlannedCall) -> Sequence[Finding]:
    """Find the columns of the view that the rows lack."""
    return columns_missing(call, "materialize", needless=[EXPIRES])


@operator(effect=True, check=rows_fit, named_by="view")
def materialize(
    view_rows: Table[Any],
    *,
    view: ViewOrName,
    until: datetime | None = None,
    space: str = "headrace",
) -> Report:
    """Write each entity's newest row into the online store; the same rows change nothing.

    An entity for which the store has a newer event keeps it.

    Args:
        view_rows: Rows of the view, as `compute_features` makes them.
        view: The view, or its name in the catalogue.
        until: Rows known later than this moment are left out; None for now.
        space: The online space: "headrace" for live decisions.

    Returns:
        The view and space; until when it was known; how many `rows` and `entities` there were by
        then; how many entities were `written`, were `older` than what the store has, or the `same`;
        and whether this call `changed` anything.

    Raises:
        DataError: There are no rows, or one cannot be stored.
        BoundaryError: The rows do not fit the view.
        LeakageError: `until` lies in the future, and so do rows.
        StoreError: The store cannot be written; nothing is.
    """
    import pyarrow.compute as pc

    from features._online_rows import conformed, latest_as_known
    from features.online import OnlineStore, online_file
    from headrace.clock import current_clock

    if isinstance(view, str):  # pragma: no cover - the call has put the view in the name's place
        raise DefinitionError(
            f"The view '{view}' is given by name to the body.", remedy="Call the operator."
        )
    if not view_rows.rows:
        raise DataError(
            f"View '{view.name}' has no rows to materialize.",
            remedy="Look at its source; what is online already stays as it is.",
        )
    moment = current_clock().now() if until is None else until
    if moment.tzinfo is None:
        raise ParameterError(
            f"The argument 'until' is {moment.isoformat()}, a time without a zone.",
            remedy="Say the zone, for example with tzinfo=UTC.",
        )
    table = conformed(view, view_rows.arrow())
    latest = latest_as_known(view, table, moment)
    with OnlineStore(online_file(), space) as store:
        pushed = store.push(view, latest)
    known = pc.sum(pc.less_equal(table.column(view.known_time), moment)).as_py() or 0
    return Report.of(
        {
            "passed": True,
            "changed": pushed.written > 0,
            "view": view.name,
            "space": space,
            "until": moment.isoformat(),
            "rows": known,
            "entities": pushed.rows,
            "written": pushed.written,
            "older": pushed.older,
            "same": pushed.same,
        }
    )
