"""This module asks whether a flow may put what is personal or secret before a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from features.access import guarded_columns
from headrace.calls import Finding, PlannedCall
from headrace.grants import current_reader, refusals
from headrace.schemas import TableSchema
from operators._build_plan import check_build, view_name


def check_build_and_access(call: PlannedCall) -> Sequence[Finding]:
    """Find what is wrong with a planned call, sensitive features that were not asked for too."""
    return [*check_build(call), *_refused(call)]


def _refused(call: PlannedCall) -> list[Finding]:
    reader = current_reader()
    if reader is None:
        return []
    taken = [_taken(s.schema, call) for s in call.inputs.get("features", ()) if s.schema]
    found = refusals(guarded_columns(taken), reader, subject="'build'")
    return [
        Finding(problem=problem, remedy=remedy, rule=rule, input="features")
        for rule, problem, remedy in found
    ]


def _taken(schema: TableSchema, call: PlannedCall) -> TableSchema:
    """Return the columns of a view that examples are made of."""
    select = call.parameters.get("select")
    if select is None:
        return schema
    computed = call.parameters.get("on_demand") or ()
    needed = [need.reference for view in computed for need in view.needs]
    wanted, name = {*select, *needed}, view_name(schema)
    return replace(schema, columns=tuple(c for c in schema.columns if f"{name}:{c.name}" in wanted))
