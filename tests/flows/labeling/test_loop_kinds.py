"""Tests of labeling loops whose answers are several choices or numbers, in process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows._labeling.catalog import at_hand
from flows.label_collect import label_collect
from flows.label_rest import label_rest
from flows.labeling import LabelLoop, LoopRound, run_loop
from headrace import load
from headrace.errors import DataError, DefinitionError
from headrace.labels.queue import LabelQueue
from headrace.labels.schema import LabelSchema
from headrace.settings import using_settings
from tests.flows.labeling.parcels import (
    SORTS,
    WEIGHT,
    content_loop,
    kilos_of,
    sorter,
    sorts_of,
    weigh,
    weigher,
    weight_loop,
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"metric": "jaccard"},
            "`metric` is 'jaccard', which does not judge answers of the kind 'number'.",
            id="metric",
        ),
        pytest.param(
            {"strategy": "margin"},
            "`strategy` is 'margin', by which answers of the kind 'number' are not chosen in a "
            "loop.",
            id="strategy",
        ),
        pytest.param(
            {"target": 41.0},
            "`target` is 41; it has to be between 0 and 40 kg: no answer can be further off.",
            id="target",
        ),
        pytest.param({"target": 0.0}, "`target` is 0; it has to be between", id="no target"),
    ],
)
def test_what_does_not_go_with_numbers_is_refused_where_it_is_declared(changes: Any, said: str):
    with pytest.raises(DefinitionError) as caught:
        weight_loop(**changes)

    assert caught.value.problem.startswith(f"Loop 'weight': {said}")


@pytest.mark.parametrize("kind", ["ranking", "span"])
def test_other_kinds_are_refused_with_what_works_for_them(kind: Any):
    labels = LabelSchema(kind=kind, choices=("a", "b"))

    with pytest.raises(DefinitionError) as caught:
        weight_loop(task=WEIGHT.model_copy(update={"labels": labels}))

    where = "the labeling page, or Label Studio" if kind == "ranking" else "Label Studio"
    assert caught.value.problem == (
        f"Loop 'weight': answers are of the kind '{kind}', of which no model is trained or "
        "compared here, so there is nothing to choose items by and no round to stop at."
    )
    assert caught.value.remedy == (
        f"Ask with `request_labels` ({where}), read with `collect_labels` and settle with "
        "`aggregate_votes` in a flow of your own: all three take this kind."
    )


def test_each_kind_has_its_usual_metric_strategy_and_least_gain():
    open_ended = WEIGHT.model_copy(update={"labels": LabelSchema(kind="number")})
    loops = [
        weight_loop(),
        weight_loop(metric="mse"),
        weight_loop(task=open_ended),
        content_loop(),
        content_loop(metric="hamming_loss", strategy="diversity", least_gain=0.01),
    ]

    usual = [(x.judged_by, x.chosen_by, round(x.least_gain_of_metric, 9)) for x in loops]
    assert usual == [
        ("mae", "random", 0.08),  # 0.002 of 40 kg
        ("mse", "random", 3.2),
        ("mae", "random", 0.0),  # nobody said how far answers can be
        ("jaccard", "margin", 0.002),
        ("hamming_loss", "diversity", 0.01),
    ]


def test_the_rest_of_numbers_is_not_given_to_machines(queue: LabelQueue):
    with at_hand(weight_loop()), pytest.raises(DataError) as caught:
        label_rest.plan(loop="weight")

    assert caught.value.problem == (
        "The rest of loop 'weight' cannot be labelled: its answers are numbers, which are not "
        "right or wrong but near or far: how much error a second of people mends, by which the "
        "rest is given to rules, model and people, is not defined for them."
    )


def test_a_simulated_tagger_errs_as_often_as_it_says():
    rater = sorter(0.2, seed=3)
    shown = [{"text": f"anvil sock {n}"} for n in range(2_000)]

    said = [rater(each) for each in shown]

    assert sorts_of({"text": "anvil sock"}) == ["metal"]
    share = {s: np.mean([s in (each or []) for each in said]) for s in SORTS}
    assert share["metal"] == pytest.approx(0.8, abs=0.03)
    assert share["dear"] == pytest.approx(0.1, abs=0.03)
    assert [rater(each) for each in shown[:5]] == said[:5]


def test_a_simulated_estimator_is_as_far_off_as_it_says():
    rater = weigher(0.5, seed=3, bias=0.25, skips=0.1)
    shown = [{"text": "anvil " * (1 + n % 3) + " " * n} for n in range(2_000)]

    said = [(rater(each), kilos_of(each)) for each in shown]

    answered = [given - truth for given, truth in said if given is not None]
    assert len(answered) / len(said) == pytest.approx(0.9, abs=0.02)
    assert np.mean(answered) == pytest.approx(0.25, abs=0.04)
    assert np.std(answered) == pytest.approx(0.5, abs=0.04)


@pytest.mark.lengthy
@pytest.mark.parametrize("kind", ["number", "multi"])
def test_a_loop_of_a_kind_goes_from_answers_to_a_judged_model(kind: str, tmp_path: Path):
    loop, raters = _declared(kind)
    with using_settings(home=tmp_path / "home", roots=[Path(__file__).parent]):
        history = run_loop(loop, raters, rounds=2)
        with at_hand(loop):
            again = label_collect.run(batch=history[-1].batch).require_completed()

        _judged_by_what_was_never_trained_on(loop, history)
        first, last = (each.report for each in history)
        assert (history[-1].metric, last["metric"]) == (loop.judged_by, loop.judged_by)
        assert last["labels"] > first["labels"]
        assert last["score"]["low"] <= history[-1].score <= last["score"]["high"]
        assert last["gain"] is not None
        assert last["suspects"] is not None
        labels = load(f"run:{history[-1].collected}/round_2/aggregate_votes.labels")
        assert again["round_2/aggregate_votes.labels"].digest == labels.digest
        assert again.pure_executed() == 2  # what reads the queue, each time
        if kind == "number":
            assert last["quality"]["distance"]["unit"] == "kg"
            assert history[-1].score < 4.0  # the best constant is off by 4.3 kg


def _declared(kind: str) -> tuple[LabelLoop, dict[str, Any]]:
    if kind == "number":
        raters = {"ada": weigher(0.3, 1), "bob": weigher(0.3, 2)}
        return weight_loop(gold=weigh, audit=3), raters
    return content_loop(audit=3), {"ada": sorter(0.05, 1), "bob": sorter(0.05, 2)}


def _judged_by_what_was_never_trained_on(loop: LabelLoop, history: list[LoopRound]) -> None:
    batches = LabelQueue().batches(task=loop.name)
    items = [item for batch in batches for item in LabelQueue().items(batch.id)]
    random = {item.entity for item in items if item.slice == "random"}
    split = f"run:{history[-1].collected}/round_2/split_by_slice"
    train, validation = load(f"{split}.train_set"), load(f"{split}.validation_set")
    assert set(validation.frame()["parcel"]) <= random
    assert not set(train.frame()["parcel"]) & random
