"""This operator puts features beside labels, as they were known when each decision was made."""

from __future__ import annotations

from typing import Any

from features.join import match_as_known, take
from features.on_demand_names import OnDemandOrName
from headrace import Examples, Labels, Table, operator
from headrace.errors import LeakageError
from operators._build_access import check_build_and_access
from operators._build_checks import facts_of, labelled_rows, planned_for
from operators._build_computed import computed_columns, on_demand_views
from operators._build_plan import examples_schema
from operators._separation import first_leak


@operator(check=check_build_and_access, produces=examples_schema)
def build(
    labels: Labels[Any],
    features: list[Table[Any]],
    *,
    select: list[str] | None = None,
    trusted: list[str] | None = None,
    on_demand: list[OnDemandOrName] | None = None,
) -> Examples[Any]:
    """Join feature views to labelled rows, each value as it was known at the row's decision.

    Every labelled row is kept, in its order; where a view knew nothing in time its features are
    null. A correction that arrived after the decision is not seen.

    Args:
        labels: Rows with the roles entity, decision_time, known_time and label. Their columns with
            role "feature" are values of the request and must be known at the decision.
        features: Rows of feature views, as `compute_features` makes them. They are joined on the
            views' entity columns, which the labels must have.
        select: The features to take, as "view:column"; None takes all of every view.
        trusted: Features that may separate the label almost perfectly, as "view:column", or as
            "column" for a value of the request. Any other that does is taken for a leak.
        on_demand: On-demand views, or their names in the catalogue. They are computed of the
            labels' columns and of the joined features, which need not be selected themselves.

    Returns:
        Entity, decision time, known time and label (weight and group, if there are), the request's
        features, then the views' in the order given, then those computed on demand. A name that
        would occur twice is written "view__column".

    Raises:
        LeakageError: A view's row claims to be known before it happened, a label is known before
            its decision, or one feature alone separates the label almost perfectly.
        DataError: There are no labelled rows, or an on-demand view cannot be computed.
    """
    import pyarrow as pa

    wanted = on_demand_views(on_demand)
    planned = planned_for(labels, features, select, trusted, wanted)
    table = labelled_rows(labels, planned)
    columns = {name: table.column(name) for name in planned.kept}
    joined = {}
    for view, rows in zip(planned.views, features, strict=True):
        facts = facts_of(rows, view)
        found = match_as_known(table, facts, at=planned.decision_time)
        values = take(facts.rows.select(view.read), found)
        columns.update({view.taken[name].name: values[name] for name in view.taken})
        joined.update({(view.name, name): values[name] for name in view.needed})
    for each in planned.on_demand:
        columns.update(computed_columns(each, table, joined, at=planned.decision_time))
    examples = pa.table(columns)
    leak = first_leak(examples, planned.schema, trusted or ())
    if leak is not None:
        raise LeakageError(leak.problem(), remedy=leak.remedy())
    return Examples.of(examples, schema=planned.schema)
