"""This module reads a challenger's course out of an endpoint's history; it is pure."""

from __future__ import annotations

from collections.abc import Sequence

from serving._endpoint_records import Change
from serving.route import Route

_RULING = "headrace ruling "
BY_A_RULE = "the rule '"
"""How the reason of what an evaluator does begins; people promote by its ruling too."""


def stay_of(history: Sequence[Change], model: str) -> list[Change]:
    """Return the changes since a challenger was put up, oldest first.

    It is empty for a version that does not challenge.

    Args:
        history: Changes of the endpoint, oldest first, up to the route that is looked at.
        model: The challenger.
    """
    stay: list[Change] = []
    for change in reversed(history):
        if model not in _models(change.after):
            break
        stay.append(change)
    return stay[::-1]


def began_with(history: Sequence[Change], experiment: str) -> Change | None:
    """Return the change with which an experiment began; None where the history lacks it."""
    return next((c for c in history if experiment in _experiments(c.after)), None)


def share_since(stay: Sequence[Change], model: str, began: Change) -> Change:
    """Return the change that gave a challenger its present share; at the latest its beginning."""
    found = began
    for change in stay:
        if change.generation > began.generation:
            before = 0.0 if change.before is None else share_of(change.before, model)
            if before != share_of(change.after, model):
                found = change
    return found


def share_of(route: Route, model: str) -> float:
    """Return which share of the traffic a model is dealt as a challenger, 0 to 1."""
    return 0.0 if route.traffic is None else route.traffic.shares().get(model, 0.0)


def is_watch(history: Sequence[Change], model: str) -> bool:
    """Return whether a version was the champion and watches since the promotion."""
    stay = stay_of(history, model)
    return bool(stay) and stay[0].action == "promote" and stay[-1].after.previous == model


def tries_of(history: Sequence[Change], champion: str, experiment: str) -> tuple[int, int]:
    """Return which one an experiment is of all that tried to replace a champion.

    Every experiment counts, those begun anew too, and in every reign of the champion: they share
    one chance that it is ever replaced by an equal model. Old champions that watch do not try to.

    Returns:
        Its number, from 1, and that of the last one that began with the same change.
    """
    before_it, watching = 0, None
    for change in history:
        known = set() if change.before is None else _experiments(change.before)
        after = change.after
        if change.action == "promote":
            watching = after.previous
        if watching not in _models(after) or after.previous != watching:
            watching = None
        if after.champion != champion:
            continue
        new = [r for r in after.rivals if r.experiment not in known and r.model != watching]
        if any(rival.experiment == experiment for rival in new):
            return before_it + 1, before_it + len(new)
        before_it += len(new)
    return max(before_it, 1), max(before_it, 1)


def authors_of(stay: Sequence[Change], model: str) -> set[str]:
    """Return who put a challenger up, or began its comparison anew; rules are no authors."""
    found = set()
    for change in stay:
        known = set() if change.before is None else _experiments(change.before)
        begins = any(r.model == model and r.experiment not in known for r in change.after.rivals)
        if begins and not by_a_rule(change):
            found.add(change.actor)
    return found


def by_a_rule(change: Change) -> bool:
    """Return whether a change is what a ruling asked for, and nobody's hand."""
    trace = change.trace or {}
    by_hand = change.action == "promote" and not change.reason.startswith(BY_A_RULE)
    return (
        not by_hand
        and str(trace.get("format", "")).startswith(_RULING)
        and change.before is not None
        and trace["state"]["generation"] == change.before.generation
        and trace["action"] not in ("hold", None)
    )


def _models(route: Route) -> set[str]:
    return {rival.model for rival in route.rivals}


def _experiments(route: Route) -> set[str]:
    return {rival.experiment for rival in route.rivals}
