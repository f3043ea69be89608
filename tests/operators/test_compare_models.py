"""Tests of judging models by the random slice."""

from __future__ import annotations

import random
from typing import Annotated, Literal, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Col, Model, Schema, TrainSet, ValidationSet
from headrace.errors import DataError
from operators.compare_models import compare_models, judge_model, paired
from operators.train_labeler import train_labeler


class Fruit(Schema, Protocol):
    """These are notes with their fruit."""

    note: Annotated[str, Col(role="entity")]
    text: Annotated[str, Col(role="feature")]
    label: Annotated[Literal["apple", "lemon"], Col(role="label")]


WORDS = {"apple": "cider", "lemon": "zest"}


def rows(labels: list[str], words: list[str] | None = None) -> dict[str, list[str]]:
    return {
        "note": [f"n{i}" for i in range(len(labels))],
        "text": words or [WORDS[label] for label in labels],
        "label": labels,
    }


BOTH = ["apple", "lemon"] * 6
VALIDATION = ValidationSet[Fruit].of(rows(BOTH))


def trained(words: list[str] | None = None) -> tuple[Model, TrainSet[Fruit]]:
    train = TrainSet[Fruit].of(rows(BOTH, words))
    return train_labeler(train, VALIDATION, text=("text",), seed=0), train


def test_a_model_is_judged_by_how_often_it_is_right_on_the_random_slice():
    model, train = trained()

    said = judge_model(model, train, VALIDATION).document

    assert (said["labels"], said["right"], said["judged"]) == (12, 12, 12)
    assert said["accuracy"]["value"] == said["accuracy"]["high"] == 1.0
    assert 0.7 < said["accuracy"]["low"] < 0.8  # Wilson's 95 % interval of 12 of 12 begins at .757


def test_a_model_that_learned_the_opposite_is_shown_to_be_worse():
    right, _ = trained()
    wrong, _ = trained([WORDS["lemon" if label == "apple" else "apple"] for label in BOTH])

    better = compare_models(right, wrong, VALIDATION).document
    worse = compare_models(wrong, right, VALIDATION).document

    assert (better["passed"], better["only_new"], better["only_old"]) == (True, 12, 0)
    assert (worse["passed"], worse["gain"]["value"]) == (False, -1.0)
    assert better["new_model"] == right.digest


def test_a_model_shows_no_gain_over_itself():
    model, _ = trained()

    said = compare_models(model, model, VALIDATION).document

    assert said["gain"]["value"] == 0.0
    assert said["gain"]["low"] < 0 < said["gain"]["high"]
    assert said["passed"] is False


def test_an_empty_random_slice_is_refused():
    model, train = trained()
    nothing = ValidationSet[Fruit].of(VALIDATION.frame().iloc[:0])

    with pytest.raises(DataError) as caught:
        judge_model(model, train, nothing)

    assert str(caught.value) == (
        "The random slice has no labelled rows, so nothing can be judged by it.\n"
        "  Fix: Ask for labels with a `random_share` above 0, and wait for their answers."
    )


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200))
def test_swapping_two_models_mirrors_the_gain(only_new: int, only_old: int, same: int):
    count = only_new + only_old + same + 1

    value, low, high = paired(only_new, only_old, count, 0.95)
    mirrored = paired(only_old, only_new, count, 0.95)

    assert mirrored == pytest.approx((-value, -high, -low))
    assert low <= value <= high or count < 4


def test_the_interval_of_a_gain_holds_the_true_gain_about_as_often_as_it_says():
    # 2,000 draws of 60 items, true gain 0.05: by chance fewer than 93 % in less than one of 10,000
    # seeds if the coverage is 95 %; an interval half as wide, the control, has to fail
    draw = random.Random(4)  # noqa: S311
    held = narrow = 0
    for _ in range(2_000):
        found = draw.choices(("new", "old", "same"), weights=(15, 10, 75), k=60)
        value, low, high = paired(found.count("new"), found.count("old"), 60, 0.95)
        held += low <= 0.05 <= high
        narrow += value + (low - value) / 2 <= 0.05 <= value + (high - value) / 2

    assert held / 2_000 > 0.93
    assert narrow / 2_000 < 0.85
