"""This module holds the rules that labels and views must obey before they are joined."""

from __future__ import annotations

from headrace.calls import Finding
from headrace.errors import did_you_mean
from headrace.schemas import Column, DType, Role, TableSchema

_NEEDED: tuple[tuple[Role, str, str], ...] = (
    ("entity", "id of a row", "entity"),
    ("decision_time", "time of the decision", "time"),
    ("known_time", "time at which the label was known", "time"),
    ("label", "label", "label"),
)
_VIEW_TIMES: tuple[tuple[Role, str], ...] = (
    ("event_time", "moment that a row is about"),
    ("known_time", "moment from which a row could be used"),
)
_TEXT: tuple[DType, ...] = ("string", "category")


def label_findings(labels: TableSchema) -> list[Finding]:
    """Find missing roles, and features that were not known at the decision."""
    found = []
    for role, what, rule in _NEEDED:
        count = len(labels.with_role(role))
        if count != 1:
            found.append(
                Finding(
                    problem=f"The labels need the {what}, but schema '{labels.name}' has "
                    f"{_columns(count)} with role '{role}'.",
                    remedy=f'Give exactly one column `Col(role="{role}")`.',
                    rule=rule,
                    input="labels",
                )
            )
    decisions = [c.name for c in labels.with_role("decision_time")]
    if len(decisions) == 1:
        for feature in labels.with_role("feature"):
            if feature.known_at != decisions[0]:
                found.append(_leak(labels, feature, decisions[0]))
    return found


def view_findings(view: TableSchema, name: str, labels: TableSchema | None) -> list[Finding]:
    """Find missing times and keys of a view, keys the labels lack, and labels among features."""
    found = []
    for role, what in _VIEW_TIMES:
        count = len(view.with_role(role))
        if count != 1:
            found.append(
                _about_view(
                    "time",
                    f"View '{name}' has {_columns(count)} with role '{role}', the {what}.",
                    "Make the rows with compute_features, or give exactly one column "
                    f'`Col(role="{role}")`.',
                )
            )
    if not view.with_role("feature"):
        found.append(
            _about_view(
                "feature",
                f"View '{name}' has no feature.",
                'Give its feature columns `Col(role="feature")`.',
            )
        )
    found += _late_features(view, name)
    if labels is not None:
        found += _label_among_features(view, name, labels)
    found += _key_findings(view, name, labels)
    return found


def _leak(labels: TableSchema, feature: Column, decision: str) -> Finding:
    when = (
        f"is known at '{feature.known_at}', which is not the decision time '{decision}'"
        if feature.known_at
        else "does not say when it is known"
    )
    return Finding(
        problem=f"Feature '{feature.name}' of schema '{labels.name}' {when}.",
        remedy=f'Declare `Col(role="feature", known_at="{decision}")` if it is known by then; '
        "else take the role away, or bring it in by a feature view.",
        rule="leak",
        input="labels",
    )


def _late_features(view: TableSchema, name: str) -> list[Finding]:
    known = {c.name for c in view.with_role("known_time")} | {None}
    return [
        _about_view(
            "leak",
            f"Feature '{name}:{c.name}' is known at '{c.known_at}', which is not the known time of "
            "its view.",
            "Let the view's known time be the latest moment at which one of its values is known.",
        )
        for c in view.with_role("feature")
        if c.known_at not in known
    ]


def _label_among_features(view: TableSchema, name: str, labels: TableSchema) -> list[Finding]:
    label_names = {c.name for c in labels.with_role("label")}
    leaked = [c.name for c in view.columns if c.role == "label"]
    leaked += [c.name for c in view.with_role("feature") if c.name in label_names]
    return [
        _about_view(
            "leak",
            f"View '{name}' offers the label '{column}' as a feature.",
            "Leave it out of the view.",
        )
        for column in leaked
    ]


def _key_findings(view: TableSchema, name: str, labels: TableSchema | None) -> list[Finding]:
    keys = view.with_role("entity")
    if not keys:
        return [
            _about_view(
                "entity",
                f"View '{name}' has no column with role 'entity' to join on.",
                'Give the columns that identify its entity `Col(role="entity")`.',
            )
        ]
    if labels is None:
        return []
    found = []
    decisions = {c.name for c in labels.with_role("decision_time")} | {None}
    for key in keys:
        if key.name not in labels:
            found.append(
                _about_view(
                    "entity",
                    f"View '{name}' is joined on '{key.name}', which the labels do not have."
                    f"{did_you_mean(key.name, labels.names)}",
                    "Keep the column when labelling, or leave the view out.",
                )
            )
            continue
        ours = labels.column(key.name)
        if ours.dtype != key.dtype and not (ours.dtype in _TEXT and key.dtype in _TEXT):
            found.append(
                _about_view(
                    "entity",
                    f"View '{name}' is joined on '{key.name}', which is {key.dtype} in the view "
                    f"but {ours.dtype} in the labels.",
                    "Give it the same type on both sides.",
                )
            )
        if ours.known_at not in decisions:
            found.append(
                _about_view(
                    "leak",
                    f"View '{name}' is joined on '{key.name}', which is known at "
                    f"'{ours.known_at}', not at the decision.",
                    "Join on what is known at the decision.",
                )
            )
    return found


def _about_view(rule: str, problem: str, remedy: str) -> Finding:
    return Finding(problem=problem, remedy=remedy, rule=rule, input="features")


def _columns(count: int) -> str:
    return "no column" if not count else f"{count} columns"
