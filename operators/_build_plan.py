"""This module works out what `build` makes, and what is wrong with it, from schemas alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from features.on_demand import OnDemandView
from features.view import EXPIRES
from headrace.calls import Finding, PlannedCall
from headrace.schemas import Column, Role, TableSchema
from operators._build_on_demand import on_demand_findings
from operators._build_references import reference_findings
from operators._build_rules import label_findings, view_findings

_KEPT: tuple[Role, ...] = (
    "entity",
    "event_time",
    "decision_time",
    "known_time",
    "label",
    "weight",
    "group",
    "feature",
)


@dataclass(frozen=True, kw_only=True)
class JoinedView:
    """This is how one view's rows are joined.

    Args:
        name: Name of the view.
        schema: Schema of its rows.
        taken: Feature columns that are taken, to their columns in the examples.
        needed: Feature columns that on-demand views are computed from.
    """

    name: str
    schema: TableSchema
    taken: Mapping[str, Column]
    needed: frozenset[str] = frozenset()

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns to join on."""
        return tuple(c.name for c in self.schema.with_role("entity"))

    @property
    def read(self) -> list[str]:
        """The feature columns to join, in the order of the view."""
        features = [c.name for c in self.schema.with_role("feature")]
        return [name for name in features if name in self.taken or name in self.needed]

    @property
    def expires(self) -> str | None:
        """The column that says until when a row may be used."""
        return EXPIRES if EXPIRES in self.schema else None


@dataclass(frozen=True, kw_only=True)
class ComputedView:
    """This is what is computed of one on-demand view.

    Args:
        view: The view.
        taken: Features that are taken, to their columns in the examples.
    """

    view: OnDemandView
    taken: Mapping[str, Column]


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """This is what `build` does.

    Args:
        decision_time: Column of the labels with the moment of the decision.
        kept: Columns of the labels that are kept.
        views: What is joined, in order.
        on_demand: What is computed then, in order.
        schema: What comes out.
    """

    decision_time: str
    kept: tuple[str, ...]
    views: tuple[JoinedView, ...]
    on_demand: tuple[ComputedView, ...]
    schema: TableSchema


def check_build(call: PlannedCall) -> Sequence[Finding]:
    """Find what is wrong with a planned call as far as its schemas are known."""
    labels = call.schema("labels")
    views = [s.schema for s in call.inputs.get("features", ())]
    return findings_of(
        labels,
        views,
        select=call.parameters.get("select"),
        trusted=call.parameters.get("trusted"),
        on_demand=call.parameters.get("on_demand") or (),
    )


def examples_schema(call: PlannedCall) -> TableSchema | None:
    """Return the columns of the examples; None while an input's columns are not known."""
    labels = call.schema("labels")
    views = [s.schema for s in call.inputs.get("features", ())]
    known = [v for v in views if v is not None]
    if labels is None or len(known) < len(views) or check_build(call):
        return None
    select, on_demand = call.parameters.get("select"), call.parameters.get("on_demand") or ()
    return plan_build(labels, known, select, on_demand).schema


def findings_of(
    labels: TableSchema | None,
    views: Sequence[TableSchema | None],
    *,
    select: Sequence[str] | None,
    trusted: Sequence[str] | None,
    on_demand: Sequence[OnDemandView] = (),
) -> list[Finding]:
    """Return everything that is wrong; what is not known is left for the run."""
    found = [] if labels is None else label_findings(labels)
    known = {view_name(v): v for v in views if v is not None}
    names = Counter(view_name(v) for v in views if v is not None)
    for view in (v for v in views if v is not None):
        found += view_findings(view, view_name(view), labels)
    found += [
        Finding(
            problem=f"View '{name}' is given {count} times.",
            remedy="Give each view once.",
            rule="duplicate view",
            input="features",
        )
        for name, count in names.items()
        if count > 1
    ]
    all_known = None not in views
    for each in on_demand:
        found += on_demand_findings(each, labels, known if all_known else None, on_demand)
    if all_known:
        columns = {name: [c.name for c in v.with_role("feature")] for name, v in known.items()}
        columns |= {each.name: [c.name for c in each.columns] for each in on_demand}
        request = [] if labels is None else [c.name for c in labels.with_role("feature")]
        found += reference_findings(select or (), columns, parameter="select", request=())
        if labels is not None:
            found += reference_findings(
                trusted or (), columns, parameter="trusted", request=request
            )
    if labels is not None and all_known and not found:
        found += _clashes(plan_build(labels, list(known.values()), select, on_demand).schema)
    return found


def _clashes(made: TableSchema) -> list[Finding]:
    """Find names that two columns would have: one by itself, one because it shares a shorter."""
    return [
        Finding(
            problem=f"Two columns of the examples would be named '{name}'.",
            remedy="Rename the one that a view calls so, or leave one out with `select`.",
            rule="name clash",
            input="features",
        )
        for name, count in Counter(made.names).items()
        if count > 1
    ]


def plan_build(
    labels: TableSchema,
    views: Sequence[TableSchema],
    select: Sequence[str] | None,
    on_demand: Sequence[OnDemandView] = (),
) -> BuildPlan:
    """Return what `build` does with inputs in which nothing is wrong."""
    decision, known = labels.the("decision_time"), labels.the("known_time")
    kept = [c for role in _KEPT for c in labels.with_role(role)]
    kept_names = tuple(c.name for c in kept)
    offered = {view_name(view): view.with_role("feature") for view in views}
    offered |= {view.name: view.columns for view in on_demand}
    wanted = {
        name: [c for c in columns if select is None or f"{name}:{c.name}" in select]
        for name, columns in offered.items()
    }
    uses = Counter([*kept_names, *(c.name for columns in wanted.values() for c in columns)])
    taken = {
        name: {
            column.name: replace(
                column,
                name=column.name if uses[column.name] == 1 else f"{name}__{column.name}",
                nullable=True,
                source=column.source or name,
                known_at=decision.name,
            )
            for column in columns
        }
        for name, columns in wanted.items()
    }
    computed = [ComputedView(view=v, taken=taken[v.name]) for v in on_demand if taken[v.name]]
    needs = [need for each in computed for need in each.view.needs]
    # what a kept column refers to may be left out; the label's own known time is never too early
    columns = [
        c if c.known_at is None or c.known_at in kept_names else replace(c, known_at=known.name)
        for c in kept
    ]
    columns += [column for each in taken.values() for column in each.values()]
    return BuildPlan(
        decision_time=decision.name,
        kept=kept_names,
        views=tuple(
            JoinedView(
                name=name,
                schema=view,
                taken=taken[name],
                needed=frozenset(need.column for need in needs if need.view == name),
            )
            for name, view in ((view_name(view), view) for view in views)
        ),
        on_demand=tuple(computed),
        schema=TableSchema(name=f"{labels.name} with features", columns=tuple(columns)),
    )


def view_name(view: TableSchema) -> str:
    """Return the name of the view that rows come from."""
    sources = [c.source for c in view.with_role("feature") if c.source]
    return sources[0] if sources else view.name
