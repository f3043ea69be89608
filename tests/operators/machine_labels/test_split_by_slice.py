"""What was drawn at random judges, all else is learnt from, and nothing lies on both sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Col, Examples, Schema, TrainSet, flow
from headrace.errors import DataError, SchemaError
from headrace.testing import check_operator
from operators.split_by_slice import split_by_slice

Make = Callable[..., Any]


class Judged(Schema, Protocol):
    item: Annotated[str, Col(role="entity")]
    author: Annotated[str | None, Col(role="group")]
    topic: str
    label: Annotated[Literal["a", "b", "c"], Col(role="label")]
    slice: str


def _examples(slices: Sequence[str], **changes: Sequence[Any]) -> Examples[Any]:
    count = len(slices)
    columns: dict[str, Any] = {
        "item": [f"i{n}" for n in range(count)],
        "author": [None] * count,
        "topic": [f"t{n}" for n in range(count)],
        "label": [("a", "b")[n % 2] for n in range(count)],
        "slice": list(slices),
    }
    return Examples[Judged].of({**columns, **changes})


def test_it_keeps_the_contract_of_operators() -> None:
    check_operator(split_by_slice, _examples(["chosen", "chosen", "random"]))


def test_the_random_slice_alone_judges() -> None:
    examples = _examples(["random", "chosen", "audit", "gold", "random"])

    train, validation, report = split_by_slice(examples)

    assert train.frame()["slice"].tolist() == ["chosen", "audit", "gold"]
    assert validation.frame()["item"].tolist() == ["i0", "i4"]
    assert report.document == {
        "passed": True,
        "rows": {"train": 3, "validation": 2},
        "slices": {"audit": 1, "chosen": 1, "gold": 1, "random": 2},
        "kept_apart": ["item", "author"],
        "left_out": 0,
    }


def test_who_is_judged_by_is_not_learnt_from() -> None:
    examples = _examples(
        ["random", "chosen", "chosen", "chosen"], author=["ada", "ada", None, "bob"]
    )

    train, _, report = split_by_slice(examples)

    assert train.frame()["item"].tolist() == ["i2", "i3"]
    assert report.document["left_out"] == 1


def test_another_group_may_be_named() -> None:
    examples = _examples(["random", *["chosen"] * 4], topic=["x", "y", "x", "z", "z"])

    train, _, report = split_by_slice(examples, group="topic")

    assert train.frame()["item"].tolist() == ["i1", "i3", "i4"]
    assert report.document["kept_apart"] == ["item", "topic"]


@given(
    slices=st.lists(st.sampled_from(["random", "chosen", "gold"]), min_size=4, max_size=30),
    authors=st.lists(st.sampled_from([None, "ada", "bob", "cy"]), min_size=30, max_size=30),
)
def test_no_group_is_ever_on_both_sides_and_no_random_row_is_lost(
    slices: list[str], authors: list[str | None]
) -> None:
    examples = _examples(slices, author=authors[: len(slices)])

    try:
        train, validation, report = split_by_slice(examples)
    except DataError:
        return

    judged = set(validation.frame()["author"].dropna())
    assert not judged & set(train.frame()["author"].dropna())
    assert validation.rows == slices.count("random")
    assert train.rows + validation.rows + report.document["left_out"] == len(slices)


@pytest.mark.parametrize(
    ("slices", "changes", "said"),
    [
        pytest.param(
            ["chosen", "chosen"],
            {},
            "No example is of the slice 'random', which alone can judge a model (chosen: 2).\n"
            "  Fix: Ask for labels of items drawn at random: random_share above 0 in "
            "`select_for_labeling`.",
            id="nothing to judge by",
        ),
        pytest.param(
            ["random", "chosen"],
            {"author": ["ada", "ada"]},
            "Nothing is left to train on (chosen: 1, random: 1; 1 share an entity or group with "
            "validation).\n"
            "  Fix: Ask for labels of chosen items too: random_share below 1 in "
            "`select_for_labeling`.",
            id="nothing to learn from",
        ),
        pytest.param(
            ["random", "chosen", "random", "chosen"],
            {},
            "All 2 examples to train on are 'b', so there is nothing to tell apart.\n"
            "  Fix: Ask for more labels, or for items that are likely of another class.",
            id="one class to learn",
        ),
    ],
)
def test_sets_that_cannot_be_used_are_refused(
    slices: list[str], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError) as refused:
        split_by_slice(_examples(slices, **changes))

    assert str(refused.value) == said


def test_examples_without_slices_are_refused_while_the_flow_is_planned(home: Path) -> None:
    class Bare(Schema, Protocol):
        item: Annotated[str, Col(role="entity")]

    bare = Examples[Bare].of({"item": ["i"]})

    @flow
    def wrong() -> TrainSet[Any]:
        return split_by_slice(bare)[0]

    (problem,) = wrong.plan().problems
    assert "nothing says which examples were drawn at random" in problem.problem
    with pytest.raises(SchemaError, match="nothing says which examples were drawn at random"):
        split_by_slice(bare)
