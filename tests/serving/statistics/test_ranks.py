"""Metrics of ranks against scikit-learn, all pairs and all orders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from headrace.errors import ParameterError
from serving.statistics.ranks import auc, ndcg

# few different scores: most of them are tied
tied = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=40)


@settings(max_examples=60, deadline=None)
@given(rows=tied)
def test_auc_is_the_share_of_pairs_that_are_ordered_rightly_a_tie_being_half(rows) -> None:
    outcome, score = map(list, zip(*rows, strict=True))
    ones = [s for y, s in rows if y == 1]
    zeros = [s for y, s in rows if y == 0]
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(ones, zeros)]

    area = auc(outcome, score)

    if not pairs:
        assert area is None
    else:
        assert area == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
        assert area == pytest.approx(roc_auc_score(outcome, score), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(rows=tied)
def test_auc_depends_on_the_order_of_scores_alone_and_turns_with_it(rows) -> None:
    outcome, score = map(np.array, zip(*rows, strict=True))

    area = auc(outcome, score)

    assert auc(outcome, np.exp(score / 2.0) + 7) == area
    if area is not None:
        assert auc(outcome, -score) == pytest.approx(1 - area, abs=1e-12)
        assert auc(1 - outcome, score) == pytest.approx(1 - area, abs=1e-12)


@pytest.mark.parametrize(
    ("outcome", "score"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([1, 1], [0.2, 0.3], id="no negative"),
        pytest.param([0], [0.2], id="no positive"),
        pytest.param([0, 1], [0.2, np.nan], id="a score is unknown"),
        pytest.param([0, 1, np.nan], [0.2, 0.3, 0.4], id="an outcome is unknown"),
        pytest.param([0, 1, 2], [0.2, 0.3, 0.4], id="an outcome is neither 0 nor 1"),
    ],
)
def test_auc_is_not_known_where_it_is_not_defined(outcome, score) -> None:
    assert auc(outcome, score) is None


def test_auc_takes_infinite_scores_for_the_first_and_the_last() -> None:
    assert auc([0, 1, 1], [-np.inf, 0.5, np.inf]) == 1.0


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(ParameterError) as refused:
        auc([0, 1, 1], [0.5, 0.2])

    assert str(refused.value) == (
        "The arrays do not have one value for each row: 'outcome' (3,), 'score' (2,).\n"
        "  Fix: Give arrays of the same length."
    )


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(-2, 2)),
        min_size=1,
        max_size=40,
    )
)
def test_ndcg_of_each_list_is_that_of_scikit_learn_ties_and_all(rows) -> None:
    lists, relevance, score = map(np.array, zip(*rows, strict=True))

    found = ndcg(relevance, score, lists)

    for name, value in zip(np.unique(lists), found, strict=True):
        gains, scores = relevance[lists == name], score[lists == name]
        if gains.max() == 0:
            assert np.isnan(value)
        elif gains.size == 1:  # scikit-learn takes none of one row
            assert value == 1.0
        else:
            assert value == pytest.approx(ndcg_score([gains], [scores]), abs=1e-12)
            assert 0 <= value <= 1


def test_ndcg_of_tied_scores_is_the_mean_over_the_orders_they_could_stand_in() -> None:
    gains = np.array([3.0, 0.0, 1.0, 2.0])
    best = sum(g / np.log2(i + 2) for i, g in enumerate(sorted(gains, reverse=True)))
    orders = [
        sum(gains[row] / np.log2(i + 2) for i, row in enumerate([0, *order])) / best
        for order in itertools.permutations([1, 2, 3])
    ]

    found = ndcg(gains, [0.9, 0.5, 0.5, 0.5], ["a"] * 4)

    assert found == pytest.approx([np.mean(orders)], abs=1e-12)


def test_ndcg_depends_on_no_order_of_rows_and_no_unit_of_scores() -> None:
    random = np.random.default_rng(3)
    lists, relevance = random.integers(0, 30, 400), random.integers(0, 3, 400)
    score = random.normal(size=400)
    order = random.permutation(400)

    found = ndcg(relevance, score, lists)

    moved = ndcg(relevance[order], 3 * score[order] - 1, lists[order])
    np.testing.assert_allclose(found, moved, rtol=1e-12)


def test_ndcg_is_not_known_where_a_value_of_the_list_is_unknown_or_nothing_is_relevant() -> None:
    lists = ["a", "a", "b", "b", "c", "c", "d", "d"]
    relevance = [0, 0, 1, np.nan, 2, 1, -1, 3]
    score = [1, 2, 1, 2, 5, 5, 1, 2]

    found = ndcg(relevance, score, lists)

    assert np.isnan(found).tolist() == [True, True, False, True]
    assert ndcg([], [], []).size == 0
