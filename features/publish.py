"""This operator puts a feature view on offer: its rows for reading, its definition in Feast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from features._rows_fit import columns_missing
from features.catalog import ViewOrName
from features.store import is_published, publish_rows
from features.view import Computation
from headrace import Report, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError


def rows_fit(call: PlannedCall) -> Sequence[Finding]:
    """Find the columns of the view that the rows lack."""
    return columns_missing(call, "publish")


@operator(effect=True, check=rows_fit, named_by="view")
def publish(view_rows: Table[Any], *, view: ViewOrName) -> Report:
    """Publish a feature view, so that others find it and read it; the same rows change nothing.

    Args:
        view_rows: Rows of the view, as `compute_features` makes them.
        view: The view, or its name in the catalogue.

    Returns:
        What is published: view, digest, version, rows, how fresh it is, and whether this call
        `changed` anything.

    Raises:
        DataError: There are no rows.
        BoundaryError: The rows do not fit the view.
        LeakageError: Rows claim to be known later than now.
        StoreError: They cannot be written.
    """
    from dataclasses import asdict

    if isinstance(view, str):  # pragma: no cover - the call has put the view in the name's place
        raise DefinitionError(
            f"The view '{view}' is given by name to the body.", remedy="Call the operator."
        )
    if not view_rows.rows:
        raise DataError(
            f"View '{view.name}' has no rows to publish.",
            remedy="Look at its source; what is published already stays as it is.",
        )
    done = is_published(view, view_rows.digest)
    changed = done is None
    if done is None:
        from features._view_rows import require_known_by_now
        from headrace.conform import conform

        where = f"What is to be published of view '{view.name}'"
        table = conform(view_rows.arrow(), view.schema, where=where)
        if not isinstance(view.compute, Computation):
            require_known_by_now(table, view.schema)
        done = publish_rows(view, table, digest=view_rows.digest)
    told = {k: v for k, v in asdict(done).items() if k != "definition"}
    return Report.of({"passed": True, "changed": changed, **told})
