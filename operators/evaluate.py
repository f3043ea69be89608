"""This module meets the selected model with the test set, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from headrace import Evaluation, Schema, SelectedModel, TestSet, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import ParameterError, UnknownNameError
from headrace.schemas import TableSchema
from operators._baseline import feature_findings, schema_known, scored, timezone_findings
from operators._comparison import trained_elsewhere
from operators._curves import curves_of
from operators._examples import described
from operators._importance_intervals import importance_intervals
from operators._intervals import difference_intervals, metric_intervals
from operators._metrics import metrics_of
from operators._slices import slice_intervals
from operators.scoring import load

S = TypeVar("S", bound=Schema)
_SLICEABLE = ("string", "category", "bool", "int")


def _check(call: PlannedCall) -> list[Finding]:
    findings = timezone_findings(call.parameters.get("timezone", "UTC"))
    test, fitted = call.schema("test"), call.schema("model")
    if test is None:
        return findings
    findings += _slice_findings(call.parameters.get("slices", ()), test)
    if fitted is not None:
        findings += feature_findings(fitted, test, input_name="test", what="test set")
    return findings


def _slice_findings(slices: Sequence[str], test: TableSchema) -> list[Finding]:
    findings = []
    for name in slices:
        problem = None
        if name not in test:
            unknown = UnknownNameError.of("column", name, test.names, remedy="")
            problem = f"{unknown.problem} It is to slice the test set."
        elif test.column(name).dtype not in _SLICEABLE:
            problem = f"Column '{name}' is {test.column(name).dtype}; slices need few values."
        if problem:
            findings.append(
                Finding(
                    problem=problem,
                    remedy="Slice by a text, boolean or integer column of the test set.",
                    rule="slices",
                    input="test",
                )
            )
    return findings


@operator(check=_check)
def evaluate(
    model: SelectedModel,
    test: TestSet[S],
    *,
    slices: Sequence[str] = (),
    block: Literal["day"] = "day",
    timezone: str = "UTC",
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95,
) -> Evaluation:
    """This measures the selected model on the test set, with intervals that treat a day as one.

    Rows of one day share their luck, so an interval over rows is far too narrow. Whole days are
    left out in turn instead (the delete-one-cluster jackknife with Student's t, CV3 of MacKinnon,
    Nielsen and Webb 2023): it needs no seed, fits every smooth metric, and tends to be too wide
    rather than too narrow. Fewer than 20 days give no interval, and the reason.

    Args:
        model: The model that `select` chose.
        test: Rows that neither fitting nor selection saw. Null features are allowed, null labels
            are not.
        slices: Columns of few values (at most 50) whose every value is measured by itself.
        block: The unit that is left out: the day of the decision.
        timezone: Where days begin, as an IANA name; take the one in which the business lives.
        confidence: Coverage of the intervals.

    Returns:
        task, on, model, set, rows, blocks, block, timezone, confidence; metrics
        {name: {value, low, high}}; baseline {name: value}, the answer without features, and
        differences {name: {value, low, high}} to it, paired; slices [{column, value, rows,
        metrics}]; importance {feature: {value, low, high}}, the growth of the loss when a feature's
        values are shuffled; calibration and curves for plots. Where low and high are None, `reason`
        says why.

    Raises:
        DataError: The test set is empty, lacks a feature, or has null labels.
        UnknownNameError: A slice is not a column.
    """
    schema = schema_known(test, "test set")
    _refuse(slices, timezone, schema)
    found = scored(model, test, schema, timezone=timezone, what="test set")
    card, target, score, blocks = found.card, found.target, found.score, found.blocks
    frame = test.frame()
    curves = curves_of(card.task, target, score)
    calibration = curves.pop("calibration")
    document: dict[str, Any] = {
        "task": card.task,
        "on": "test",
        "model": model.digest,
        "set": described(test, frame, schema),
        "rows": len(target),
        "blocks": None if blocks is None else int(blocks.max()) + 1,
        "block": block,
        "timezone": timezone,
        "confidence": confidence,
        "metrics": metric_intervals(card.task, target, score, blocks, confidence=confidence),
        "baseline": metrics_of(card.task, target, found.baseline),
        "differences": difference_intervals(
            card.task, target, (score, found.baseline), blocks, confidence=confidence
        ),
        "slices": slice_intervals(
            card, frame, target, score, blocks, columns=slices, confidence=confidence
        ),
        "importance": importance_intervals(
            load(model), frame, target, blocks, confidence=confidence
        ),
        "calibration": calibration,
        "curves": curves,
        **trained_elsewhere(card),
    }
    return Evaluation.of(document)


def _refuse(slices: Sequence[str], timezone: str, schema: TableSchema) -> None:
    findings = [*timezone_findings(timezone), *_slice_findings(slices, schema)]
    if findings:
        raise ParameterError(
            f"Operator 'evaluate': {' '.join(f.problem for f in findings)}",
            remedy=findings[0].remedy,
        )
