"""This operator says what labels cost, how good they are, what the next would bring, when to stop.

`learning_curve`, `expected_gain`, `proven_quality` and `stop_reason` are pure functions of a loop's
rounds; the operator puts them together with what the votes recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from headrace import Report, Votes, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DataError, DefinitionError
from headrace.labels.columns import Vote
from headrace.labels.schema import LabelSchema
from operators._human_costs import costs_by_batch, human_costs, of_people, quality_of
from operators._label_metrics import METRICS, MetricName
from operators._label_stopping import Stop, proven_quality, stop_reason
from operators._labeling_report import money, next_batch, round_shown, unknown_parts
from operators._learning_curve import LearningCurve, RoundQuality, expected_gain, learning_curve
from operators._loss_rounds import LossCurve, LossRound, loss_curve, loss_round, loss_stop
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


def _check(call: PlannedCall) -> list[Finding]:
    return list(_findings(call.parameters))


def _findings(parameters: Mapping[str, Any]) -> Iterator[Finding]:
    metric, schema = METRICS[parameters["metric"]], parameters["schema"]
    target = parameters["target"]
    if target is not None and metric.is_share and target > 1:
        yield Finding(
            problem=f"The target is {target:g}, but '{metric.name}' is between 0 and 1.",
            remedy="Give a target of at most 1.",
            rule="target",
        )
    if schema is not None and schema.kind != metric.kind:
        yield Finding(
            problem=f"'{metric.name}' judges answers of the kind '{metric.kind}', not "
            f"'{schema.kind}'.",
            remedy="Give the metric by which the rounds were judged.",
            rule="metric",
        )


@operator(check=_check)
def labeling_costs(
    votes: Votes[Vote],
    rounds: list[Report] | None = None,
    *,
    next_labels: Annotated[int, Field(ge=1)] | None = None,
    next_items: Annotated[int, Field(ge=1)] | None = None,
    metric: MetricName = "accuracy",
    schema: LabelSchema | None = None,
    target: _Positive | None = None,
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
        rounds: One report a round, oldest first: of `judge_model`, or of `judge_losses` where
            `metric` is one of its. The former with `labels` (the model was fitted on), `right` and
            `judged` (on the random slice, and on it alone); `machine_seconds` if known.
        next_labels: Labels to learn from that the next batch would bring; None for as many as the
            last round added.
        next_items: Items of the next batch, random ones included; None for `next_labels`.
        metric: By what the rounds were judged.
        schema: What could be answered; with a number's tolerance people are right within it, and
            without one their distance from what is known is told.
        target: The metric that is good enough, in its own direction and unit. It is reached when
            the limit of what is proven is.
        budget_seconds: Seconds of people that may be spent.
        least_gain: The accuracy that the next batch should bring, 0.002 for 0.2 points; of another
            metric by how much it should get better, in its unit, and 0 never stops for it.
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
        DefinitionError: The target is a share above 1, or the metric is of another kind of answers.
        DataError: A round lacks a count, or has one that cannot be.
    """
    for finding in _findings({"metric": metric, "schema": schema, "target": target}):
        raise DefinitionError(finding.problem, remedy=finding.remedy)
    people = of_people(votes.arrow().to_pylist())
    human = human_costs(people, idle_seconds=idle_seconds, assumed_seconds=assumed_seconds)
    reports = [each.document for each in rounds or []]
    seen = _Seen.of(reports, metric)
    machine = [each["machine_seconds"] for each in reports if each.get("machine_seconds")]
    coming = next_batch(
        seen.rounds, human, seen.curve, next_labels=next_labels, next_items=next_items
    )
    stop = seen.stop(
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
    spent = (human["seconds"], sum(machine) if machine else None)
    partly = len(machine) < len(seen.rounds)
    batches = costs_by_batch(people, idle_seconds=idle_seconds, assumed_seconds=assumed_seconds)
    return Report.of(
        {
            "passed": stop is None,
            "human": human,
            "batches": batches,
            "machine_seconds": spent[1],
            "cost": money(*spent, rate_per_hour, machine_rate_per_hour, currency),
            "quality": quality_of(people, confidence=confidence, schema=schema),
            "rounds": seen.shown(confidence),
            "proven": seen.proven(confidence),
            "curve": seen.curve.document(),
            "next": coming,
            "stop": None if stop is None else stop.document(),
            "unknown": unknown_parts(human, seen.curve, partly, budget_seconds, coming),
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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """These are the rounds so far, by what they were judged."""

    by_accuracy: list[RoundQuality]
    by_loss: list[LossRound]
    curve: LearningCurve | LossCurve

    @classmethod
    def of(cls, reports: list[dict[str, Any]], metric: MetricName) -> _Seen:
        if metric == "accuracy":
            right = [_round(number, each) for number, each in enumerate(reports)]
            return cls(by_accuracy=right, by_loss=[], curve=learning_curve(right))
        losses = [loss_round(number, each) for number, each in enumerate(reports)]
        return cls(by_accuracy=[], by_loss=losses, curve=loss_curve(losses))

    @property
    def rounds(self) -> list[RoundQuality] | list[LossRound]:
        return self.by_accuracy or self.by_loss

    def stop(self, *, confidence: float, **figures: Any) -> Stop | None:
        if self.by_loss:
            return loss_stop(self.by_loss, **figures)
        return stop_reason(self.by_accuracy, confidence=confidence, **figures)

    def shown(self, confidence: float) -> list[dict[str, Any]]:
        return [round_shown(each, confidence) for each in self.by_accuracy] or [
            {
                "labels": each.labels,
                "judged": each.judged,
                "metric": dict(each.metric),
                "loss": {"mean": each.mean, "error": each.error},
            }
            for each in self.by_loss
        ]

    def proven(self, confidence: float) -> float | None:
        if self.by_loss:
            return self.by_loss[-1].proven
        return proven_quality(self.by_accuracy, confidence=confidence) if self.by_accuracy else None
