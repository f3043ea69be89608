"""This operator checks that a view keeps its word on time, before anybody trains on it."""

from __future__ import annotations

from typing import Any

from features.catalog import ViewOrName
from features.causality import can_tell, first_unfounded
from headrace import Report, Table, operator
from headrace.errors import DefinitionError
from operators.compute_features import source_fits


@operator(check=source_fits, named_by="view")
def check_known_times(source: Table[Any], *, view: ViewOrName) -> Report:
    """Check that no row of a view uses what became known after its known time.

    The view is computed again from its source as it was known at three moments; rows that claim to
    be known by then must come out the same. What a source with no known times holds cannot be told.

    Args:
        source: The table that the view reads, all of it.
        view: The view, or its name in the catalogue.

    Returns:
        The view; whether the source could `tell`; whether the check `passed`; if not the problem,
        with the first row that changes, and the remedy.

    Raises:
        BoundaryError: The source, or what the view computed, does not fit.
    """
    if isinstance(view, str):  # pragma: no cover - the call has put the view in the name's place
        raise DefinitionError(
            f"The view '{view}' is given by name to the body.", remedy="Call the operator."
        )
    found = first_unfounded(view, source.arrow())
    told = {"view": view.name, "tell": can_tell(view.source_schema)}
    if found is None:
        return Report.of({"passed": True, **told})
    return Report.of(
        {
            "passed": False,
            **told,
            "problem": found.problem(),
            "remedy": found.remedy(),
            "rows": found.rows,
            "looked_at": found.looked_at,
        }
    )
