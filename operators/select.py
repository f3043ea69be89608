"""This module chooses one model among candidates by what they do on the validation set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from headrace import Model, Report, Schema, SelectedModel, ValidationSet, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DefinitionError, ParameterError
from headrace.models import ModelCard
from operators._baseline import (
    feature_findings,
    schema_known,
    scored,
    timezone_findings,
)
from operators._comparison import against_baseline, candidate_rows, loss_by, name_of
from operators._examples import described, require_both_classes
from operators._metrics import CLASSIFICATION, ESTIMATION, metrics_of
from operators.scoring import size_of

S = TypeVar("S", bound=Schema)
_METRICS_OF = {"classification": CLASSIFICATION, "estimation": ESTIMATION}


def _check(call: PlannedCall) -> list[Finding]:
    findings = [
        *timezone_findings(call.parameters.get("timezone", "UTC")),
        *_metric_findings(call),
    ]
    validation = call.schema("validation")
    if validation is None:
        return findings
    seen: set[str] = set()
    for symbol in call.inputs.get("candidates", ()):
        if symbol.schema is None:
            continue
        for finding in feature_findings(
            symbol.schema, validation, input_name="validation", what="validation set"
        ):
            if finding.problem not in seen:
                findings.append(finding)
                seen.add(finding.problem)
    return findings


def _metric_findings(call: PlannedCall) -> list[Finding]:
    tasks = [symbol.task for symbol in call.inputs.get("candidates", ()) if symbol.task]
    metric = call.parameters.get("metric", "log_loss")
    if not tasks or metric in _METRICS_OF[tasks[0]]:
        return []
    return [
        Finding(
            problem=f"'{metric}' is no metric of {tasks[0]}.",
            remedy=f"Use one of {', '.join(_METRICS_OF[tasks[0]])}.",
            rule="wrong task",
        )
    ]


@operator(check=_check)
def select(
    candidates: list[Model],
    validation: ValidationSet[S],
    *,
    metric: Literal[
        "log_loss", "auc", "brier", "average_precision", "accuracy", "rmse", "mae", "r2"
    ] = "log_loss",
    tolerance: Annotated[float, Field(ge=0)] = 0.0,
    prefer: Literal["small", "quality"] = "small",
    timezone: str = "UTC",
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95,
) -> tuple[SelectedModel, Report]:
    """This chooses the candidate that is best on the validation set, or small and as good.

    Args:
        candidates: Models of the same label and features; at least one.
        validation: The rows to compare on. Null labels are not allowed.
        metric: What to compare by; log_loss, brier, rmse and mae are better when lower.
        tolerance: How much worse than the best still counts as as good, in units of the metric.
        prefer: Among those as good, "small" takes the fewest bytes, "quality" the best value.
            Equal values are told apart by bytes, then by order.
        timezone: Where the days of the intervals begin, as an IANA name.
        confidence: Coverage of the day-block intervals (see `evaluate`).

    Returns:
        The chosen model; and a report whose `passed` says whether it beats the answer without
        features (the prior of the training labels): its metric must be better and, where there are
        at least 20 days, the interval of the paired difference must exclude zero. The report's
        `candidates` hold name, flavor, digest, bytes, metrics and differences with intervals,
        chosen, and why.

    Raises:
        DefinitionError: There is no candidate, or they differ in label, features or task.
        ParameterError: The metric is not one of the candidates' task.
        DataError: The validation set is empty, has one class, null labels, or lacks a feature.
    """
    cards = [model.card for model in candidates]
    _refuse_unlike(cards)
    _refuse_parameters(cards[0], metric, timezone)
    schema = schema_known(validation, "validation set")
    scores = [
        scored(model, validation, schema, timezone=timezone, what="validation set")
        for model in candidates
    ]
    require_both_classes(scores[0].target, cards[0], what="validation set")
    sizes = [size_of(model) for model in candidates]
    chosen = _chosen([loss_by(s, metric) for s in scores], sizes, tolerance, prefer)
    judged = against_baseline(scores[chosen], metric, confidence)
    rows = candidate_rows(
        candidates, scores, sizes, chosen=chosen, metric=metric, confidence=confidence
    )
    report: dict[str, Any] = {
        **judged,
        "metric": metric,
        "tolerance": tolerance,
        "prefer": prefer,
        "chosen": rows[chosen]["name"],
        "validation": described(validation, validation.frame(), schema),
        "blocks": None if scores[0].blocks is None else int(scores[0].blocks.max()) + 1,
        "confidence": confidence,
        "baseline": metrics_of(cards[0].task, scores[0].target, scores[0].baseline),
        "candidates": rows,
    }
    return SelectedModel.chosen(candidates[chosen]), Report.of(report)


def _refuse_unlike(cards: Sequence[ModelCard]) -> None:
    if not cards:
        raise DefinitionError(
            "Operator 'select' was given no candidate.", remedy="Give it at least one model."
        )
    first = cards[0]
    for card in cards[1:]:
        what = None
        if (card.label, card.task, card.classes) != (first.label, first.task, first.classes):
            what = f"predicts '{card.label}' ({card.task}), not '{first.label}' ({first.task})"
        elif set(card.feature_names) != set(first.feature_names):
            odd = sorted(set(card.feature_names) ^ set(first.feature_names))
            what = f"has other features ({', '.join(odd)})"
        if what:
            raise DefinitionError(
                f"Candidate '{name_of(card)}' {what} than candidate '{name_of(first)}'."
                if "other" in what
                else f"Candidate '{name_of(card)}' {what} as candidate '{name_of(first)}' does.",
                remedy="Compare models that were fitted on the same examples.",
            )


def _refuse_parameters(card: ModelCard, metric: str, timezone: str) -> None:
    if metric not in _METRICS_OF[card.task]:
        raise ParameterError(
            f"Operator 'select': '{metric}' is no metric of {card.task}.",
            remedy=f"Use one of {', '.join(_METRICS_OF[card.task])}.",
        )
    findings = timezone_findings(timezone)
    if findings:
        raise ParameterError(f"Operator 'select': {findings[0].problem}", remedy=findings[0].remedy)


def _chosen(losses: Sequence[float], sizes: Sequence[int], tolerance: float, prefer: str) -> int:
    best = min(losses)
    if prefer == "quality":
        return min(range(len(losses)), key=lambda i: (losses[i], sizes[i], i))
    as_good = [i for i, loss in enumerate(losses) if loss <= best + tolerance]
    return min(as_good, key=lambda i: (sizes[i], losses[i], i))
