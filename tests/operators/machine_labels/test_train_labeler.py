"""A labeler tells many classes apart, says how well, and is the same whenever it is made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import pandas as pd
import pytest

from headrace import Col, Model, Schema, TrainSet, ValidationSet, flow
from headrace.errors import DataError, DefinitionError, SchemaError
from headrace.testing import check_operator
from operators._labeler_file import load_labeler, write_labeler
from operators.class_probabilities import class_probabilities
from operators.scoring import load, measure
from operators.select import select
from operators.train_labeler import train_labeler


class Fruit(Schema, Protocol):
    grams: Annotated[float | None, Col(role="feature", unit="g")]
    colour: Annotated[str | None, Col(role="feature")]
    sort: Annotated[Literal["apple", "cherry", "lemon", "plum"], Col(role="label")]


def _fruit(kind: Any, seed: int, rows: int = 90) -> Any:
    """Apples weigh, cherries do not, lemons are yellow; nobody has a plum."""
    draw = np.random.default_rng(seed)
    sort = draw.choice(["apple", "cherry", "lemon"], rows)
    grams = np.where(sort == "cherry", 8.0, 150.0) + draw.normal(0, 2, rows)
    colour = np.where(sort == "lemon", "yellow", "red").astype(object)
    grams[::11], colour[::13] = np.nan, None
    return kind[Fruit].of(pd.DataFrame({"grams": grams, "colour": colour, "sort": sort}))


@pytest.fixture(scope="module")
def fruit() -> tuple[TrainSet[Any], ValidationSet[Any]]:
    return _fruit(TrainSet, 1), _fruit(ValidationSet, 2)


def test_it_keeps_the_contract_of_operators(sets: Any) -> None:
    check_operator(train_labeler, *sets, text=("text",))


def test_it_tells_what_words_speak_for(labeler: Model) -> None:
    card = labeler.card

    assert (card.flavor, card.task, card.classes) == (
        "labeler",
        "classification",
        ("sport", "money", "weather"),
    )
    assert card.metrics["accuracy"] == 1.0
    assert "team" in card.extra["words"]["sport"]["text"]
    assert "bank" in card.extra["words"]["money"]["text"]
    assert "weather" not in card.extra["words"]
    assert card.extra["examples"] == {"sport": 8, "money": 8, "weather": 0}
    assert sum(card.importance.values()) == pytest.approx(1.0)
    assert card.importance["text"] > card.importance["words"]


def test_metrics_are_those_of_the_validation_rows(sets: Any, labeler: Model) -> None:
    rows = sets[1].frame()

    classes, found = class_probabilities(labeler, sets[1])

    own = found[np.arange(len(rows)), [classes.index(each) for each in rows["label"]]]
    assert labeler.card.metrics["log_loss"] == pytest.approx(-np.log(own).mean())
    assert set(labeler.card.metrics) == {
        "accuracy",
        "log_loss",
        "macro_f1",
        "recall.sport",
        "recall.money",
    }
    assert np.sum(labeler.card.extra["confusion"]) == len(rows)


@pytest.mark.parametrize("estimator", ["logistic_regression", "extra_trees"])
def test_numbers_and_categories_with_nulls_tell_classes_apart(fruit: Any, estimator: Any) -> None:
    model = train_labeler(*fruit, estimator=estimator, n_estimators=20)

    assert model.card.classes == ("apple", "cherry", "lemon", "plum")
    assert model.card.metrics["accuracy"] > 0.85
    assert model.card.extra["words"] in ({}, {"apple": {}, "cherry": {}, "lemon": {}})
    assert class_probabilities(model, fruit[1])[1][:, 3].max() == 0


@pytest.mark.parametrize("estimator", ["logistic_regression", "extra_trees"])
def test_the_same_rows_give_the_same_bytes_on_any_number_of_threads(
    fruit: Any, estimator: Any
) -> None:
    made = [
        train_labeler(*fruit, estimator=estimator, n_estimators=9, threads=threads)
        for threads in (1, 2)
    ]

    assert made[0].digest == made[1].digest


def test_what_was_read_back_is_what_was_written(labeler: Model) -> None:
    read = load_labeler(labeler)
    read.probabilities(dict(labeler.card.example))

    assert write_labeler(read) == {"model.skops": labeler.read("model.skops")}


def test_another_process_writes_the_same_bytes(labeler: Model) -> None:
    read = load_labeler(labeler)
    steps = [step for name, step, _ in read.pipeline["inputs"].transformers_ if name == "text"]
    steps[0].estimator["terms"]._stop_words_id = 1  # scikit-learn keeps an address in memory here

    assert write_labeler(read) == {"model.skops": labeler.read("model.skops")}


def test_a_validation_set_of_one_row_and_one_class_is_enough(fruit: Any) -> None:
    one = ValidationSet[Fruit].of({"grams": [8.0], "colour": ["red"], "sort": ["cherry"]})

    metrics = train_labeler(fruit[0], one).card.metrics

    assert metrics["accuracy"] == metrics["recall.cherry"] == metrics["macro_f1"] == 1.0


def test_a_class_that_training_lacks_is_always_wrong_in_validation(fruit: Any) -> None:
    plum = ValidationSet[Fruit].of({"grams": [60.0], "colour": ["blue"], "sort": ["plum"]})

    metrics = train_labeler(fruit[0], plum).card.metrics

    assert metrics["accuracy"] == 0.0
    assert metrics["log_loss"] == pytest.approx(36.04, abs=0.01)


def test_doubtful_labels_teach_less_where_rows_are_weighted_by_their_probability() -> None:
    class Judged(Schema, Protocol):
        seen: Annotated[str, Col(role="feature")]
        answer: Annotated[Literal["no", "yes"], Col(role="label")]
        probability: float

    rows = {"seen": ["a", "a", "b"], "answer": ["no", "yes", "yes"], "probability": [0.9, 0.1, 1.0]}
    sets = TrainSet[Judged].of(rows), ValidationSet[Judged].of(rows)

    plain = train_labeler(*sets, l2=0.001)
    weighted = train_labeler(*sets, l2=0.001, weighted_by="probability")

    likely = [class_probabilities(m, {"seen": ["a"]})[1][0, 0] for m in (plain, weighted)]
    np.testing.assert_allclose(likely, [0.5, 0.9], atol=0.01)
    assert weighted.card.feature_names == ("seen",)


def test_balanced_classes_count_the_same_however_many_they_are() -> None:
    class Seen(Schema, Protocol):
        word: Annotated[str, Col(role="feature")]
        answer: Annotated[str, Col(role="label")]

    rows = {"word": ["same"] * 10, "answer": ["often"] * 9 + ["seldom"]}
    sets = TrainSet[Seen].of(rows), ValidationSet[Seen].of(rows)

    found = [
        class_probabilities(
            train_labeler(*sets, l2=0.0001, class_weight=weight), {"word": ["same"]}
        )[1][0]
        for weight in ("none", "balanced")
    ]

    np.testing.assert_allclose(found, [[0.9, 0.1], [0.5, 0.5]], atol=0.02)


def test_labels_without_declared_categories_have_the_values_that_occur_in_order() -> None:
    class Digit(Schema, Protocol):
        ink: Annotated[float, Col(role="feature")]
        digit: Annotated[int, Col(role="label")]

    train = TrainSet[Digit].of({"ink": [1.0, 2.0, 9.0, 10.0], "digit": [2, 2, 10, 10]})
    validation = ValidationSet[Digit].of({"ink": [1.5, 9.5], "digit": [2, 3]})

    assert train_labeler(train, validation).card.classes == ("2", "3", "10")


def test_examples_of_long_texts_are_cut_in_the_card(sets: Any) -> None:
    schema = sets[1].schema
    long = ValidationSet.of(sets[1].frame().head(1).assign(text="goal " * 500), schema=schema)

    card = train_labeler(sets[0], long, text=("text",)).card

    assert [len(text) for text in card.example["text"]] == [300]
    assert json.dumps(card.to_json())


def test_texts_of_which_none_has_a_word_are_refused(sets: Any) -> None:
    silent = TrainSet.of(sets[0].frame().assign(text="?!"), schema=sets[0].schema)

    with pytest.raises(DataError) as refused:
        train_labeler(silent, sets[1], text=("text",))

    assert str(refused.value) == (
        "Column 'text' holds no word in any of the 16 rows of the training set.\n"
        "  Fix: Leave it out of `text`, or bring rows that have text."
    )


def test_one_class_alone_is_refused(sets: Any) -> None:
    frame = sets[0].frame()
    only = TrainSet.of(frame[frame["label"] == "sport"], schema=sets[0].schema)

    with pytest.raises(DataError) as refused:
        train_labeler(only, sets[1], text=("text",))

    assert str(refused.value) == (
        "There is nothing to tell apart: the answer is 'sport' in all 8 rows.\n"
        "  Fix: Label rows of at least two classes."
    )


def test_unknown_and_unfit_texts_are_refused_by_name(sets: Any) -> None:
    with pytest.raises(SchemaError) as refused:
        train_labeler(*sets, text=("txt", "words", "slice"))

    assert str(refused.value) == (
        "Operator 'train_labeler': Text 'txt' is no column of schema 'Message with labels' of the "
        "training set. Did you mean 'text'? Text 'words' of the training set is int, which has no "
        "words. Text 'slice' has no role 'feature' of schema 'Message with labels' of the training "
        "set.\n"
        "  Fix: Name features that hold text."
    )


def test_the_plan_says_so_before_anything_runs(home: Path, sets: Any) -> None:
    @flow
    def wrong() -> Model:
        return train_labeler(*sets, text=("txt",), weighted_by="probabilty")

    problems = [problem.problem for problem in wrong.plan().problems]

    assert any("Did you mean 'text'?" in each for each in problems)
    assert any("Did you mean 'probability'?" in each for each in problems)


def test_endpoints_and_evaluations_refuse_it_with_what_to_do(labeler: Model, sets: Any) -> None:
    said = (
        "The model is a labeler of 3 classes, and answers with a probability for each. Endpoints, "
        "`score`, `select` and `evaluate` take models that answer with one score.\n"
        "  Fix: Ask it with `class_probabilities` or `label_by_model`; for an endpoint, train a "
        "model of two classes, such as with `train_sklearn`."
    )

    with pytest.raises(DefinitionError) as loaded:
        load(labeler)
    with pytest.raises(DefinitionError) as selected:
        select([labeler], sets[1])

    assert (str(loaded.value), str(selected.value)) == (said, said)


def test_size_and_time_of_an_answer_are_measured(labeler: Model) -> None:
    found = measure(labeler)

    assert found["bytes"] == len(labeler.read("model.skops"))
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    assert found["runtime"].startswith("scikit-learn ")


def test_classes_keep_their_order_however_answers_are_sorted(fruit: Any) -> None:
    model = train_labeler(*fruit)

    classes, found = class_probabilities(model, {"grams": [8.0], "colour": ["red"]})

    assert classes[int(found[0].argmax())] == "cherry"
