"""This module works out what `build` makes, and what is wrong with it, from schemas alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from features.view import EXPIRES
from headrace.calls import Finding, PlannedCall
from headrace.errors import did_you_mean
from headrace.schemas import Column, Role, TableSchema
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
    """

    name: str
    schema: TableSchema
    taken: Mapping[str, Column]

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns to join on."""
        return tuple(c.name for c in self.schema.with_role("entity"))

    @property
    def expires(self) -> str | None:
        """The column that says until when a row may be used."""
        return EXPIRES if EXPIRES in self.schema else None


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """This is what `build` does.

    Args:
        decision_time: Column of the labels with the moment of the decision.
        kept: Columns of the labels that are kept.
        views: What is joined, in order.
        schema: What comes out.
    """

    decision_time: str
    kept: tuple[str, ...]
    views: tuple[JoinedView, ...]
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
    )


def examples_schema(call: PlannedCall) -> TableSchema | None:
    """Return the columns of the examples; None while an input's columns are not known."""
    labels = call.schema("labels")
    views = [s.schema for s in call.inputs.get("features", ())]
    known = [v for v in views if v is not None]
    if labels is None or len(known) < len(views) or check_build(call):
        return None
    return plan_build(labels, known, call.parameters.get("select")).schema


def findings_of(
    labels: TableSchema | None,
    views: Sequence[TableSchema | None],
    *,
    select: Sequence[str] | None,
    trusted: Sequence[str] | None,
) -> list[Finding]:
    """Return everything that is wrong; what is not known is left for the run."""
    found = [] if labels is None else label_findings(labels)
    known = [v for v in views if v is not None]
    for view in known:
        found += view_findings(view, view_name(view), labels)
    names = Counter(view_name(v) for v in known)
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
    if len(known) == len(views):
        request = [] if labels is None else [c.name for c in labels.with_role("feature")]
        found += _reference_findings(select or (), known, parameter="select", request=())
        if labels is not None:
            found += _reference_findings(trusted or (), known, parameter="trusted", request=request)
    if labels is not None and len(known) == len(views) and not found:
        found += _clashes(plan_build(labels, known, select).schema)
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
    labels: TableSchema, views: Sequence[TableSchema], select: Sequence[str] | None
) -> BuildPlan:
    """Return what `build` does with inputs in which nothing is wrong."""
    decision, known = labels.the("decision_time"), labels.the("known_time")
    kept = [c for role in _KEPT for c in labels.with_role(role)]
    kept_names = tuple(c.name for c in kept)
    wanted = [
        (view, column)
        for view in views
        for column in view.with_role("feature")
        if select is None or f"{view_name(view)}:{column.name}" in select
    ]
    uses = Counter([*kept_names, *(column.name for _, column in wanted)])
    joined = []
    for view in views:
        name = view_name(view)
        taken = {
            column.name: replace(
                column,
                name=column.name if uses[column.name] == 1 else f"{name}__{column.name}",
                nullable=True,
                source=column.source or name,
                known_at=decision.name,
            )
            for owner, column in wanted
            if owner is view
        }
        joined.append(JoinedView(name=name, schema=view, taken=taken))
    # what a kept column refers to may be left out; the label's own known time is never too early
    columns = [
        c if c.known_at is None or c.known_at in kept_names else replace(c, known_at=known.name)
        for c in kept
    ]
    columns += [column for one in joined for column in one.taken.values()]
    return BuildPlan(
        decision_time=decision.name,
        kept=kept_names,
        views=tuple(joined),
        schema=TableSchema(name=f"{labels.name} with features", columns=tuple(columns)),
    )


def view_name(view: TableSchema) -> str:
    """Return the name of the view that rows come from."""
    sources = [c.source for c in view.with_role("feature") if c.source]
    return sources[0] if sources else view.name


def _reference_findings(
    references: Sequence[str],
    views: Sequence[TableSchema],
    *,
    parameter: str,
    request: Sequence[str],
) -> list[Finding]:
    """Find references that name no feature; `request` are names that need no view."""
    found = []
    columns = {view_name(v): [c.name for c in v.with_role("feature")] for v in views}
    every = [f"{view}:{column}" for view, names in columns.items() for column in names]
    for reference in references:
        view, separator, column = reference.partition(":")
        if reference in every or reference in request:
            continue
        if separator and view in columns:
            problem = f"View '{view}' has no column '{column}'."
            problem += did_you_mean(column, columns[view])
        elif separator:
            problem = f"There is no view '{view}' among the features."
            problem += did_you_mean(view, columns)
        else:
            problem = (
                f"There is no feature '{reference}'.{did_you_mean(reference, [*every, *request])}"
            )
        found.append(
            Finding(
                problem=f"Parameter '{parameter}' names '{reference}'. {problem}",
                remedy='Write "view:column", with a view that is given to `features`.',
                rule="unknown column" if separator and view in columns else "unknown view",
                input="features",
            )
        )
    return found
