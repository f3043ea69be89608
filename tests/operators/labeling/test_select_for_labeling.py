"""These tests specify which items people are asked for: by doubt, by chance, and never twice."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Col, Model, Schema, Table, TrainSet, ValidationSet, operator
from headrace.errors import DataError, DefinitionError, ParameterError, SchemaError
from headrace.plan import plan_flow
from headrace.schemas import schema_of
from headrace.testing import check_operator
from operators._evaluation_reserve import in_reserve, place, places
from operators._selection_checks import selected_schema
from operators._selection_scores import disagreement_doubt, entropy_doubt, margin_doubt
from operators.class_probabilities import class_probabilities
from operators.select_for_labeling import select_for_labeling
from operators.train_labeler import train_labeler
from operators.train_sklearn import train_sklearn


class Points(Schema, Protocol):
    point: Annotated[int, Col(role="entity")]
    x: Annotated[float, Col(role="feature")]
    y: Annotated[float, Col(role="feature")]


class LabelledPoints(Points, Protocol):
    label: Annotated[Literal["left", "low", "high"], Col(role="label")]


class Sides(Points, Protocol):
    label: Annotated[Literal["left", "right"], Col(role="label")]


class Heights(Points, Protocol):
    label: Annotated[float, Col(role="label")]


class Texts(Schema, Protocol):
    text_id: Annotated[str, Col(role="entity")]
    text: Annotated[str, Col(role="feature")]


class Seen(Texts, Protocol):
    seen_for: Annotated[float, Col(role="feature")]


@operator()
def read_points() -> Table[Points]:
    """Read the points."""
    return POOL


_SEEN = 60
_RANDOM = np.random.default_rng(5)
_X, _Y = _RANDOM.normal(size=(2, 400))


def _columns(rows: range | np.ndarray) -> dict[str, Any]:
    at = np.asarray(rows, dtype=np.int64)
    return {"point": at.tolist(), "x": _X[at], "y": _Y[at]}


def _topics(rows: range) -> list[str]:
    return ["left" if _X[i] < 0 else "low" if _Y[i] < 0 else "high" for i in rows]


POOL = Table[Points].of(_columns(range(400)))
SEEN = Table[Points].of(_columns(range(_SEEN)))


@pytest.fixture(scope="module")
def labeler() -> Model:
    parts = [range(_SEEN), range(_SEEN, 2 * _SEEN)]
    train, validation = ({**_columns(p), "label": _topics(p)} for p in parts)
    return train_labeler(
        TrainSet[LabelledPoints].of(train), ValidationSet[LabelledPoints].of(validation)
    )


@pytest.fixture(scope="module")
def sides() -> Model:
    parts = [range(_SEEN), range(_SEEN, 2 * _SEEN)]
    made = [{**_columns(p), "label": ["right" if _X[i] > 0 else "left" for i in p]} for p in parts]
    return train_sklearn(
        TrainSet[Sides].of(made[0]),
        ValidationSet[Sides].of(made[1]),
        estimator="logistic_regression",
    )


@pytest.fixture(scope="module")
def heights() -> Model:
    made = [{**_columns(p), "label": _Y[p]} for p in (range(_SEEN), range(_SEEN, 2 * _SEEN))]
    return train_sklearn(
        TrainSet[Heights].of(made[0]),
        ValidationSet[Heights].of(made[1]),
        task="estimation",
        estimator="ridge",
    )


def _select(*inputs: Any, **settings: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    batch, report = select_for_labeling(*inputs, **{"size": 50, "seed": 3, **settings})
    return batch.frame(), report.document


def _chosen(batch: pd.DataFrame) -> set[int]:
    return set(batch.loc[batch["slice"] == "chosen", "point"])


def test_a_fifth_is_random_and_all_of_that_and_nothing_else_is_of_the_reserve(labeler):
    batch, report = _select(POOL, labeler)

    kept = in_reserve(batch["point"])
    assert (report["random"], report["chosen"]) == (10, 40)
    assert (kept == (batch["slice"] == "random")).all()


def test_the_random_items_are_the_first_of_the_reserve_whatever_the_strategy(labeler):
    first = np.flatnonzero(in_reserve(range(400)))
    first = first[np.argsort(places(first))][:10].tolist()

    for settings_ in ({}, {"strategy": "random"}, {"strategy": "diversity"}, {"seed": 99}):
        batch, _ = _select(POOL, labeler, **settings_)

        assert batch.loc[batch["slice"] == "random", "point"].tolist() == first


def test_round_after_round_the_random_items_are_a_prefix_of_the_whole_pool_in_hash_order():
    """New rows with an early place are asked before old ones with a late one."""
    half = Table[Points].of(_columns(range(200)))
    first, _ = select_for_labeling(half, size=50, seed=1)
    second, _ = select_for_labeling(POOL, done=first, size=150, random_share=0.3, seed=2)

    asked = pd.concat([first.frame(), second.frame()])
    random = set(asked.loc[asked["slice"] == "random", "point"])
    last = max(place(point) for point in random)
    reached = {i for i in range(400) if place(i) <= last and in_reserve([i])[0]}
    assert random == reached


def test_the_reserve_is_its_share_of_items_and_nested_in_a_larger_one():
    """10,000 items at 0.2: the share lies within four standard errors, 0.016, by 1 in 15,000."""
    items = [f"item {i}" for i in range(10_000)]

    small, large = in_reserve(items, share=0.2), in_reserve(items, share=0.3)

    assert abs(small.mean() - 0.2) < 0.016
    assert not (small & ~large).any()
    # control: another salt draws others
    assert 0.1 < (in_reserve(items, share=0.2, salt="b") & small).sum() / small.sum() < 0.3


@given(st.text(max_size=20), st.text(max_size=8))
def test_a_place_is_in_0_to_1_and_the_same_for_a_number_and_its_text(name, salt):
    assert 0.0 <= place(name, salt) < 1.0
    assert place(7, salt) == place("7", salt)


def test_margin_chooses_the_rows_where_two_classes_are_nearly_as_likely(labeler):
    batch, _ = _select(POOL, labeler, done=SEEN)

    rest = [i for i in range(_SEEN, 400) if not in_reserve([i])[0]]
    _, probabilities = class_probabilities(labeler, POOL.frame().iloc[rest])
    two = np.sort(probabilities, axis=1)[:, -2:]
    best = np.argsort(two[:, 1] - two[:, 0])[:40]
    assert _chosen(batch) == {rest[i] for i in best}
    asked = batch[batch["slice"] == "chosen"]
    assert asked["priority"].is_monotonic_decreasing


def test_with_two_classes_margin_and_entropy_choose_alike(sides):
    margin, _ = _select(POOL, sides)
    entropy, _ = _select(POOL, sides, strategy="entropy")

    pd.testing.assert_frame_equal(margin, entropy)


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=20, unique=True))
def test_two_classes_have_one_order_by_margin_and_by_entropy(positive):
    pairs = np.array([[1 - p, p] for p in positive])
    margin, entropy = margin_doubt(pairs), entropy_doubt(pairs)

    for i in range(len(pairs)):
        for j in range(len(pairs)):
            if margin[i] > margin[j] + 1e-9:
                assert entropy[i] > entropy[j] - 1e-12


def test_with_three_classes_entropy_looks_at_all_of_them_and_margin_at_two():
    probabilities = np.array([[0.48, 0.47, 0.05], [0.40, 0.31, 0.29]])

    assert margin_doubt(probabilities).argmax() == 0
    assert entropy_doubt(probabilities).argmax() == 1
    assert entropy_doubt(np.full((1, 3), 1 / 3)) == pytest.approx(1.0)


def test_a_committee_disagrees_where_models_are_sure_of_different_things():
    one = np.array([[0.9, 0.1], [0.5, 0.5], [0.9, 0.1]])
    other = np.array([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]])

    doubt = disagreement_doubt([one, other])

    assert doubt[0] > 0.4
    assert doubt[1:] == pytest.approx([0.0, 0.0])  # both unsure alike: they agree
    assert disagreement_doubt([np.eye(2), np.eye(2)[::-1]]) == pytest.approx([1.0, 1.0])


def test_disagreement_asks_where_the_committee_is_split(labeler, sides):
    batch, report = _select(POOL, committee=[sides, _other(sides)], strategy="disagreement")

    frame = POOL.frame().set_index("point")
    chosen = frame.loc[list(_chosen(batch))]
    # one goes by x, the other by y: they are split where the signs differ
    assert ((chosen["x"] > 0) != (chosen["y"] > 0)).all()
    assert batch["suggested_by"].dropna().unique()[0].startswith("model:")
    assert len(report["models"]) == 2


def _other(sides: Model) -> Model:
    parts = [range(_SEEN), range(_SEEN, 2 * _SEEN)]
    made = [{**_columns(p), "label": ["right" if _Y[i] > 0 else "left" for i in p]} for p in parts]
    return train_sklearn(
        TrainSet[Sides].of(made[0]),
        ValidationSet[Sides].of(made[1]),
        estimator="logistic_regression",
    )


def test_what_is_done_is_never_asked_again_until_nothing_is_left(labeler):
    asked: list[int] = []
    done = None
    for _ in range(8):
        batch, _ = select_for_labeling(POOL, labeler, done=done, size=50, seed=3)
        asked += batch.frame()["point"].tolist()
        done = Table[Points].of(_columns(np.array(asked)))

    assert sorted(asked) == list(range(400))
    with pytest.raises(DataError) as refused:
        select_for_labeling(POOL, labeler, done=done, size=1, when_short="take")
    assert str(refused.value) == (
        "1 items are asked for, but of 400 rows 400 are done and 0 are left: 0 of the evaluation "
        "reserve and 0 others.\n  Fix: Add rows; every one of these was labelled or asked for."
    )


def test_items_are_compared_as_text(labeler):
    class Done(Schema, Protocol):
        entity: Annotated[str, Col(role="entity")]

    done = Table[Done].of({"entity": [str(i) for i in range(100)] + ["elsewhere"]})
    batch, report = _select(POOL, labeler, done=done)

    assert batch["point"].min() >= 100
    assert (report["done"], report["done_elsewhere"]) == (100, 1)


def test_more_than_is_left_is_refused_or_what_is_left_is_taken():
    few = Table[Points].of(_columns(range(30)))
    reserve = int(in_reserve(range(30)).sum())

    with pytest.raises(DataError) as refused:
        select_for_labeling(few, size=31)
    batch, report = select_for_labeling(few, size=31, when_short="take")

    assert str(refused.value) == (
        f"31 items are asked for, but of 30 rows 0 are done and 30 are left: {reserve} of the "
        f"evaluation reserve and {30 - reserve} others.\n"
        '  Fix: Ask for fewer, give when_short="take", or add rows.'
    )
    assert batch.rows == 30
    assert report.document["left"] == 0


def test_without_a_model_items_are_chosen_by_chance_and_the_report_says_so():
    batch, report = _select(POOL)

    assert report["used"] == "random"
    assert report["why"] == (
        "There is no model yet, so items were chosen by 'random', not by 'margin'."
    )
    assert batch["suggested"].isna().all()
    assert report["doubt"] is None


def test_a_cold_start_by_diversity_covers_the_clusters_that_chance_forgets():
    """Nine of ten rows are of one topic: chance finds eight of ten in 12 by less than 1 in 10^4."""
    words = ["common"] * 900 + [f"rare{i % 9}" for i in range(100)]
    texts = Table[Seen].of(
        {
            "text_id": [f"t{i}" for i in range(1000)],
            "text": [f"{word} words of {i % 7}" for i, word in enumerate(words)],
            "seen_for": np.arange(1000.0),  # no row is a copy of another
        }
    )

    spread, report = _select(
        texts, size=12, random_share=0.0, cold_start="diversity", columns=("text",)
    )
    chance, _ = _select(texts, size=12, random_share=0.0)

    def topics(batch: pd.DataFrame) -> int:
        return batch["text"].str.split().str[0].nunique()

    assert topics(spread) == 10
    assert topics(chance) < 8
    assert report["used"] == "diversity"


def test_diversity_stays_among_the_doubtful_and_away_from_what_is_done(labeler):
    margin, plain = _select(POOL, labeler, done=SEEN, size=10, random_share=0.0)
    batch, report = _select(
        POOL, labeler, done=SEEN, size=10, random_share=0.0, strategy="diversity"
    )

    def nearest(rows: pd.DataFrame) -> float:
        points = rows[["x", "y"]].to_numpy()
        away = np.linalg.norm(points[:, None] - points, axis=2) + np.eye(len(points)) * 99
        return float(away.min(axis=1).mean())

    assert nearest(batch) > nearest(margin)
    assert report["doubt"]["chosen_least"] >= plain["doubt"]["pool_median"]


def test_a_copy_of_a_row_that_is_chosen_or_done_waits_for_all_others(labeler):
    columns = _columns(np.array([*range(60), *range(60)])) | {"point": list(range(120))}
    twice = Table[Points].of(columns)

    batch, _ = _select(twice, labeler, size=30, random_share=0.0, reserve_share=0.0)
    later, _ = select_for_labeling(
        twice,
        labeler,
        done=Table[Points].of(_columns(range(30))),
        size=20,
        random_share=0.0,
        reserve_share=0.0,
    )

    assert batch["x"].nunique() == 30
    assert set(later.frame()["point"] % 60).isdisjoint(range(30))


def test_random_items_carry_no_suggestion_unless_asked_for(labeler):
    batch, _ = _select(POOL, labeler)
    shown, _ = _select(POOL, labeler, suggest_random=True)

    random = batch["slice"] == "random"
    assert batch.loc[random, ["suggested", "suggested_by", "confidence"]].isna().all(axis=None)
    assert batch.loc[~random, "suggested"].notna().all()
    assert set(batch.loc[~random, "suggested_by"]) == {f"model:{labeler.digest[:12]}"}
    assert shown["suggested"].notna().all()


def test_a_suggestion_is_the_likeliest_class_with_its_probability(labeler):
    batch, _ = _select(POOL, labeler)

    row = batch[batch["slice"] == "chosen"].iloc[0]
    classes, probabilities = class_probabilities(labeler, POOL.frame().iloc[[row["point"]]])
    assert row["suggested"] == classes[probabilities[0].argmax()]
    assert row["confidence"] == pytest.approx(probabilities.max())


@given(size=st.integers(1, 60), share=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_batch_that_ends_early_has_its_share_of_random_items(size, share):
    batch, report = _select(POOL, size=size, random_share=share)

    so_far = (batch["slice"] == "random").cumsum()
    even = np.arange(1, size + 1) * report["random"] / size
    assert len(batch) == size
    assert (abs(so_far - even) <= 1.0).all()
    assert batch["priority"].between(0, 1, inclusive="right").all()
    assert batch["priority"].is_monotonic_decreasing


@pytest.mark.parametrize("strategy", ["margin", "diversity", "random"])
def test_the_order_of_the_table_changes_nothing(labeler, strategy):
    shuffled = Table[Points].of(_columns(np.random.default_rng(8).permutation(400)))

    one, _ = _select(POOL, labeler, strategy=strategy)
    other, _ = _select(shuffled, labeler, strategy=strategy)

    assert one["point"].tolist() == other["point"].tolist()


def test_another_seed_draws_other_rows_to_learn_from_and_the_same_to_judge_by():
    one, _ = _select(POOL, seed=1)
    other, _ = _select(POOL, seed=2)

    assert _chosen(one) != _chosen(other)
    assert set(one["point"]) - _chosen(one) == set(other["point"]) - _chosen(other)


def test_where_the_reserve_is_used_up_others_fill_the_batch_and_the_other_way_round():
    reserve = np.flatnonzero(in_reserve(range(400)))
    others = np.flatnonzero(~in_reserve(range(400)))

    _, no_reserve = _select(POOL, done=Table[Points].of(_columns(reserve)))
    _, no_others = _select(POOL, done=Table[Points].of(_columns(others)))

    assert (no_reserve["random"], no_reserve["chosen"]) == (0, 50)
    assert (no_others["random"], no_others["chosen"]) == (50, 0)


def test_an_empty_pool_is_refused():
    with pytest.raises(DataError) as refused:
        select_for_labeling(Table[Points].of(_columns(range(0))), size=1)

    assert str(refused.value) == (
        "The table to select from has no rows.\n  Fix: Check what was read or filtered."
    )


def test_an_item_that_is_there_twice_is_refused():
    with pytest.raises(DataError) as refused:
        select_for_labeling(Table[Points].of(_columns(np.array([5, 6, 5]))), size=1)

    assert str(refused.value) == (
        "'point' is '5' in row 2 and in a row before, but an item is asked for once.\n"
        "  Fix: Keep one row an item, such as the latest, or name rows apart."
    )


def test_a_model_that_lacks_a_feature_here_is_refused_by_the_feature_s_name(labeler):
    class OneSide(Schema, Protocol):
        point: Annotated[int, Col(role="entity")]
        x: Annotated[float, Col(role="feature")]

    table = Table[OneSide].of({"point": [1, 2], "x": [0.0, 1.0]})
    with pytest.raises(SchemaError) as refused:
        select_for_labeling(table, labeler, size=1)

    assert str(refused.value) == (
        "Operator 'select_for_labeling': The rows lack feature 'y', which the model was fitted on."
        " Known: 'point', 'x'.\n"
        "  Fix: Bring it in as for training, by `build` with the same feature view."
    )


def test_a_model_that_estimates_a_number_is_refused(heights):
    with pytest.raises(DefinitionError) as refused:
        select_for_labeling(POOL, heights, size=1)

    assert str(refused.value) == (
        "The sklearn model estimates 'label', a number, so it has no classes to be unsure between."
        '\n  Fix: Give a model that classifies, or strategy="random" or "diversity" without one.'
    )


def test_settings_that_contradict_each_other_are_refused(labeler):
    with pytest.raises(DefinitionError, match="A committee of 0 cannot disagree"):
        select_for_labeling(POOL, labeler, size=1, strategy="disagreement")
    with pytest.raises(DefinitionError, match="nothing is kept for evaluation to draw it from"):
        select_for_labeling(POOL, size=1, reserve_share=0.0)
    with pytest.raises(DefinitionError, match="Did you mean 'x'"):
        select_for_labeling(POOL, size=1, columns=("xx",))
    with pytest.raises(ParameterError, match="size"):
        select_for_labeling(POOL, size=0)


def test_a_plan_knows_the_columns_and_refuses_what_cannot_work():
    def right() -> Table[Any]:
        return select_for_labeling(read_points(), size=5)[0]

    def wrong() -> Table[Any]:
        return select_for_labeling(read_points(), size=5, columns=("z",), reserve_share=0.0)[0]

    sound = plan_flow("right", right, {}, parameters={})
    unsound = plan_flow("wrong", wrong, {}, parameters={})

    assert sound.problems == ()
    assert [p.rule for p in unsound.problems] == ["reserve", "unknown column"]
    assert selected_schema(schema_of(Points)).names == (
        "point", "x", "y", "slice", "priority", "suggested", "suggested_by", "confidence",
    )  # fmt: skip


def test_it_keeps_the_contract_of_operators(labeler):
    check_operator(select_for_labeling, POOL, labeler, done=SEEN, size=20, strategy="diversity")
