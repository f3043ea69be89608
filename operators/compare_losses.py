"""These operators judge models of several choices and of numbers by the random slice.

They are what `judge_model` and `compare_models` are for single choices. What a model loses on each
item is a share for several choices, and an error for numbers; two models are compared item by item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field

from headrace import Model, Report, Schema, TrainSet, ValidationSet, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import DefinitionError
from headrace.labels.schema import LabelSchema
from operators._label_metrics import METRICS, LabelMetric, LossMetric, losses_of
from operators._loss_limits import at_most, difference, mean_loss, standard_error

S = TypeVar("S", bound=Schema)
_Confidence = Annotated[float, Field(gt=0, lt=1)]


def _check(call: PlannedCall) -> list[Finding]:
    found = list(metric_findings(call.parameters))
    metric = METRICS[call.parameters["metric"]]
    for name in ("model", "new", "old"):
        for symbol in call.inputs.get(name, ()):
            if symbol.task is not None and symbol.task != _TASK[metric.kind]:
                found.append(
                    Finding(
                        problem=f"The model is of the task '{symbol.task}', but '{metric.name}' "
                        f"judges answers of the kind '{metric.kind}'.",
                        remedy=f"Give a model of the task '{_TASK[metric.kind]}'.",
                        rule="wrong task",
                        input=name,
                    )
                )
    return found


_TASK = {"multi": "tagging", "number": "estimation"}


def metric_findings(parameters: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield why a metric does not judge answers of a schema."""
    schema, metric = parameters["schema"], METRICS[parameters["metric"]]
    if schema.kind != metric.kind:
        fitting = [each.name for each in METRICS.values() if each.kind == schema.kind]
        yield Finding(
            problem=f"'{metric.name}' judges answers of the kind '{metric.kind}', not "
            f"'{schema.kind}'.",
            remedy=f"Take one of: {', '.join(fitting)}."
            if schema.kind in _TASK
            else "Take `judge_model` and `compare_models` for single choices; others have none.",
            rule="metric",
        )


@operator(check=_check)
def judge_losses(
    model: Model,
    train: TrainSet[S],
    validation: ValidationSet[S],
    *,
    schema: LabelSchema,
    metric: LossMetric,
    look: Annotated[int, Field(ge=1)] = 1,
    confidence: _Confidence = 0.95,
) -> Report:
    """Measure what a model of several choices or of numbers loses on the random slice.

    Args:
        model: A labeler of the schema's answers; for numbers also another estimation.
        train: What it was trained on; only its rows are counted.
        validation: The random slice, with labels that people gave. May be a later one than that of
            the model's round: the models of all rounds are then judged by the same rows.
        schema: What could be answered.
        metric: For several choices "jaccard" (of what the two sets have together, the share that
            both have), "subset_accuracy" (exactly the right set) or "hamming_loss" (choices that
            are wrong); for numbers "mae" or "mse", in the unit of the answers or its square.
        look: Which look at the random slice it is, from 1: look k may err with 1 / (k (k + 1)) of
            the risk, so that all of them together err with no more than it.
        confidence: Of the interval, and of what is proven by all looks.

    Returns:
        `labels` that it was trained on, `judged` items, `metric` (name, lower_is_better, unit),
        `score` as value, low and high; `loss`, which is lower where the model is better, as mean
        and `error` (its standard error, None where errors are too alike to tell); `proven`, what
        the metric is at least, or at most where lower is better; None where nothing is proven
        yet. `model`, its digest; `passed`.

    Raises:
        DefinitionError: The metric or the model does not fit the schema.
        DataError: The random slice is empty, or the model cannot score it.
    """
    judged_by = _required(schema, metric)
    losses = losses_of(model, validation, schema, judged_by)
    share = judged_by.is_share
    risk = (1 - confidence) / (look * (look + 1))
    worst = at_most(losses, is_share=share, confidence=1 - risk)
    error = standard_error(losses, is_share=share)
    return Report.of(
        {
            "passed": True,
            "model": model.digest,
            "labels": train.rows,
            "judged": len(losses),
            "metric": judged_by.document(schema),
            "score": _score(judged_by, losses, confidence),
            "loss": {"mean": float(losses.mean()), "error": _finite(error)},
            "proven": None if _finite(worst) is None else judged_by.of_loss(worst),
            "look": look,
            "confidence": confidence,
        }
    )


@operator(check=_check)
def compare_losses(
    new: Model,
    old: Model,
    validation: ValidationSet[S],
    *,
    schema: LabelSchema,
    metric: LossMetric,
    confidence: _Confidence = 0.95,
) -> Report:
    """Compare two models of several choices or of numbers on the same rows of the random slice.

    Args:
        new: The new model.
        old: The one that it is to replace.
        validation: The random slice, with labels that people gave.
        schema: What could be answered.
        metric: As of `judge_losses`.
        confidence: Of the intervals.

    Returns:
        `judged`, `metric`, the scores of `new` and `old` as value, low and high; `gain` likewise:
        by how much the new one is better, above zero whichever way the metric goes, by the
        differences item by item; `better` and `worse`, on how many items the new one is; and
        `passed`: whether the gain is shown to be above zero.

    Raises:
        DefinitionError: The metric or a model does not fit the schema.
        DataError: The random slice is empty, or a model cannot score it.
    """
    judged_by = _required(schema, metric)
    fresh, known = (losses_of(each, validation, schema, judged_by) for each in (new, old))
    share = judged_by.is_share
    gain = difference(fresh, known, is_share=share, confidence=confidence)
    document: dict[str, Any] = {
        "passed": _finite(gain.low) is not None and gain.low > 0,
        "judged": len(fresh),
        "metric": judged_by.document(schema),
        "gain": {
            "value": gain.value,
            "low": _finite(gain.low),
            "high": _finite(gain.high),
        },
        "better": int((fresh < known).sum()),
        "worse": int((fresh > known).sum()),
        "confidence": confidence,
    }
    for name, model, losses in (("new", new, fresh), ("old", old, known)):
        document[name] = _score(judged_by, losses, confidence)
        document[f"{name}_model"] = model.digest
    return Report.of(document)


def _finite(value: float) -> float | None:
    return None if abs(value) == float("inf") else value


def _score(metric: LabelMetric, losses: Any, confidence: float) -> dict[str, float | None]:
    loss = mean_loss(losses, is_share=metric.is_share, confidence=confidence)
    low, high = sorted((metric.of_loss(loss.low), metric.of_loss(loss.high)))
    return {
        "value": metric.of_loss(loss.value),
        "low": low,
        "high": _finite(high),
    }


def _required(schema: LabelSchema, metric: str) -> LabelMetric:
    for finding in metric_findings({"schema": schema, "metric": metric}):
        raise DefinitionError(finding.problem, remedy=finding.remedy)
    return METRICS[metric]
