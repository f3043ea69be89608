"""Rows are answered for by labelers that were fitted on others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ParameterError
from headrace.schemas import Column
from operators._labeler_fit import fit_labeler
from operators._labeler_folds import folds_of, out_of_fold_probabilities

TEXT = [Column(name="text", dtype="string", role="feature")]


def _rows() -> tuple[pd.DataFrame, list[str]]:
    texts = ["goal team match", "bank profit rate"] * 10
    return pd.DataFrame({"text": texts}), ["sport", "money"] * 10


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    folds=st.integers(2, 6),
    seed=st.integers(0, 9),
)
def test_every_class_is_dealt_evenly(counts: list[int], folds: int, seed: int) -> None:
    answers = np.array([f"c{k}" for k, count in enumerate(counts) for _ in range(count)])
    if len(answers) < folds:
        return

    part = folds_of(answers, folds=folds, groups=None, seed=seed)

    sizes = np.bincount(part, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for name in np.unique(answers):
        of_class = np.bincount(part[answers == name], minlength=folds)
        assert of_class.max() - of_class.min() <= 1


def test_a_group_lies_in_one_fold() -> None:
    answers = np.array(["a", "b"] * 15)
    groups = [n // 3 for n in range(30)]

    part = folds_of(answers, folds=4, groups=groups, seed=3)

    assert all(len(set(part[3 * g : 3 * g + 3])) == 1 for g in range(10))


def test_a_wrong_label_is_doubted_by_those_who_did_not_see_it() -> None:
    rows, answers = _rows()
    answers[4] = "money"

    seen = fit_labeler(rows, answers, classes=("money", "sport"), inputs=TEXT, text=("text",))
    unseen = out_of_fold_probabilities(
        rows, answers, classes=("money", "sport"), inputs=TEXT, text=("text",), l2=0.01
    )

    own = unseen[np.arange(20), [("money", "sport").index(a) for a in answers]]
    assert own.argmin() == 4
    assert own[4] < 0.2
    assert unseen[4, 0] < seen.probabilities(rows)[4, 0]


def test_a_class_of_one_row_is_not_foreseen_for_that_row() -> None:
    rows, answers = _rows()
    answers[7] = "odd"

    found = out_of_fold_probabilities(
        rows, answers, classes=("money", "sport", "odd"), inputs=TEXT, text=("text",)
    )

    assert found[7, 2] == 0.0
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_it_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    rows, answers = _rows()
    rows["text"] = [f"{text} {n}{n}" for n, text in enumerate(rows["text"])]

    def found(seed: int) -> Any:
        return out_of_fold_probabilities(
            rows, answers, classes=("money", "sport"), inputs=TEXT, text=("text",), seed=seed
        )

    np.testing.assert_array_equal(found(1), found(1))
    assert (found(1) != found(2)).any()


def test_more_folds_than_rows_are_refused() -> None:
    with pytest.raises(ParameterError) as refused:
        folds_of(np.array(["a", "b"]), folds=3, groups=None, seed=0)

    assert str(refused.value) == (
        "2 rows cannot be dealt into 3 folds.\n"
        "  Fix: Take at least two folds, and no more than there are rows or groups."
    )
