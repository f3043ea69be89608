"""This module says whether a loop goes on, of what was found; pure, so that it can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

WANTED = "headrace.labels.wanted"
DUE = "headrace.labels.due"
STOPPED = "headrace.labels.stopped"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """This says whether people are asked again, and why.

    Attributes:
        decision: "next" when they are, "stop" when not.
        reason: "target", "budget", "no_gain", "exhausted", "no_answers", or "" to go on.
        why: The same in a sentence.
    """

    decision: Literal["next", "stop"]
    reason: str
    why: str


def verdict(
    collected: Mapping[str, Any], costs: Mapping[str, Any], left: Mapping[str, Any]
) -> Verdict:
    """Return whether a loop goes on after its last batch."""
    last = collected["batches"][-1]
    if not last["votes"]:
        return _stop("no_answers", _unanswered(last))
    if costs.get("stop"):
        return _stop(costs["stop"]["reason"], costs["stop"]["why"])
    if not left["passed"]:
        return _stop("exhausted", f"All {left['items']:,} items of the pool were asked for.")
    return Verdict(
        decision="next",
        reason="",
        why=f"{left['left']:,} items are left, and there is no reason to stop.",
    )


def summary(
    costs: Mapping[str, Any],
    judged: Sequence[Mapping[str, Any]],
    compared: Sequence[Mapping[str, Any]],
    audits: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what a reader wants to know of a round."""
    newest = judged[-1] if judged else None
    by_loss = {} if newest is None or "score" not in newest else score_of(newest)
    return {
        "model": None if newest is None else newest["model"],
        "labels": 0 if newest is None else newest["labels"],
        "judged": 0 if newest is None else newest["judged"],
        "accuracy": None if newest is None else newest.get("accuracy"),
        "gain": compared[-1]["gain"] if compared else None,
        "human": costs["human"],
        "cost": costs["cost"],
        "quality": costs["quality"],
        "next": costs["next"],
        "unknown": costs["unknown"],
        "suspects": audits[-1].get("suspects") if audits else None,
        **by_loss,
    }


def score_of(judged: Mapping[str, Any]) -> dict[str, Any]:
    """Return by what a model of several choices or of numbers was judged, and how well it did."""
    metric = judged["metric"]
    return {
        "metric": metric["name"],
        "unit": metric["unit"],
        "lower_is_better": metric["lower_is_better"],
        "score": judged["score"],
        "proven": judged["proven"],
    }


def _unanswered(last: Mapping[str, Any]) -> str:
    which = f"batch {last['batch']}"
    if last["skips"]:
        reasons = ", ".join(f"'{why}' {n:,}" for why, n in list(last["reasons"].items())[:3])
        return (
            f"Nobody answered: all {last['skips']:,} votes on {which} are skips ({reasons}); "
            "asking for more would bring the same."
        )
    why = f" ({last['why']})" if last["why"] else ""
    return f"Nobody answered: {which} was closed without a vote{why}."


def _stop(reason: str, why: str) -> Verdict:
    return Verdict(decision="stop", reason=reason, why=why)
