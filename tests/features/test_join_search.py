"""The search behind the point-in-time join, against an oracle, over every sort of key and time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features._join_search import NO_MATCH, Search
from features.join import Facts, match_as_known

NANO = pa.timestamp("ns", tz="UTC")

names = st.sampled_from(["a", "b", "c", None])
numbers = st.one_of(st.sampled_from([-1, 0, 1, 2, None]), st.just(2**40))
# both sides of 1970, few values, so that ties and repeats are common
few = st.integers(-6, 12)
far = st.sampled_from([-(2**62), -(2**61), -1, 0, 1, 2**61, 2**62])
times = st.one_of(few, st.none())


@dataclass(frozen=True)
class Fact:
    keys: tuple[object, ...]
    event: int | None
    usable: int | None
    known: int | None


def best(asked: tuple[object, ...], decided: int | None, facts: list[Fact]) -> int:
    """What the search promises, in words: try every fact."""
    if decided is None or None in asked:
        return NO_MATCH
    candidates = [
        (fact.event, fact.known, position)
        for position, fact in enumerate(facts)
        if fact.keys == asked and None not in (fact.event, fact.usable, fact.known)
        if fact.usable <= decided
    ]
    return max(candidates)[2] if candidates else NO_MATCH


def drawn_facts(keys: st.SearchStrategy[tuple[object, ...]], when: st.SearchStrategy[int]):
    maybe = st.one_of(when, when, when, st.none())
    return st.lists(st.builds(Fact, keys, maybe, maybe, maybe), max_size=20)


def columns(rows: list[tuple[object, ...]], types: tuple[pa.DataType, ...]) -> list[pa.Array]:
    return [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(types)]


def searched(asked, decided, facts, types, cuts) -> list[int]:
    search = Search(columns(asked, types), pa.array(decided, pa.int64()))
    ends = sorted({0, len(facts), *(c for c in cuts if c < len(facts))})
    for low, high in pairwise(ends):
        part = facts[low:high]
        search.add(
            columns([f.keys for f in part], types),
            event=pa.array([f.event for f in part], pa.int64()),
            usable=pa.array([f.usable for f in part], pa.int64()),
            known=pa.array([f.known for f in part], pa.int64()),
            position=low,
        )
    found, event = search.found()
    assert all(event[i] == facts[f].event for i, f in enumerate(found) if f != NO_MATCH)
    return found.tolist()


@pytest.mark.parametrize(
    ("types", "key"),
    [
        pytest.param((), st.just(()), id="everybody"),
        pytest.param((pa.string(),), st.tuples(names), id="text"),
        pytest.param((pa.int64(),), st.tuples(numbers), id="number"),
        pytest.param((pa.large_string(), pa.int64()), st.tuples(names, numbers), id="two"),
        pytest.param(
            (pa.string(), pa.int64(), pa.date32(), pa.string()),
            st.tuples(names, numbers, st.just(0), names),
            id="four",
        ),
    ],
)
@pytest.mark.parametrize("when", [pytest.param(few, id="near"), pytest.param(far, id="far apart")])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_facts_in_any_order_and_batches_are_found_as_by_trying_all(types, key, when, data):
    asked = data.draw(st.lists(st.tuples(key, st.one_of(when, st.none())), max_size=15))
    facts = data.draw(drawn_facts(key, when))
    cuts = data.draw(st.lists(st.integers(0, 20), max_size=3))

    found = searched([a for a, _ in asked], [d for _, d in asked], facts, types, cuts)

    assert found == [best(a, d, facts) for a, d in asked]


@settings(max_examples=100, deadline=None)
@given(
    asked=st.lists(st.tuples(names, st.integers(-4_000, 4_000)), max_size=10),
    facts=st.lists(
        st.tuples(names, st.integers(-4_000, 4_000), st.integers(0, 3_000)), max_size=14
    ),
)
@example(asked=[("a", -1)], facts=[("a", -1_000, 999)])
def test_nanoseconds_are_rounded_so_that_nothing_is_used_too_early(asked, facts):
    rows = pa.table(
        {
            "k": pa.array([f[0] for f in facts], pa.string()).dictionary_encode(),
            "event_time": pa.array([f[1] for f in facts], NANO),
            "known_time": pa.array([f[1] + f[2] for f in facts], NANO),
        }
    )
    spine = pa.table(
        {
            "k": pa.array([a[0] for a in asked], pa.string()),
            "at": pa.array([a[1] for a in asked], NANO),
        }
    )

    found = match_as_known(spine, Facts(rows=rows, keys=("k",)), at="at")

    rounded = [Fact((k,), e // 1000, -(-(e + d) // 1000), -(-(e + d) // 1000)) for k, e, d in facts]
    assert found.tolist() == [best((k,), d // 1000, rounded) for k, d in asked]
    assert all(sum(facts[f][1:]) <= asked[i][1] for i, f in enumerate(found) if f != NO_MATCH)


def test_more_facts_than_are_looked_at_together_are_all_seen(monkeypatch):
    monkeypatch.setattr("features._join_search._BATCH", 3)
    event = pa.chunked_array([[5, 1], [9, 2, 8], [3]], pa.int64())
    search = Search([], pa.array([4, 10, 0], pa.int64()))

    search.add([], event=event, usable=event, known=event)

    assert search.found()[0].tolist() == [5, 2, NO_MATCH]
