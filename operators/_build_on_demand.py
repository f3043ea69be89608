"""This module holds the rules that on-demand views must obey before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from features.on_demand import Needed, OnDemandView
from headrace.calls import Finding
from headrace.errors import did_you_mean
from headrace.schemas import Column, DType, TableSchema

_TEXT: tuple[DType, ...] = ("string", "category")


def on_demand_findings(
    view: OnDemandView,
    labels: TableSchema | None,
    views: Mapping[str, TableSchema] | None,
    others: Sequence[OnDemandView],
) -> Iterator[Finding]:
    """Find what an on-demand view lacks.

    Args:
        view: The view.
        labels: The labels, as the request has them; None while they are not known.
        views: The views that are joined, by name; None while one is not known.
        others: All on-demand views of the call.
    """
    if views is not None and view.name in views:
        yield _finding(
            "duplicate view",
            f"There are a feature view and an on-demand view '{view.name}'.",
            "Rename one of them: they share one name space.",
        )
    if next(each for each in others if each.name == view.name) is not view:
        yield _finding(
            "duplicate view", f"On-demand view '{view.name}' is given twice.", "Give it once."
        )
    if labels is not None:
        named = {c.name for c in labels.with_role("label")} & {c.name for c in view.columns}
        for name in sorted(named):
            yield _finding(
                "leak",
                f"On-demand view '{view.name}' computes a feature by the name of the label, "
                f"'{name}'.",
                "Rename it, or leave it out of the view.",
            )
        yield from _request_findings(view, labels)
    if views is not None:
        for need in view.needs:
            yield from need_findings(view.name, need, views, [each.name for each in others])


def need_findings(
    view: str, need: Needed, views: Mapping[str, TableSchema], on_demand: Sequence[str]
) -> Iterator[Finding]:
    """Find what is wrong with a feature that an on-demand view needs."""
    wants = f"On-demand view '{view}' needs '{need.reference}', "
    if need.view in on_demand:
        yield _finding(
            "unknown view",
            f"{wants}but '{need.view}' is an on-demand view too; none is computed from another.",
            "Call the other's function in this one's, on the inputs of both.",
        )
        return
    if need.view not in views:
        yield _finding(
            "unknown view",
            f"{wants}but view '{need.view}' is not given.{did_you_mean(need.view, views)}",
            "Give it among the features; `select` can leave its columns out of the examples.",
        )
        return
    features = {c.name: c for c in views[need.view].with_role("feature")}
    if need.column not in features:
        yield _finding(
            "unknown column",
            f"{wants}which that view does not have.{did_you_mean(need.column, features)}",
            "Name a feature of the view.",
        )
        return
    has = features[need.column]
    yield from _mismatches(wants, need.dtype, need.unit, has, "the view")


def _request_findings(view: OnDemandView, labels: TableSchema) -> Iterator[Finding]:
    decisions = labels.with_role("decision_time")
    for column in view.request_columns:
        wants = f"On-demand view '{view.name}' takes '{column.name}' from the request, "
        if column.role == "decision_time":
            continue  # of a request it is the moment itself, of labels the column of that role
        if column.name not in labels:
            yield _finding(
                "unknown column",
                f"{wants}which the labels do not have.{did_you_mean(column.name, labels.names)}",
                "Keep the column when labelling, known at the decision, or leave the view out.",
                about="labels",
            )
            continue
        has = labels.column(column.name)
        yield from _mismatches(wants, column.dtype, column.unit, has, "the labels")
        if has.role == "label":
            yield _finding(
                "leak", f"{wants}which is the label.", "Leave it out of the view.", about="labels"
            )
        elif len(decisions) == 1 and has.known_at != decisions[0].name and has != decisions[0]:
            when = (
                f"is known at '{has.known_at}', not at the decision ('{decisions[0].name}')"
                if has.known_at
                else "does not say when it is known"
            )
            yield _finding(
                "leak",
                f"{wants}which {when}.",
                f'Declare `known_at="{decisions[0].name}"` if it is known by then; else leave it '
                "out of the view.",
                about="labels",
            )


def _mismatches(
    wants: str, dtype: DType | None, unit: str | None, has: Column, where: str
) -> Iterator[Finding]:
    fits = (
        dtype is None
        or has.dtype == dtype
        or (has.dtype == "int" and dtype == "float")
        or (has.dtype in _TEXT and dtype in _TEXT)
    )
    about = "labels" if where == "the labels" else "features"
    if not fits:
        yield _finding(
            "type",
            f"{wants}as {dtype}, but it is {has.dtype} in {where}.",
            "Give it the same type on both sides.",
            about=about,
        )
    if unit is not None and has.unit is not None and unit != has.unit:
        yield _finding(
            "unit",
            f"{wants}in '{unit}', but it is in '{has.unit}' in {where}.",
            "Convert it in the function, and declare the unit that it is in.",
            about=about,
        )


def _finding(rule: str, problem: str, remedy: str, *, about: str = "features") -> Finding:
    return Finding(problem=problem, remedy=remedy, rule=rule, input=about)
