"""Decisions are dealt by known chances, which the log keeps, and a unit stays with its model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.lane.dealing import Dealing
from serving.lane.table import Compared, LaneTable, Served
from serving.traffic import BUCKETS, Traffic, redealt

CHAMPION, FIRST, SECOND = "late/1", "late/2", "late/3"


def table(
    first: float, second: float, *, unit: tuple[str, ...] = ("tail",), salt: str = "salt"
) -> LaneTable:
    """A table with two challengers that have these shares."""
    shares = {FIRST: first, SECOND: second}
    traffic = redealt(
        Traffic(design="ab", unit=unit, salt=salt), {m: s for m, s in shares.items() if s}
    )
    here = Path("here")
    return LaneTable(
        endpoint="late",
        generation=7,
        champion=Served(ref=CHAMPION, folder=here),
        challenger=Served(ref=FIRST, folder=here),
        experiment="first",
        also=(Compared(model=Served(ref=SECOND, folder=here), experiment="second"),),
        traffic=traffic,
        lookups=(),
        clock="live",
        may_lack=frozenset(),
        online=here,
        space="headrace",
        log=here,
        notices=here,
    )


buckets = st.integers(0, BUCKETS // 2)


@given(first=buckets, second=buckets, tail=st.text(max_size=10))
@settings(max_examples=60, deadline=None)
def test_the_chances_that_are_logged_are_the_shares_and_make_one_together(first, second, tail):
    dealing = Dealing(table(first / BUCKETS, second / BUCKETS))

    dealt = dealing.of({"tail": tail}, "id")

    fields = dealt.fields
    chances = dict(zip(fields["candidates"], fields["propensities"], strict=True))
    assert chances.pop(CHAMPION) == (BUCKETS - first - second) / BUCKETS
    assert chances == {m: n / BUCKETS for m, n in ((FIRST, first), (SECOND, second)) if n}
    assert sum(fields["propensities"]) == pytest.approx(1, abs=1e-12)
    assert dealt.model == fields["assigned"]
    assert dealt.model in fields["candidates"]


@given(salt=st.text(min_size=1, max_size=20), by_id=st.booleans())
@settings(max_examples=15, deadline=None)
def test_of_many_units_each_model_meets_its_share_within_binomial_bounds(salt, by_id):
    dealing = Dealing(table(0.3, 0.05, unit=() if by_id else ("tail",), salt=salt))
    count = 4_000

    met = Counter(
        dealing.of({} if by_id else {"tail": f"N{n}"}, f"N{n}").model for n in range(count)
    )

    for model, share in ((CHAMPION, 0.65), (FIRST, 0.3), (SECOND, 0.05)):
        assert abs(met[model] - count * share) <= 5 * sqrt(count * share * (1 - share))


@given(start=buckets, growth=st.integers(0, BUCKETS // 2), tails=st.lists(st.text(), max_size=20))
@settings(max_examples=40, deadline=None)
def test_a_unit_stays_with_its_challenger_while_shares_grow(start, growth, tails):
    small = table(start / BUCKETS, 0.0)
    assert small.traffic is not None
    grown = redealt(small.traffic, {FIRST: (start + growth) / BUCKETS})
    before = Dealing(small)
    after = Dealing(replace(small, traffic=grown))

    for tail in tails:
        if before.of({"tail": tail}, None).model == FIRST:
            assert after.of({"tail": tail}, None).model == FIRST


def test_what_is_logged_says_the_unit_and_all_comparisons_that_run():
    dealt = Dealing(table(1.0, 0.0)).of({"tail": "N1"}, "id")

    assert (dealt.model, dealt.fields) == (
        FIRST,
        {
            "generation": 7,
            "experiment": "first",
            "experiments": ["first", "second"],
            "candidates": [CHAMPION, FIRST],
            "propensities": [0.0, 1.0],
            "assigned": FIRST,
            "unit": "N1",
        },
    )


@pytest.mark.parametrize("entity", [{"tail": None}, {}, {"origin": "EWR"}])
def test_without_a_unit_the_champion_answers_and_nothing_was_left_to_chance(entity):
    dealt = Dealing(table(0.9, 0.1)).of(entity, "id")

    assert (dealt.model, dealt.fields["candidates"], dealt.fields["propensities"]) == (
        CHAMPION,
        [CHAMPION],
        [1.0],
    )
    assert dealt.fields["unit"] is None
    assert "assigned" not in dealt.fields


def test_without_columns_of_a_unit_each_decision_is_dealt_by_its_id():
    dealing = Dealing(table(0.5, 0.0, unit=()))

    first = [dealing.of({"tail": "N1"}, f"id-{n}") for n in range(40)]
    again = [dealing.of({"tail": "N2"}, f"id-{n}") for n in range(40)]

    assert dealing.by_id
    assert first == again
    assert {each.model for each in first} == {CHAMPION, FIRST}
    assert all("unit" not in each.fields for each in first)


def test_in_the_challengers_stead_the_champion_says_why():
    dealt = Dealing(table(1.0, 0.0)).of({"tail": "N1"}, "id")

    fallen = dealt.to_champion(CHAMPION, "timeout")

    assert (fallen.model, fallen.fields) == (CHAMPION, {**dealt.fields, "fallback": "timeout"})
