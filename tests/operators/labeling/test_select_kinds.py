"""What is asked next where answers are several choices or numbers."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import numpy as np
import pytest

from headrace import Col, Model, Schema, Table, TrainSet, ValidationSet
from headrace.errors import DefinitionError
from headrace.labels.schema import LabelSchema
from operators._selection_kinds import choices_doubt
from operators.select_for_labeling import select_for_labeling
from operators.train_labeler import train_labeler
from operators.train_sklearn import train_sklearn

SIDES = LabelSchema(kind="multi", choices=("east", "north"))
SUM = LabelSchema(kind="number", low=-50, high=50)


class Point(Schema, Protocol):
    point: Annotated[int, Col(role="entity")]
    x: Annotated[float, Col(role="feature")]
    y: Annotated[float, Col(role="feature")]


class Sides(Point, Protocol):
    label: Annotated[str, Col(role="label")]


class Summed(Point, Protocol):
    label: Annotated[float, Col(role="label")]


_X, _Y = np.random.default_rng(3).normal(size=(2, 300))
POOL = Table[Point].of({"point": list(range(300)), "x": _X, "y": _Y})


def _rows(count: int = 50) -> dict[str, Any]:
    return {"point": [1_000 + i for i in range(count)], "x": _X[:count], "y": _Y[:count]}


@pytest.fixture(scope="module")
def sides() -> Model:
    written = [
        SIDES.read([s for s, has in (("east", x > 0), ("north", y > 0)) if has])
        for x, y in zip(_X[:50], _Y[:50], strict=True)
    ]
    rows = {**_rows(), "label": written}
    sets = TrainSet[Sides].of(rows), ValidationSet[Sides].of(rows)
    return train_labeler(*sets, schema=SIDES)


@pytest.fixture(scope="module")
def summed() -> tuple[Model, Model]:
    rows = {**_rows(), "label": 3 * _X[:50] + _Y[:50] ** 2}
    sets = TrainSet[Summed].of(rows), ValidationSet[Summed].of(rows)
    plain = train_sklearn(*sets, task="estimation", estimator="ridge")
    return train_labeler(*sets, schema=SUM, estimator="ridge", seed=1), plain


def test_the_doubt_about_a_set_is_that_about_its_most_doubtful_choice_or_the_mean_entropy():
    probable = np.array([[1.0, 0.0], [0.5, 1.0], [0.5, 0.5]])

    assert choices_doubt(probable, entropy=False).tolist() == [0.0, 1.0, 1.0]
    assert choices_doubt(probable, entropy=True) == pytest.approx([0.0, 0.5, 1.0], abs=1e-9)


def test_sets_in_doubt_are_asked_for_and_carry_the_models_set(sides: Model):
    batch, report = select_for_labeling(POOL, sides, size=20, schema=SIDES, seed=1)

    rows = batch.frame()
    chosen = rows[rows["slice"] == "chosen"]
    nearest = np.minimum(chosen["x"].abs(), chosen["y"].abs()).median()
    assert nearest < np.median(np.minimum(np.abs(_X), np.abs(_Y))) / 2
    assert report.document["doubt"]["chosen_least"] > report.document["doubt"]["pool_median"]
    assert all(SIDES.read(each) == each for each in chosen["suggested"])
    assert rows[rows["slice"] == "random"]["suggested"].isna().all()
    assert (rows["slice"] == "random").sum() == 4


def test_numbers_are_asked_for_where_members_are_apart(summed: tuple[Model, Model]):
    batch, report = select_for_labeling(
        POOL, summed[0], size=20, schema=SUM, strategy="disagreement", seed=1
    )

    chosen = batch.frame().query("slice == 'chosen'")
    far = np.hypot(chosen["x"], chosen["y"]).median()
    assert far > np.quantile(np.hypot(_X, _Y), 0.8)  # lines differ most where they end
    assert (report.document["used"], report.document["why"]) == ("disagreement", "")
    assert all(SUM.read(each) == each for each in chosen["suggested"])
    assert chosen["confidence"].isna().all()


def test_a_model_without_members_chooses_by_what_items_are_like_and_says_so(
    summed: tuple[Model, Model],
):
    _, report = select_for_labeling(
        POOL, summed[1], size=20, schema=SUM, strategy="disagreement", seed=1
    )

    _, of_one = select_for_labeling(
        POOL, committee=[summed[1]], size=20, schema=SUM, strategy="disagreement", seed=1
    )

    assert report.document["used"] == of_one.document["used"] == "diversity"
    assert (report.document["why"], of_one.document["why"]) == 2 * (
        "The sklearn model has no members that could disagree, so items were chosen by "
        "'diversity', not by 'disagreement'.",
    )


def test_the_random_share_is_the_same_whatever_is_answered(
    sides: Model, summed: tuple[Model, Model]
):
    settings: dict[str, Any] = {"size": 20, "reserve_salt": "s", "seed": 4}
    drawn = [
        select_for_labeling(POOL, model, schema=schema, strategy=strategy, **settings)[0]
        for model, schema, strategy in (
            (sides, SIDES, "margin"),
            (summed[0], SUM, "disagreement"),
            (None, None, "random"),
        )
    ]

    random = [set(each.frame().query("slice == 'random'")["point"]) for each in drawn]
    assert random[0] == random[1] == random[2]


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("margin", "A number has no classes, so there is no margin."),
        ("entropy", "A number has no classes, so there is no entropy."),
    ],
)
def test_numbers_have_no_margin(summed: tuple[Model, Model], strategy: Any, said: str):
    with pytest.raises(DefinitionError) as caught:
        select_for_labeling(POOL, summed[0], size=5, schema=SUM, strategy=strategy)

    assert caught.value.problem == said


def test_a_model_of_other_answers_is_refused(sides: Model):
    with pytest.raises(DefinitionError, match="answers with several choices at once, not with a n"):
        select_for_labeling(POOL, sides, size=5, schema=SUM, strategy="random")
    with pytest.raises(DefinitionError, match="answers with any number of 2 choices"):
        select_for_labeling(POOL, sides, size=5)
