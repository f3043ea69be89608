"""This module works out what is to be logged of outcomes that are told: all of a body, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.clock import current_clock, from_us
from headrace.decisions import DecisionLog
from serving._outcome_errors import (
    ambiguous_entity,
    known_before_the_first,
    no_decision_about,
    no_window,
    unfit_value,
    unknown_outcome,
)
from serving._outcome_state import Told, fate_of, present_of, told_of
from serving._request_errors import RequestError
from serving._requests import OutcomeRequest
from serving.lane.recent import RecentDecisions
from serving.outcome_kinds import OutcomeKind

LAST_TOUCH = "last touch"
"""What is kept as the source of an outcome that was given to the last decision about an entity."""


def weigh(
    log: DecisionLog,
    outcomes: Sequence[OutcomeRequest],
    kinds: Mapping[str, OutcomeKind],
    recent: RecentDecisions,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return what is to be logged of outcomes that are told, all or none of them.

    Args:
        log: The decision log, which is read.
        outcomes: What is told, in this order.
        kinds: What may be told, by name.
        recent: Finds decisions by their entities; it has caught up.

    Returns:
        The records; and how many were recorded for the first time, were told before, took the
        place of what was told before, and of the two that are new, how many came late.

    Raises:
        RequestError: One is of no known decision, or contradicts what was told before.
    """
    now = current_clock().now_us()
    counts = {"recorded": 0, "repeated": 0, "corrected": 0, "late": 0}
    records: list[dict[str, Any]] = []
    states: dict[tuple[str, str], list[Told]] = {}
    decided: dict[str, tuple[int, list[dict[str, Any]]]] = {}
    for index, outcome in enumerate(outcomes):
        kind = kinds.get(outcome.name)
        if kind is None:
            raise unknown_outcome(index, outcome.name, kinds)
        if not kind.allows(outcome.value):
            raise unfit_value(index, kind, outcome.value)
        known_us = now if outcome.known_us is None else outcome.known_us
        name = outcome.id or _attributed(index, outcome, kind, known_us, recent)
        if name not in decided:
            decided[name] = _looked_up(log, name)
        at_us, logged = decided[name]
        state = states.get((name, kind.name))
        if state is None:
            state = states[name, kind.name] = [
                told_of(each) for each in logged if (each.get("name") or "") == kind.name
            ]
        fate = fate_of(state, outcome.value, outcome.known_us, corrects=outcome.corrects, now=now)
        if fate == "repeated":
            counts["repeated"] += 1
            continue
        if fate == "conflict":
            present = present_of(state)
            has = None if present is None else present.value
            raise RequestError.outcome_conflict(name, has, outcome.value)
        if known_us < at_us:
            raise RequestError.outcome_before_decision(name, from_us(known_us), from_us(at_us))
        if fate == "too_early":
            first = min(each.known_us for each in state if not each.corrects)
            raise known_before_the_first(name, known_us, first)
        late = kind.is_late(at_us, known_us)
        counts["corrected" if state and outcome.corrects else "recorded"] += 1
        counts["late"] += late
        state.append(Told(outcome.value, known_us, outcome.corrects))
        records.append(_document(name, outcome, known_us, now, late=late))
    return records, counts


def _looked_up(log: DecisionLog, name: str) -> tuple[int, list[dict[str, Any]]]:
    """Return when a decision was made, and what was told of it."""
    decision = log.decision(name)
    if decision is None:
        raise RequestError.unknown_decision(name)
    at_us: int = decision["at"]
    return at_us, log.outcomes(name)


def _attributed(
    index: int,
    outcome: OutcomeRequest,
    kind: OutcomeKind,
    known_us: int,
    recent: RecentDecisions,
) -> str:
    """Return the last decision about an entity within the window before an outcome was known."""
    entity = outcome.entity or {}
    window = kind.window_us
    if window is None:
        raise no_window(index, kind)
    at_us, found = recent.newest(entity, since_us=known_us - window, until_us=known_us)
    if not found:
        raise no_decision_about(
            index, entity, kind, known_us, columns=recent.columns(), kept=recent.most
        )
    if len(found) > 1:
        raise ambiguous_entity(index, entity, found, at_us)
    return found[0]


def _document(
    name: str, outcome: OutcomeRequest, known_us: int, now: int, *, late: bool
) -> dict[str, Any]:
    """Return an outcome's record; what it does not say, it does not hold."""
    document: dict[str, Any] = {
        "kind": "outcome",
        "id": name,
        "known_at": known_us,
        "logged": now,
        "value": outcome.value,
    }
    if outcome.name:
        document["name"] = outcome.name
    if outcome.corrects:
        document["corrects"] = True
    if late:
        document["late"] = True
    source = outcome.source or (LAST_TOUCH if outcome.entity is not None else None)
    if source is not None:
        document["source"] = source
    return document
