"""This module holds what `build` asks of rows: that no time contradicts another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from features.join import Facts
from features.on_demand import OnDemandView
from features.view import require_known_after_event
from headrace import Labels, Table
from headrace.errors import BoundaryError, DataError, LeakageError
from headrace.schemas import TableSchema
from operators._build_plan import BuildPlan, JoinedView, findings_of, plan_build

if TYPE_CHECKING:
    import pyarrow as pa


def planned_for(
    labels: Labels[Any],
    features: Sequence[Table[Any]],
    select: Sequence[str] | None,
    trusted: Sequence[str] | None,
    on_demand: Sequence[OnDemandView] = (),
) -> BuildPlan:
    """Return the plan for real inputs, or raise the first thing that is wrong with them.

    Raises:
        LeakageError: A feature was not known at the decision.
        BoundaryError: Anything else that the schemas show.
    """
    schemas = [labels.schema, *(f.schema for f in features)]
    known = [s for s in schemas if s is not None]
    if len(known) < len(schemas):
        raise BoundaryError(
            "A table has a column of a type without a name, so that its schema is not known.",
            remedy="Make it with a schema: `Labels[Late].of(...)`, `Table[Weather].of(...)`.",
        )
    found = findings_of(known[0], known[1:], select=select, trusted=trusted, on_demand=on_demand)
    for finding in found:
        kind = LeakageError if finding.rule == "leak" else BoundaryError
        raise kind(finding.problem, remedy=finding.remedy)
    return plan_build(known[0], known[1:], select, on_demand)


def labelled_rows(labels: Labels[Any], planned: BuildPlan) -> pa.Table:
    """Return the labelled rows, or refuse none, and labels known before their decision.

    Raises:
        DataError: There are no rows.
        LeakageError: A label was known when its decision was made.
    """
    import pyarrow.compute as pc

    table = labels.arrow()
    if not table.num_rows:
        raise DataError(
            "There are no labelled rows to build examples from.",
            remedy="Look at what made the labels: a filter or the maturity may have dropped all.",
        )
    known_time = planned.schema.the("known_time").name
    known, decided = table.column(known_time), table.column(planned.decision_time)
    early = pc.less_equal(known, decided)
    count = pc.sum(early).as_py() or 0
    if count:
        row = early.index(True).as_py()
        raise LeakageError(
            f"{count:,} labels were known when their decision was made, the first in row {row:,}: "
            f"'{known_time}' is {known[row].as_py().isoformat()} and '{planned.decision_time}' is "
            f"{decided[row].as_py().isoformat()}.",
            remedy="Correct the times; a decision about what is known already is none.",
        )
    return table


def facts_of(rows: Table[Any], view: JoinedView) -> Facts:
    """Return a view's rows as facts to join, or refuse rows known before they happened.

    Raises:
        LeakageError: A row claims to be known before it happened.
    """
    table = rows.arrow()
    schema: TableSchema = view.schema
    require_known_after_event(table, schema)
    return Facts(
        rows=table,
        keys=view.keys,
        event_time=schema.the("event_time").name,
        known_time=schema.the("known_time").name,
        expires=view.expires,
    )
