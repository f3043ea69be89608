"""Copies of an item are on one side: what a model learnt never judges it under another name."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from headrace import Col, Examples, Schema, Table
from headrace.schemas import schema_of
from operators._copies import WORD, copied_by, families_of, words_of
from operators._evaluation_families import sides_of
from operators._evaluation_reserve import place, places
from operators._labeler_text import _WORD
from operators._near_copies import LIKE, near_any, near_families, near_pairs
from operators.select_for_labeling import select_for_labeling
from operators.split_by_slice import split_by_slice


class Texts(Schema, Protocol):
    text_id: Annotated[str, Col(role="entity")]
    text: Annotated[str | None, Col(role="feature")]


class Labelled(Texts, Protocol):
    label: Annotated[str, Col(role="label")]
    slice: str


class Codes(Schema, Protocol):
    flight: Annotated[str, Col(role="entity")]
    hour: Annotated[int, Col(role="feature")]


def sides(names: list[str], family: list[int], *, salt: str = "", **done: list[str]) -> Any:
    def among(which: str) -> np.ndarray:
        return np.array([name in done.get(which, ()) for name in names], dtype=bool)

    judged, learnt = among("judged"), among("learnt")
    return sides_of(
        names,
        np.array(family),
        share=0.2,
        salt=salt,
        judged=judged,
        learnt=learnt,
        done=judged | learnt | among("done"),
    )


# --- what copies are ---


def test_texts_are_read_as_a_labeler_reads_them():
    text = "The CAT, the cät: a 2nd_time\u2026 x"

    read = CountVectorizer(token_pattern=_WORD).build_analyzer()(text)

    assert WORD == _WORD
    assert words_of(text) == read == ["the", "cat", "the", "cät", "2nd_time"]


def test_copies_agree_in_all_features_and_codes_without_a_word_are_told_apart():
    texts = ["Buy now!", "buy NOW", "buy", "buy", "A", "B", ""]
    rows = Table[Texts].of({"text_id": [f"t{n}" for n in range(7)], "text": texts})

    family = families_of(rows.arrow(), copied_by(schema_of(Texts))).tolist()

    assert family[0] == family[1]
    assert len(set(family)) == 6


def test_rows_of_codes_alone_are_no_copies_however_often_they_occur():
    assert copied_by(schema_of(Codes)) == ()


# --- on which side they are ---


def test_rows_without_copies_are_where_their_own_place_puts_them():
    names = [f"e{n}" for n in range(300)]

    found = sides(names, list(range(300)), salt="s")

    assert found.place.tolist() == places(names, "s").tolist()
    assert found.reserved.tolist() == [place(name, "s") < 0.2 for name in names]
    assert (found.families, found.late.any()) == (0, False)


def test_copies_are_on_one_side_and_all_but_one_come_last():
    names = [f"e{n}" for n in range(300)]
    family = [n // 3 for n in range(300)]

    found = sides(names, family)

    assert all(len(set(found.reserved[n : n + 3])) == 1 for n in range(0, 300, 3))
    assert all(found.late[n : n + 3].sum() == 2 for n in range(0, 300, 3))
    assert (found.families, found.copies) == (100, 300)


@pytest.mark.parametrize("side", ["judged", "learnt"])
def test_a_copy_that_comes_later_goes_where_its_family_was_asked(side):
    names = [f"e{n}" for n in range(200)]
    known = names[:100]

    found = sides(names, [n % 100 for n in range(200)], **{side: known})

    assert found.reserved.tolist() == [side == "judged"] * 200
    assert found.late.all()
    assert found.crossed == 0


def test_a_family_that_was_asked_on_both_sides_is_never_learnt_from_again():
    found = sides(["a", "b", "c"], [0, 0, 0], judged=["a"], learnt=["b"])

    assert (found.reserved.tolist(), found.crossed) == ([True] * 3, 1)


def test_the_random_slice_is_a_fair_sample_of_contents_and_naive_ways_are_not():
    """A model is right on what occurs once in 40 %, on what occurs eight times always.

    Told by contents it is right on 70 %. Keeping a family when any of its rows would be kept judges
    by what occurs often; so does judging by rows of their own places, of which most are copies of
    what was learnt, and a model that has learnt them knows them by heart.
    """
    once, often = 60, 60
    family = [*range(once), *(once + n % often for n in range(8 * often))]
    names = [f"r{n}" for n in range(len(family))]
    right = np.array([float(n % 5 < 2) if n < once else 1.0 for n in range(once + often)])
    truth, fair, any_of_them, by_name = right.mean(), [], [], []

    for salt in map(str, range(60)):
        found = sides(names, family, salt=salt)
        asked = np.flatnonzero(found.reserved & ~found.late)
        fair.append(right[np.array(family)[asked]].mean())
        own = places(names, salt) < 0.2
        kept = np.unique(np.array(family)[own])
        any_of_them.append(right[kept].mean())
        taught = np.isin(family, np.unique(np.array(family)[~own]))
        known = np.where(taught, 1.0, right[np.array(family)])  # it has seen the answer
        by_name.append(known[own].mean())

    error = np.std(fair) / np.sqrt(len(fair))
    assert truth == pytest.approx(0.7)
    assert abs(np.mean(fair) - truth) < 3 * error
    assert np.mean(any_of_them) - truth > 10 * error
    assert np.mean(by_name) - truth > 10 * error


def test_selecting_round_after_round_never_asks_for_copies_on_both_sides():
    texts = [f"text of number {n % 40 + 10}" for n in range(120)]
    pool = Table[Texts].of({"text_id": [f"t{n}" for n in range(120)], "text": texts})

    asked: list[Any] = []
    for start in (40, 80, 120):  # rows come in between
        here = Table[Texts].of({name: pool.frame()[name][:start] for name in ("text_id", "text")})
        done = None if not asked else asked[-1]
        batch, report = select_for_labeling(here, done=done, size=20, random_share=0.4, seed=1)
        frames = [batch.frame()] + ([] if done is None else [done.frame()])
        asked.append(type(batch).of(pd.concat(frames), schema=batch.schema))
    whole = asked[-1].frame()
    fresh = select_for_labeling(pool, size=20, random_share=0.3, seed=1)[0].frame()
    by_side = {name: set(rows["text"]) for name, rows in whole.groupby("slice")}

    assert by_side["random"] & by_side["chosen"] == set()
    assert report.document["copies"] == {"families": 40, "rows": 120, "on_both_sides": 0}
    assert fresh[fresh["slice"] == "random"]["text"].is_unique


def test_nothing_is_asked_again_in_other_rows_while_something_else_is_left():
    """Twenty texts, each ten times: the random slice has none twice, or it would prove too much."""
    texts = [f"text of number {n % 20 + 10}" for n in range(200)]
    pool = Table[Texts].of({"text_id": [f"t{n}" for n in range(200)], "text": texts})

    done: Any = None
    for _ in range(4):
        batch, _ = select_for_labeling(pool, done=done, size=5, random_share=0.6, seed=1)
        frames = [batch.frame()] + ([] if done is None else [done.frame()])
        done = type(batch).of(pd.concat(frames), schema=batch.schema)

    assert done.frame()["text"].is_unique
    assert 0 < (done.frame()["slice"] == "random").sum() < 12


def test_where_there_are_no_copies_nothing_is_said_of_them():
    pool = Table[Texts].of({"text_id": ["a", "b"], "text": ["one thing", "another thing"]})

    _, report = select_for_labeling(pool, size=1, random_share=0.0, reserve_share=0.0)

    assert "copies" not in report.document


# --- near copies ---

LONG = "the quick brown fox jumps over the lazy dog while nobody looks at the red barn today"


def test_near_copies_are_those_that_share_most_runs_of_three_words():
    draw = np.random.default_rng(3)
    words = [f"w{n}" for n in range(30)]
    base = [[words[k] for k in draw.integers(30, size=24)] for _ in range(12)]
    texts = []
    for each in base:
        for edits in range(4):
            text = list(each)
            for at in draw.integers(24, size=edits):
                text[at] = words[draw.integers(30)]
            texts.append(" ".join(text))

    found = set(zip(*(each.tolist() for each in near_pairs(texts, texts)), strict=True))

    def runs(text: str) -> set[tuple[str, ...]]:
        read = text.split()
        return {tuple(read[n : n + 3]) for n in range(len(read) - 2)}

    expected = {
        (i, j)
        for i, one in enumerate(texts)
        for j, two in enumerate(texts)
        if len(runs(one) & runs(two)) >= LIKE * len(runs(one) | runs(two)) - 1e-9
    }
    assert len(expected) > len(texts)
    assert found == expected
    assert np.flatnonzero(near_any(texts[::2], texts[1::2])).tolist() == sorted(
        {i // 2 for i, j in expected if i % 2 == 0 and j % 2 == 1}
    )


def test_short_texts_are_near_nothing_and_families_join():
    chain = [LONG, LONG + " again", LONG + " again and", "short text", "short text"]

    family = near_families(chain, np.arange(5)).tolist()

    assert family[0] == family[1] == family[2]
    assert len(set(family)) == 3


def labelled(texts: list[str], slices: list[str]) -> Examples[Any]:
    return Examples[Labelled].of(
        {
            "text_id": [f"t{n}" for n in range(len(texts))],
            "text": texts,
            "label": [("a", "b")[n % 2] for n in range(len(texts))],
            "slice": slices,
        }
    )


def test_a_copy_of_what_judges_is_not_learnt_from_and_a_near_one_is_counted_or_left_out():
    texts = [LONG, LONG.upper() + "!", LONG + " again", "something else", "another thing"]
    examples = labelled(texts, ["random", "chosen", "chosen", "chosen", "audit"])

    train, validation, report = split_by_slice(examples)
    strict, _, told = split_by_slice(examples, near_copies="leave_out")

    assert validation.frame()["text_id"].tolist() == ["t0"]
    assert train.frame()["text_id"].tolist() == ["t2", "t3", "t4"]
    assert (report.document["left_out"], report.document["copies"]) == (1, 1)
    assert report.document["near_copies"] == 1
    assert strict.frame()["text_id"].tolist() == ["t3", "t4"]
    assert (told.document["left_out"], told.document["near_copies"]) == (2, 1)


def test_near_copies_are_kept_together_where_that_is_asked_for():
    texts = [f"{LONG} {'x' * (n % 3 + 2)}" if n < 30 else f"other text {n}" for n in range(60)]
    pool = Table[Texts].of({"text_id": [f"t{n}" for n in range(60)], "text": texts})

    def families(**more: Any) -> dict[str, int]:
        _, report = select_for_labeling(pool, size=5, random_share=0.2, seed=1, **more)
        found: dict[str, int] = report.document["copies"]
        return found

    assert families() == {"families": 3, "rows": 30, "on_both_sides": 0}
    assert families(near_copies="together") == {"families": 1, "rows": 30, "on_both_sides": 0}
