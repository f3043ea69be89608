"""This module decides whether a loop of labeling ends: target reached, money spent, nothing gained.

The target counts as reached when the *lower* limit of the latest round's accuracy reaches it. A
loop looks after every round, so the allowed chance of error is split over the looks, look k taking
1 / (k (k + 1)) of it: however long the loop runs, the chance that it ever stops on a model that is
below the target is at most 1 - confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from operators._learning_curve import RoundQuality, learning_curve
from operators._proportions import at_least


@dataclass(frozen=True, kw_only=True)
class Stop:
    """This says that a loop ends, and why.

    Args:
        reason: "target": good enough. "exhausted": nothing is left to label. "budget": the next
            batch costs more than is left. "no_gain": more labels are shown to bring little.
        why: The same with figures, as a sentence.
    """

    reason: Literal["target", "exhausted", "budget", "no_gain"]
    why: str

    def document(self) -> dict[str, str]:
        """Return it as JSON-like data."""
        return asdict(self)


def proven_quality(rounds: Sequence[RoundQuality], *, confidence: float = 0.95) -> float:
    """Return what the latest round's accuracy is at least, all looks counted; 0 before.

    Args:
        rounds: The rounds so far, oldest first; each is a look.
        confidence: That this limit is right after every round of a loop, all together.
    """
    if not rounds:
        return 0.0
    look = len(rounds)
    allowed = (1 - confidence) / (look * (look + 1))
    return at_least(rounds[-1].right, rounds[-1].judged, confidence=1 - allowed)


def stop_reason(
    rounds: Sequence[RoundQuality],
    *,
    next_labels: int | None = None,
    target: float | None = None,
    spent_seconds: float = 0.0,
    next_seconds: float | None = None,
    budget_seconds: float | None = None,
    least_gain: float = 0.002,
    patience: int = 2,
    left: int | None = None,
    confidence: float = 0.95,
) -> Stop | None:
    """Return why to stop, or None to go on; what is not known is no reason.

    Args:
        rounds: The rounds so far, oldest first.
        next_labels: Labels to learn from that the next batch would bring; None when not known.
        target: The accuracy on the random slice that is good enough.
        spent_seconds: Seconds of people so far.
        next_seconds: Seconds of people that the next batch would cost; None when not known.
        budget_seconds: Seconds of people that may be spent; None for no limit.
        least_gain: The accuracy that the next batch should bring, such as 0.002 for 0.2 points.
        patience: After how many rounds in a row, each of which shows that the gain is below
            `least_gain` (the upper limit of an 80 % interval is), to stop.
        left: Items that may still be asked for; None when not known.
        confidence: Of the target; see `proven_quality`.
    """
    if target is not None and rounds:
        proven = proven_quality(rounds, confidence=confidence)
        if proven >= target:
            return Stop(
                reason="target",
                why=f"The accuracy on {rounds[-1].judged:,} random items is at least "
                f"{proven:.3f}; the target is {target:g}.",
            )
    return budget_stop(left, spent_seconds, next_seconds, budget_seconds) or _no_gain(
        rounds, next_labels, least_gain, patience
    )


def budget_stop(
    left: int | None,
    spent_seconds: float,
    next_seconds: float | None,
    budget_seconds: float | None,
) -> Stop | None:
    """Return that nothing is left to ask for, or no time of people; None where both are."""
    if left is not None and left <= 0:
        return Stop(reason="exhausted", why="Every item was asked for.")
    if budget_seconds is not None:
        after = spent_seconds + (next_seconds or 0.0)
        if spent_seconds >= budget_seconds or after > budget_seconds:
            return Stop(
                reason="budget",
                why=f"{spent_seconds:,.0f} s of people are spent and the next batch takes about "
                f"{next_seconds or 0.0:,.0f} s; {budget_seconds:,.0f} s may be.",
            )
    return None


def _no_gain(
    rounds: Sequence[RoundQuality], more: int | None, least: float, patience: int
) -> Stop | None:
    if more is None:
        return None
    most = []
    for end in range(len(rounds) - patience + 1, len(rounds) + 1):
        curve = learning_curve(rounds[: max(end, 0)])
        gain = curve.gain(rounds[end - 1].labels, more) if curve.known else None
        if gain is None or gain.high >= least:
            return None
        most.append(gain.high)
    return Stop(
        reason="no_gain",
        why=f"{more:,} more labels bring at most {max(most):.4f} of accuracy, {patience} rounds "
        f"in a row; {least:g} are asked for.",
    )
