"""A labeler of several choices or of numbers: what it answers, how it is measured, its bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from headrace import Col, Labels, Model, Schema, Table, TrainSet, ValidationSet
from headrace.errors import DataError, DefinitionError, SchemaError
from headrace.labels.columns import VotedLabel
from headrace.labels.schema import LabelSchema
from headrace.testing import check_operator
from operators._labeler_file import load_labeler, write_labeler
from operators._labeler_kinds_metrics import tag_metrics
from operators._model_answers import choice_probabilities, estimates, written_numbers
from operators.class_probabilities import class_probabilities
from operators.examples_from_labels import examples_from_labels
from operators.label_by_model import label_by_model
from operators.scoring import load
from operators.train_labeler import train_labeler
from serving._pyfunc import PyfuncLabeler, answer_columns

HEIGHT = LabelSchema(kind="number", low=0, high=100, unit="cm")
TAGS = LabelSchema(kind="multi", choices=("round", "sweet", "blue"))


class Plant(Schema, Protocol):
    grams: Annotated[float | None, Col(role="feature")]
    colour: Annotated[str | None, Col(role="feature")]


class Measured(Plant, Protocol):
    label: Annotated[float, Col(role="label")]


class Tagged(Plant, Protocol):
    label: Annotated[str, Col(role="label")]


class Named(Plant, Protocol):
    name: Annotated[str, Col(role="entity")]


def _labels_of(entities: list[str], written: list[str]) -> dict[str, list[Any]]:
    count, noon = len(entities), datetime(2026, 7, 1, 12, tzinfo=UTC)
    return {
        "entity": entities,
        "label": written,
        **dict.fromkeys(("as_of", "label_known_at"), [noon] * count),
        **dict.fromkeys(("probability", "votes"), [1] * count),
        "conflict": [False] * count,
        "schema_version": [TAGS.version] * count,
        **dict.fromkeys(("slice", "source", "method"), ["chosen"] * count),
    }


def _plants(seed: int, count: int) -> dict[str, list[Any]]:
    draw = np.random.default_rng(seed)
    grams = draw.uniform(0, 40, count).round(1)
    return {"grams": grams.tolist(), "colour": draw.choice(["red", "green"], count).tolist()}


def _measured(kind: Any, seed: int, count: int = 40) -> Any:
    rows = _plants(seed, count)
    label = [2 * g + 10 * (c == "red") for g, c in zip(rows["grams"], rows["colour"], strict=True)]
    return kind[Measured].of({**rows, "label": label})


def _tagged(kind: Any, seed: int, count: int = 60) -> Any:
    rows = _plants(seed, count)
    label = [
        TAGS.read([t for t, has in (("round", g > 20), ("sweet", c == "red")) if has])
        for g, c in zip(rows["grams"], rows["colour"], strict=True)
    ]
    return kind[Tagged].of({**rows, "label": label})


@pytest.fixture(scope="module")
def height() -> Model:
    return train_labeler(
        _measured(TrainSet, 1), _measured(ValidationSet, 2), schema=HEIGHT, n_estimators=9
    )


@pytest.fixture(scope="module")
def tagger() -> Model:
    return train_labeler(_tagged(TrainSet, 1), _tagged(ValidationSet, 2), schema=TAGS)


def test_it_keeps_the_contract_of_operators_for_several_choices() -> None:
    check_operator(train_labeler, _tagged(TrainSet, 1), _tagged(ValidationSet, 2), schema=TAGS)


def test_a_number_is_estimated_and_measured_in_its_unit(height: Model) -> None:
    card = height.card

    assert (card.task, card.flavor, card.classes) == ("estimation", "labeler", ())
    assert set(card.metrics) == {"mae", "rmse", "r2"}
    assert card.metrics["mae"] < 2
    assert (card.extra["unit"], card.extra["low"], card.extra["high"]) == ("cm", 0.0, 100.0)


def test_folds_choose_what_errs_least_and_say_what_was_tried(height: Model) -> None:
    card = height.card

    assert card.parameters["estimator"] == "ridge"  # the height is a sum
    assert set(card.extra["tried"]) == {
        *(f"ridge {l2:g}" for l2 in (0.01, 0.1, 1, 10, 100)),
        "extra_trees",
    }
    assert min(card.extra["tried"], key=card.extra["tried"].get).startswith("ridge")


def test_estimates_stay_within_what_may_be_answered(height: Model) -> None:
    found = estimates(height, {"grams": [-9_000.0, 9_000.0], "colour": ["green", "red"]})

    assert found.value.tolist() == [0.0, 100.0]
    assert found.members is not None
    assert found.members.shape == (2, 10)


def test_each_choice_is_learnt_for_itself_and_one_without_examples_is_named(tagger: Model) -> None:
    card = tagger.card

    found = choice_probabilities(tagger, {"grams": [1.0, 39.0], "colour": ["red", "green"]})

    assert (card.task, card.classes) == ("tagging", TAGS.choices)
    assert (found[:, :2] >= 0.5).tolist() == [[False, True], [True, False]]
    assert card.extra["not_learnt"] == ["blue"]
    assert found[:, 2] == pytest.approx(0.5 / 61)  # none of sixty, and half a row more of either
    assert card.extra["examples"]["blue"] == 0
    assert {"micro_f1", "macro_f1", "jaccard", "subset_accuracy", "hamming_loss"} < set(
        card.metrics
    )
    assert {"f1.round", "f1.sweet"} <= set(card.metrics)
    assert card.metrics["micro_f1"] > 0.9


def test_trees_give_a_choice_without_examples_the_same_rate() -> None:
    model = train_labeler(
        _tagged(TrainSet, 1),
        _tagged(ValidationSet, 2),
        schema=TAGS,
        estimator="extra_trees",
        n_estimators=5,
    )

    found = choice_probabilities(model, {"grams": [1.0], "colour": ["red"]})

    assert found[0, 2] == pytest.approx(0.5 / 61)
    assert found[0, 1] > 0.5


@pytest.mark.parametrize("estimator", ["ridge", "extra_trees"])
def test_the_same_rows_give_the_same_bytes(estimator: Any) -> None:
    sets = _measured(TrainSet, 1), _measured(ValidationSet, 2)
    made = [
        train_labeler(*sets, schema=HEIGHT, estimator=estimator, n_estimators=5, threads=threads)
        for threads in (1, 2)
    ]

    assert made[0].digest == made[1].digest


def test_what_was_read_back_is_what_was_written(height: Model, tagger: Model) -> None:
    for model in (height, tagger):
        assert write_labeler(load_labeler(model)) == {"model.skops": model.read("model.skops")}


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        pytest.param(
            {"estimator": "logistic_regression"},
            "Answers of the kind 'number' are not learnt by 'logistic_regression'.",
            id="estimator",
        ),
        pytest.param(
            {"class_weight": "balanced"},
            '`class_weight` is "balanced", but a number has no classes.',
            id="class weight",
        ),
        pytest.param(
            {"schema": TAGS},
            "Label 'label' is float, but answers of the kind 'multi' are string.",
            id="label",
        ),
        pytest.param(
            {"schema": LabelSchema(kind="ranking", choices=("a", "b"))},
            "Answers of the kind 'ranking', which no labeler gives.",
            id="kind",
        ),
    ],
)
def test_what_does_not_go_with_the_kind_is_refused(given_: Any, said: str) -> None:
    sets = _measured(TrainSet, 1), _measured(ValidationSet, 2)

    with pytest.raises(SchemaError) as caught:
        train_labeler(*sets, **{"schema": HEIGHT, **given_})

    assert said.replace("Answers of the kind 'ranking',", "Answers are of the kind 'ranking',") in (
        caught.value.problem
    )


def test_sets_of_choices_are_no_classes() -> None:
    """Without the schema each set would be one, in the plan of a flow and of any other table."""
    asked = Table[Named].of({**_plants(1, 2), "name": ["a", "b"]})
    labels = Labels[VotedLabel].of(_labels_of(["a", "b"], ['["round"]', '["sweet"]']))
    examples, _ = examples_from_labels(asked, labels, schema=TAGS)
    rows, schema = examples.frame(), examples.schema

    with pytest.raises(SchemaError) as planned:
        train_labeler(TrainSet.of(rows, schema=schema), ValidationSet.of(rows, schema=schema))
    with pytest.raises(DataError) as found:
        train_labeler(_tagged(TrainSet, 1), _tagged(ValidationSet, 2))

    assert str(planned.value) == (
        "Operator 'train_labeler': Label 'label' holds several choices at once, and each set of "
        "them would be a class of its own.\n"
        "  Fix: Give `schema`, which says what could be answered."
    )
    assert found.value.problem.endswith("and each set of them would be a class of its own.")


def test_a_number_out_of_range_is_refused() -> None:
    low = LabelSchema(kind="number", low=0, high=5)

    with pytest.raises(DataError, match="is above the most, 5"):
        train_labeler(_measured(TrainSet, 1), _measured(ValidationSet, 2), schema=low)


def test_rows_that_all_say_the_same_teach_nothing() -> None:
    same = TrainSet[Tagged].of({**_plants(1, 4), "label": ['["round"]'] * 4})

    with pytest.raises(DataError) as caught:
        train_labeler(same, _tagged(ValidationSet, 2), schema=TAGS)

    assert caught.value.problem == (
        "There is nothing to tell apart: all 4 rows have the same choices (round)."
    )


def test_a_model_of_several_choices_is_asked_as_such(tagger: Model) -> None:
    with pytest.raises(DefinitionError, match="their probabilities do not sum to 1"):
        class_probabilities(tagger, _plants(1, 2))
    with pytest.raises(DefinitionError, match="a labeler of 3 choices"):
        load(tagger)


def test_a_model_votes_with_written_answers(height: Model, tagger: Model) -> None:
    class Named(Plant, Protocol):
        plant: Annotated[str, Col(role="entity")]

    rows = Table[Named].of({"plant": ["a", "b"], "grams": [1.0, 39.0], "colour": ["red", "green"]})

    sets, _ = label_by_model(rows, tagger, schema=TAGS)
    numbers, _ = label_by_model(rows, height, schema=HEIGHT)

    assert sets.frame()["label"].tolist() == ['["sweet"]', '["round"]']
    assert sets.frame()["confidence"].between(0.5, 1).all()
    written = numbers.frame()["label"].tolist()
    assert [HEIGHT.read(each) for each in written] == written
    assert [float(each) for each in written] == pytest.approx([12, 78], abs=4)
    assert numbers.frame()["confidence"].isna().all()


def test_a_limit_for_numbers_is_refused(height: Model) -> None:
    with pytest.raises(DefinitionError, match="A number is not right or wrong"):
        label_by_model(_measured(Table, 1), height, schema=HEIGHT, min_confidence=0.9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.floats(1e-3, 1e3))
def test_what_is_suggested_is_written_as_the_schema_writes_it_and_near(
    values: list[float], error: float
) -> None:
    schema = LabelSchema(kind="number", low=-100, high=100)

    written = written_numbers(np.array(values), schema, error)

    assert [schema.read(each) for each in written] == written
    clipped = np.clip(values, -100, 100)
    assert np.abs([float(w) for w in written] - clipped).max() <= error


_SETS = arrays(bool, st.tuples(st.integers(1, 8), st.just(3)))


@given(_SETS, st.randoms(use_true_random=False))
def test_metrics_of_sets_are_one_for_what_is_right_and_do_not_depend_on_the_order(
    expected: Any, random: Any
) -> None:
    order = list(range(len(expected)))
    random.shuffle(order)
    found = expected[order]

    perfect = tag_metrics(TAGS.choices, expected, expected)
    some = tag_metrics(TAGS.choices, expected, found)
    again = tag_metrics(TAGS.choices, expected[order], found[order])

    assert perfect["hamming_loss"] == 0
    assert {perfect[m] for m in ("micro_f1", "macro_f1", "jaccard", "subset_accuracy")} == {1.0}
    assert some == pytest.approx(again)
    assert some["subset_accuracy"] <= some["jaccard"] + 1e-12
    assert some["jaccard"] <= 1


def test_mlflow_is_answered_by_column(height: Model, tagger: Model) -> None:
    rows = pd.DataFrame({"grams": [1.0, 39.0], "colour": ["red", "green"]})

    found = [PyfuncLabeler(load_labeler(each)).predict(rows) for each in (height, tagger)]

    assert [list(each.columns) for each in found] == [["estimate"], list(TAGS.choices)]
    assert [answer_columns(each.card) for each in (height, tagger)] == [
        ["estimate"],
        list(TAGS.choices),
    ]
    assert found[0]["estimate"].tolist() == pytest.approx([12, 78], abs=4)
