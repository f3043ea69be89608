"""This module writes down what labels cost, what the next would bring, and what nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from operators._learning_curve import LearningCurve, RoundQuality
from operators._loss_rounds import LossCurve, LossRound
from operators._proportions import wilson


def next_batch(
    rounds: Sequence[RoundQuality | LossRound],
    human: dict[str, Any],
    curve: LearningCurve | LossCurve,
    *,
    next_labels: int | None,
    next_items: int | None,
) -> dict[str, Any]:
    """Return what the next batch would bring, and take."""
    labels = next_labels
    if labels is None and rounds:
        before = rounds[-2].labels if len(rounds) > 1 else 0
        labels = max(rounds[-1].labels - before, 0) or None
    items = next_items or labels
    each = human["per_item"]
    gain = curve.gain(rounds[-1].labels, labels) if rounds and labels else None
    return {
        "labels": labels,
        "items": items,
        "seconds": each * items if each is not None and items else None,
        "gain": None if gain is None else gain.document(),
    }


def money(
    human: float | None,
    machine: float | None,
    rate: float | None,
    machine_rate: float | None,
    currency: str,
) -> dict[str, Any] | None:
    """Return the cost in money of what is known; None where nobody said what an hour costs."""
    if rate is None and machine_rate is None:
        return None
    people = None if rate is None or human is None else human / 3600 * rate
    machines = None if machine_rate is None or machine is None else machine / 3600 * machine_rate
    known = [part for part in (people, machines) if part is not None]
    return {
        "currency": currency,
        "people": people,
        "machine": machines,
        "total": sum(known) if known else None,
    }


def round_shown(each: RoundQuality, confidence: float) -> dict[str, Any]:
    """Return the accuracy of a round, with its interval."""
    accuracy = wilson(each.right, each.judged, confidence=confidence)
    return {"labels": each.labels, "judged": each.judged, "accuracy": accuracy.document()}


def unknown_parts(
    human: dict[str, Any],
    curve: LearningCurve | LossCurve,
    machine_unknown: bool,
    budget: float | None,
    coming: dict[str, Any],
) -> list[str]:
    """Return what could not be said, and why."""
    said = []
    if human["seconds"] is None:
        said.append(
            "Nobody timed a vote, so what people cost is not known"
            + (" and the budget was not looked at." if budget is not None else ".")
        )
    elif human["untimed"]:
        said.append(f"Nobody timed {human['untimed']:,} votes; what they cost is taken as usual.")
    if budget is not None and human["seconds"] is not None and coming["seconds"] is None:
        said.append("What the next batch costs is not known; only what is spent was looked at.")
    if not curve.known:
        said.append(f"What more labels bring is not known: {curve.why}")
    if machine_unknown:
        said.append("The machine's seconds of some rounds are not known.")
    return said
