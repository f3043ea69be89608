"""This operator compares the features that models were given with what training would have seen.

@flow(grants=["decisions:flight_delay", "feature:carrier_history/*"])
def watch_skew() -> Report:
served = served_features(endpoint="flight_delay", sample=1_000)
return measure_skew(served, [read_features(view="carrier_history")])
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from features.join import Facts, match_as_known, take
from features.view import EXPIRES
from headrace import Report, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import BoundaryError, did_you_mean
from headrace.schemas import Column, TableSchema
from operators._build_plan import view_name
from operators._skew_values import Compared, compare

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = "entity."
_NOT_LOOKED_UP = "not_looked_up"


def _check(call: PlannedCall) -> list[Finding]:
    served, rows = call.schema("served"), [s.schema for s in call.inputs.get("view_rows", ())]
    known = [schema for schema in rows if schema is not None]
    if served is None or len(known) < len(rows):
        return []
    return _missing(served, known)


@operator(check=_check)
def measure_skew(
    served: Table[Any],
    view_rows: list[Table[Any]],
    *,
    at_least: Annotated[float, Field(gt=0, le=1)] = 0.999,
    sample: Annotated[int, Field(ge=1)] | None = None,
    seed: int | None = None,
    shown: Annotated[int, Field(ge=0)] = 5,
) -> Report:
    """Say how often a served feature is what the offline join gives for the same moment.

    A value is the same when it is the same to the last bit; null and NaN are one. Values that a
    client gave instead of the views' are not compared.

    Args:
        served: What models were given, as `served_features` makes it.
        view_rows: Rows of the views, as `compute_features` or `read_features` gives them: all that
            was known up to the last of these decisions.
        at_least: The share of equal values that every feature must reach, above 0, at most 1.
        sample: How many decisions to look at; None for all.
        seed: Which ones.
        shown: How many differing values to show of each feature.

    Returns:
        passed, at_least, decisions, of (how many there were), compared, equal, share (null when
        nothing was compared, which never passes), features [{view, feature, compared, equal,
        share, differing: [{decision, entity, at, served, offline}]}], versions (views whose rows
        are of another version than what was served), and told, a sentence for people.

    Raises:
        BoundaryError: A view whose features were served has no rows here.
    """
    served_schema = _known(served)
    schemas = [_known(rows) for rows in view_rows]
    for finding in _missing(served_schema, schemas):
        raise BoundaryError(finding.problem, remedy=finding.remedy)
    table = _sampled(served.arrow(), sample, seed or 0)
    by_view = {_view(view_name(s)): (s, r) for s, r in zip(schemas, view_rows, strict=True)}
    looked_up = _looked_up(table)
    features, versions = [], []
    for source in _sources(served_schema):
        schema, rows = by_view[_view(source)]
        if view_name(schema) != source:
            versions.append({"served": source, "rows": view_name(schema)})
        columns = [c for c in served_schema.with_role("feature") if c.source == source]
        values = _offline(table, rows.arrow(), schema, [_feature(c) for c in columns])
        for column in columns:
            used = looked_up(column.name)
            compared = compare(table.column(column.name), values[_feature(column)], used)
            features.append(_said(column, compared, table, schema, shown))
    document = _document(features, versions, at_least)
    return Report.of({**document, "decisions": table.num_rows, "of": served.rows})


def _document(
    features: list[dict[str, Any]], versions: list[dict[str, str]], at_least: float
) -> dict[str, Any]:
    compared = sum(f["compared"] for f in features)
    equal = sum(f["equal"] for f in features)
    below = [f for f in features if f["share"] is not None and f["share"] < at_least]
    return {
        "passed": compared > 0 and not below and not versions,
        "at_least": at_least,
        "compared": compared,
        "equal": equal,
        "share": equal / compared if compared else None,
        "features": features,
        "versions": versions,
        "told": _told(compared, equal, below, versions),
    }


def _told(
    compared: int, equal: int, below: Sequence[Mapping[str, Any]], versions: Sequence[Any]
) -> str:
    if not compared:
        return "Nothing was compared, so nothing is known of skew."
    said = f"{equal:,} of {compared:,} served values are what the offline join gives"
    for each in versions:
        said += f"; '{each['served']}' was served, the rows are of '{each['rows']}'"
    if below:
        worst = min(below, key=lambda f: f["share"])
        others = f" and {len(below) - 1} more" if len(below) > 1 else ""
        said += f"; too few of '{worst['view']}:{worst['feature']}' ({worst['share']:.2%}){others}"
    return said + "."


def _said(
    column: Column, compared: Compared, table: pa.Table, schema: TableSchema, shown: int
) -> dict[str, Any]:
    used, differing = int(compared.used.sum()), compared.differing
    equal = used - len(differing)
    keys = [c.name for c in schema.with_role("entity")]
    return {
        "view": column.source,
        "feature": _feature(column),
        "compared": used,
        "equal": equal,
        "share": equal / used if used else None,
        "differing": [
            {
                "decision": table["decision"][row].as_py(),
                "entity": {key: table[_KEY + key][row].as_py() for key in keys},
                "at": table["decided_at"][row].as_py().isoformat(),
                "served": compared.served[row],
                "offline": compared.offline[row],
            }
            for row in differing[:shown]
        ],
    }


def _offline(
    served: pa.Table, rows: pa.Table, schema: TableSchema, names: Sequence[str]
) -> dict[str, Any]:
    """Return features as the join gives them for the moment of each decision."""
    keys = tuple(c.name for c in schema.with_role("entity"))
    facts = Facts(
        rows=rows,
        keys=keys,
        event_time=schema.the("event_time").name,
        known_time=schema.the("known_time").name,
        expires=EXPIRES if EXPIRES in schema else None,
    )
    spine = served.select(["decided_at", *(_KEY + key for key in keys)])
    found = match_as_known(spine.rename_columns(["decided_at", *keys]), facts, at="decided_at")
    return take(rows.select(list(names)), found)


def _sampled(table: pa.Table, sample: int | None, seed: int) -> pa.Table:
    import numpy as np

    if sample is None or sample >= table.num_rows:
        return table
    chosen = np.random.default_rng(seed).choice(table.num_rows, sample, replace=False)
    return table.take(np.sort(chosen))


def _looked_up(table: pa.Table) -> Any:
    """Return a function from a feature's column to the rows in which it was looked up."""
    import numpy as np

    but: dict[str, list[int]] = {}
    for row, listed in enumerate(table.column(_NOT_LOOKED_UP).to_pylist()):
        for name in json.loads(listed) if listed else ():
            but.setdefault(name, []).append(row)

    def used(name: str) -> Any:
        rows = np.ones(table.num_rows, dtype=np.bool_)
        rows[but.get(name, [])] = False
        return rows

    return used


def _missing(served: TableSchema, rows: Sequence[TableSchema]) -> list[Finding]:
    """Find what was served of views that have no rows, or not the feature."""
    views = {_view(view_name(schema)): schema for schema in rows}
    found = []
    for source in _sources(served):
        schema = views.get(_view(source))
        if schema is None:
            problem = (
                f"Features of view '{source}' were served, but its rows are not given."
                f"{did_you_mean(source, views)}"
            )
            remedy = "Give the rows of every view that the endpoint looks up."
            found.append(Finding(problem=problem, remedy=remedy, rule="skew", input="view_rows"))
            continue
        wanted = [*(_feature(c) for c in served.with_role("feature") if c.source == source)]
        found += [
            Finding(
                problem=f"Feature '{name}' of view '{source}' was served, but its rows lack it."
                f"{did_you_mean(name, schema.names)}",
                remedy="Give the rows of the version that the endpoint looks up, with all that it "
                "looks up.",
                rule="skew",
                input="view_rows",
            )
            for name in wanted
            if name not in schema
        ]
    return found


def _sources(served: TableSchema) -> list[str]:
    return list(dict.fromkeys(c.source for c in served.with_role("feature") if c.source))


def _feature(column: Column) -> str:
    """Return the name that a view gives a served column, which is "view:feature"."""
    return column.name.partition(":")[2]


def _view(source: str) -> str:
    return source.partition("@")[0]


def _known(table: Table[Any]) -> TableSchema:
    if table.schema is None:
        raise BoundaryError(
            "A table to compare has a column of a type without a name, so its schema is not known.",
            remedy="Give what `served_features`, `compute_features` and `read_features` make.",
        )
    return table.schema
