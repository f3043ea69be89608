"""This operator says what labels cost, how good they are, what the next would bring, when to stop.

`learning_curve`, `expected_gain`, `proven_quality` and `stop_reason` are pure functions of a loop's
rounds; the operator puts them together with what the votes recorded.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from headrace import Report, Votes, operator
from headrace.errors import DataError
from headrace.labels.columns import Vote
from operators._human_costs import costs_by_batch, human_costs, of_people, quality_of
from operators._label_stopping import Stop, proven_quality, stop_reason
from operators._labeling_report import money, next_batch, round_shown, unknown_parts
from operators._learning_curve import LearningCurve, RoundQuality, expected_gain, learning_curve
from operators._proportions import Estimate

__all__ = [
    "Estimate",
    "LearningCurve",
    "RoundQuality",
    "Stop",
    "expected_gain",
    "labeling_costs",
    "learning_curve",
    "proven_quality",
    "stop_reason",
]

_Positive = Annotated[float, Field(gt=0)]
_Rate = Annotated[float, Field(ge=0)] | None
_COUNTS = ("labels", "right", "judged")


@operator()
def labeling_costs(
    votes: Votes[Vote],
    rounds: list[Report] | None = None,
    *,
    next_labels: Annotated[int, Field(ge=1)] | None = None,
    next_items: Annotated[int, Field(ge=1)] | None = None,
    target: Annotated[float, Field(gt=0, le=1)] | None = None,
    budget_seconds: _Positive | None = None,
    least_gain: Annotated[float, Field(ge=0)] = 0.002,
    patience: Annotated[int, Field(ge=1)] = 2,
    left: Annotated[int, Field(ge=0)] | None = None,
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95,
    idle_seconds: _Positive = 180.0,
    assumed_seconds: _Positive | None = None,
    rate_per_hour: _Rate = None,
    machine_rate_per_hour: _Rate = None,
    currency: str = "",
) -> Report:
    """Report what labels cost, how good they are, what more would bring, and when to stop.

    Args:
        votes: All votes of a task so far, of all its batches; those of rules and models cost
            nothing here.
        rounds: One report a round, oldest first, with `labels` (the model was fitted on), `right`
            and `judged` (on the random slice, and on it alone); `machine_seconds` if known. What
            else they hold is not looked at.
        next_labels: Labels to learn from that the next batch would bring; None for as many as the
            last round added.
        next_items: Items of the next batch, random ones included; None for `next_labels`.
        target: The accuracy that is good enough. It is reached when the lower limit is.
        budget_seconds: Seconds of people that may be spent.
        least_gain: The accuracy that the next batch should bring, 0.002 for 0.2 points.
        patience: After how many rounds in a row that show less to stop.
        left: Items that may still be asked for.
        confidence: Of the intervals of quality, and of the target.
        idle_seconds: A vote that took longer counts as this.
        assumed_seconds: Seconds of a vote that nobody timed; None for the mean of those timed.
        rate_per_hour: What an hour of a rater costs.
        machine_rate_per_hour: What an hour of the machine costs.
        currency: What the rates are in, for readers.

    Returns:
        `human`, and the same for each of `batches`: votes, skips, items, seconds, median, mean,
        per_item, capped, untimed; `machine_seconds`; `cost`; `quality` of people's votes on gold
        items and with each other; `rounds` with the accuracy of each and its interval, and
        `proven`, what the last is at least, all looks counted; `curve`; `next`: labels, items,
        seconds and the expected `gain` with an 80 % interval; `stop` with reason and why, or None;
        `unknown`: what could not be said, and why. It passes while there is no reason to stop.

    Raises:
        DataError: A round lacks a count, or has one that cannot be.
    """
    people = of_people(votes.arrow().to_pylist())
    human = human_costs(people, idle_seconds=idle_seconds, assumed_seconds=assumed_seconds)
    reports = [each.document for each in rounds or []]
    seen = [_round(number, each) for number, each in enumerate(reports)]
    machine = [each["machine_seconds"] for each in reports if each.get("machine_seconds")]
    curve = learning_curve(seen)
    coming = next_batch(seen, human, curve, next_labels=next_labels, next_items=next_items)
    stop = stop_reason(
        seen,
        next_labels=coming["labels"],
        target=target,
        spent_seconds=human["seconds"] or 0.0,
        next_seconds=coming["seconds"],
        budget_seconds=None if human["seconds"] is None else budget_seconds,
        least_gain=least_gain,
        patience=patience,
        left=left,
        confidence=confidence,
    )
    machine_seconds = sum(machine) if machine else None
    return Report.of(
        {
            "passed": stop is None,
            "human": human,
            "batches": costs_by_batch(
                people, idle_seconds=idle_seconds, assumed_seconds=assumed_seconds
            ),
            "machine_seconds": machine_seconds,
            "cost": money(
                human["seconds"], machine_seconds, rate_per_hour, machine_rate_per_hour, currency
            ),
            "quality": quality_of(people, confidence=confidence),
            "rounds": [round_shown(each, confidence) for each in seen],
            "proven": proven_quality(seen, confidence=confidence) if seen else None,
            "curve": curve.document(),
            "next": coming,
            "stop": None if stop is None else stop.document(),
            "unknown": unknown_parts(
                human, curve, len(machine) < len(seen), budget_seconds, coming
            ),
        }
    )


def _round(number: int, document: dict[str, Any]) -> RoundQuality:
    for name in _COUNTS:
        if not isinstance(document.get(name), int) or isinstance(document[name], bool):
            raise DataError(
                f"The report of round {number + 1:,} has no count '{name}', but "
                f"{document.get(name)!r}.",
                remedy="Give `labels`, `right` and `judged` of the random slice as whole numbers.",
            )
    return RoundQuality(**{name: document[name] for name in _COUNTS})
