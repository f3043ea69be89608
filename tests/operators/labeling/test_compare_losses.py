"""Models of several choices and of numbers are judged by what they lose on the random slice."""

from __future__ import annotations

import math
from typing import Annotated, Any, Protocol

import numpy as np
import pytest

from headrace import Col, Model, Schema, TrainSet, ValidationSet
from headrace.errors import DataError, DefinitionError
from headrace.labels.schema import LabelSchema
from operators._label_metrics import METRICS
from operators._loss_limits import standard_error
from operators._loss_rounds import LossRound, loss_curve, loss_stop
from operators.compare_losses import compare_losses, judge_losses
from operators.train_labeler import train_labeler

KILOS = LabelSchema(kind="number", low=0, high=20, unit="kg")
SORTS = LabelSchema(kind="multi", choices=("metal", "wood", "glass"))
WORDS = ("anvil", "brick", "cork")
WEIGHT = {"anvil": 9.0, "brick": 3.0, "cork": 0.0}
HAS = {"anvil": '["metal"]', "brick": "[]", "cork": '["metal","wood"]'}


class Weighed(Schema, Protocol):
    text: Annotated[str, Col(role="feature")]
    label: Annotated[float, Col(role="label")]


class Sorted(Schema, Protocol):
    text: Annotated[str, Col(role="feature")]
    label: Annotated[str, Col(role="label")]


def rows(labels: dict[str, Any], count: int = 30) -> dict[str, list[Any]]:
    words = [WORDS[n % 3] for n in range(count)]
    return {"text": words, "label": [labels[word] for word in words]}


def number(labels: dict[str, Any] = WEIGHT) -> tuple[Model, TrainSet[Any], ValidationSet[Any]]:
    sets = TrainSet[Weighed].of(rows(labels)), ValidationSet[Weighed].of(rows(WEIGHT))
    return train_labeler(*sets, text=("text",), schema=KILOS, seed=1), *sets


def tags(labels: dict[str, Any] = HAS) -> tuple[Model, TrainSet[Any], ValidationSet[Any]]:
    sets = TrainSet[Sorted].of(rows(labels)), ValidationSet[Sorted].of(rows(HAS))
    return train_labeler(*sets, text=("text",), schema=SORTS, seed=1), *sets


def test_a_number_is_judged_by_its_error_in_its_unit():
    model, train, validation = number({"anvil": 10.0, "brick": 4.0, "cork": 1.0})  # 1 kg too much

    said = judge_losses(model, train, validation, schema=KILOS, metric="mae").document

    assert said["metric"] == {"name": "mae", "lower_is_better": True, "unit": "kg"}
    assert (said["labels"], said["judged"]) == (30, 30)
    assert said["score"]["value"] == pytest.approx(1.0, abs=0.05)
    assert said["score"]["low"] <= said["score"]["value"] <= said["proven"]
    squared = judge_losses(model, train, validation, schema=KILOS, metric="mse").document
    assert squared["metric"]["unit"] == "kg²"


def test_sets_are_judged_by_what_they_share():
    model, train, validation = tags({**HAS, "cork": '["metal"]'})  # nobody said that cork is wood

    said = {
        name: judge_losses(model, train, validation, schema=SORTS, metric=name).document["score"]
        for name in ("jaccard", "subset_accuracy", "hamming_loss")
    }

    assert said["jaccard"]["value"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert said["subset_accuracy"]["value"] == pytest.approx(2 / 3)
    assert said["hamming_loss"]["value"] == pytest.approx(1 / 9)
    assert all(each["low"] < each["value"] < each["high"] for each in said.values())


def test_what_is_proven_pays_for_every_look():
    model, train, validation = tags()

    first, third = (
        judge_losses(model, train, validation, schema=SORTS, metric="jaccard", look=k).document
        for k in (1, 3)
    )

    assert third["proven"] < first["proven"] < first["score"]["value"] == 1.0


@pytest.mark.parametrize("metric", ["mae", "jaccard"])
def test_a_gain_is_above_zero_for_the_better_model_whichever_way_the_metric_goes(metric: Any):
    make, schema = (number, KILOS) if metric == "mae" else (tags, SORTS)
    good, _, validation = make()
    turned = {"mae": {"anvil": 0.0, "brick": 3.0, "cork": 9.0}}
    bad, _, _ = make(turned.get(metric, {"anvil": '["wood"]', "brick": "[]", "cork": '["glass"]'}))

    better = compare_losses(good, bad, validation, schema=schema, metric=metric).document
    worse = compare_losses(bad, good, validation, schema=schema, metric=metric).document
    same = compare_losses(good, good, validation, schema=schema, metric=metric).document

    assert better["passed"]
    assert better["gain"]["low"] > 0
    assert worse["gain"]["value"] == -better["gain"]["value"]
    assert (same["gain"]["value"], same["passed"], worse["passed"]) == (0.0, False, False)
    assert (better["better"], better["worse"]) == (worse["worse"], worse["better"])


def test_a_metric_of_other_answers_is_refused():
    model, train, validation = number()

    with pytest.raises(DefinitionError) as caught:
        judge_losses(model, train, validation, schema=KILOS, metric="jaccard")

    assert str(caught.value) == (
        "'jaccard' judges answers of the kind 'multi', not 'number'.\n  Fix: Take one of: mae, mse."
    )


def test_a_model_of_other_answers_is_refused():
    model, _, _ = tags()
    _, train, validation = number()

    with pytest.raises(DefinitionError) as caught:
        judge_losses(model, train, validation, schema=KILOS, metric="mae")

    assert caught.value.problem == (
        f"The labeler model {model.digest[:12]} answers with several choices at once, not with a "
        "number."
    )


def test_an_empty_random_slice_is_refused():
    model, train, validation = number()
    nothing = ValidationSet[Weighed].of(validation.frame().iloc[:0])

    with pytest.raises(DataError, match="The random slice has no labelled rows"):
        judge_losses(model, train, nothing, schema=KILOS, metric="mae")


def test_a_loop_stops_where_the_error_is_proven_to_be_below_the_target():
    rounds = [_round(40, 1.2, 1.5)]

    stop = loss_stop(rounds, target=1.5)

    assert stop is not None
    assert stop.why == "The mae on 50 random items is at most 1.5 kg; the target is 1.5 kg."
    assert loss_stop(rounds, target=1.4) is None
    assert loss_stop([_round(40, 1.2, None)], target=9.0) is None


def test_a_loop_stops_where_more_labels_are_shown_to_mend_little():
    flat = [_round(40 * n, 1.0, None, error=0.001) for n in range(1, 7)]
    steep = [_round(40 * n, 8.0 / n, None, error=0.001) for n in range(1, 7)]

    stop = loss_stop(flat, next_labels=40, least_gain=0.1)

    assert stop is not None
    assert stop.reason == "no_gain"
    assert loss_stop(steep, next_labels=40, least_gain=0.1) is None
    assert loss_stop(flat, next_labels=40, least_gain=0.0) is None


@pytest.mark.parametrize(("kind", "loss"), [("multi", 0.0), ("number", 2.0)])
def test_a_few_items_alike_stop_no_loop(kind: str, loss: float):
    """Of four items all are right, or all are equally wrong, in each of six rounds."""
    is_share = kind == "multi"
    error = standard_error(np.full(4, loss), is_share=is_share)
    known = None if error == math.inf else error
    rounds = [_round(40 * n, loss, None, error=known) for n in range(1, 7)]

    assert loss_stop(rounds, next_labels=40, least_gain=0.002) is None
    why = "A model errs the same on every item, which does not say how sure its error is."
    assert loss_curve(rounds).why == ("" if is_share else why)


def test_the_curve_of_an_error_is_that_of_its_unit():
    grams = loss_curve([_round(50 * n, 1000 * n**-0.5, None, error=5.0) for n in range(1, 6)])
    kilos = loss_curve([_round(50 * n, n**-0.5, None, error=0.005) for n in range(1, 6)])

    one, other = grams.gain(250, 50), kilos.gain(250, 50)

    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(1000 * other.value)
    assert one.value == pytest.approx(1000 * (5**-0.5 - 6**-0.5), rel=0.2)


def _round(labels: int, mean: float, proven: float | None, error: float | None = 0.1) -> LossRound:
    metric = METRICS["mae"].document(KILOS)
    return LossRound(labels=labels, judged=50, mean=mean, error=error, proven=proven, metric=metric)
