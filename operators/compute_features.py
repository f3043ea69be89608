"""This operator computes the rows of a feature view from its source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from features.catalog import ViewOrName
from features.view import FeatureView
from headrace import Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DefinitionError, did_you_mean
from headrace.schemas import Column, TableSchema


def view_rows_schema(call: PlannedCall) -> TableSchema | None:
    """Return the columns of the view's rows."""
    view = call.parameters.get("view")
    return view.schema if isinstance(view, FeatureView) else None


def source_fits(call: PlannedCall) -> Sequence[Finding]:
    """Find the columns of the view's source that the table lacks or has otherwise."""
    view, given = call.parameters.get("view"), call.schema("source")
    if not isinstance(view, FeatureView):
        return []
    found = _deprecated(view)
    if given is None:
        return found
    wrong = [_misfit(view.name, column, given) for column in view.source_schema.columns]
    return found + [
        Finding(
            problem=problem,
            remedy=f"Give the view its source, a table with the columns of "
            f"'{view.source_schema.name}'.",
            rule="view source",
            input="source",
        )
        for problem in wrong
        if problem
    ]


@operator(produces=view_rows_schema, check=source_fits, named_by="view")
def compute_features(source: Table[Any], *, view: ViewOrName) -> Table[Any]:
    """Compute a feature view: what was known about its entities, and from when on.

    Args:
        source: The table that the view reads; it has at least the columns of the view's source.
        view: The view, or its name in the catalogue.

    Returns:
        The view's rows: entity columns, `event_time`, `known_time`, with a ttl `expires_at`, and
        the features.

    Raises:
        BoundaryError: The source, or what the view computed, lacks a column or has another type.
        LeakageError: A row claims to be known before it happened.
    """
    if isinstance(view, str):  # pragma: no cover - the call has put the view in the name's place
        raise DefinitionError(
            f"The view '{view}' is given by name to the body.", remedy="Call the operator."
        )
    return Table.of(view.rows(source.arrow()), schema=view.schema)


def _deprecated(view: FeatureView) -> list[Finding]:
    if view.stage != "deprecated":
        return []
    instead = f"Use '{view.replaced_by}' instead." if view.replaced_by else "Ask its owner why."
    return [
        Finding(
            problem=f"View '{view.name}' is deprecated.",
            remedy=instead,
            rule="deprecated view",
            warning=True,
        )
    ]


def _misfit(view: str, wanted: Column, given: TableSchema) -> str | None:
    where = f"The source of view '{view}'"
    if wanted.name not in given:
        return f"{where} has no column '{wanted.name}'.{did_you_mean(wanted.name, given.names)}"
    has = given.column(wanted.name)
    alike = {wanted.dtype, has.dtype} <= {"int", "float"} and wanted.dtype == "float"
    text = {wanted.dtype, has.dtype} <= {"string", "category"}
    if wanted.dtype != has.dtype and not alike and not text:
        return f"{where} has column '{wanted.name}' as {has.dtype}; the view needs {wanted.dtype}."
    if has.nullable and not wanted.nullable:
        return f"{where} allows nulls in '{wanted.name}'; the view does not."
    if wanted.unit and has.unit and wanted.unit != has.unit:
        return (
            f"{where} has column '{wanted.name}' in {has.unit}; the view needs it in {wanted.unit}."
        )
    return None
