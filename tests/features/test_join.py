"""The point-in-time join, against an oracle that says in ten lines what it means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.join import NO_MATCH, Facts, join_as_known, match_as_known
from headrace.errors import BoundaryError

US = pa.timestamp("us", tz="UTC")
START = datetime(2013, 1, 1, tzinfo=UTC)


def hours(*values: float | None) -> pa.Array:
    return pa.array([None if v is None else START + timedelta(hours=v) for v in values], US)


def weather(**columns: list[object]) -> Facts:
    return Facts(
        rows=pa.table(
            {
                "origin": pa.array(columns["origin"], pa.string()),
                "event_time": hours(*columns["event"]),
                "known_time": hours(*columns["known"]),
                "wind": columns["wind"],
            }
        ),
        keys=("origin",),
    )


def spine(origins: list[str | None], decided: list[float]) -> pa.Table:
    return pa.table({"origin": pa.array(origins, pa.string()), "decided_at": hours(*decided)})


def test_a_fact_is_used_from_the_moment_it_is_known():
    facts = weather(origin=["JFK"], event=[0], known=[1], wind=[7.0])

    joined = join_as_known(spine(["JFK", "JFK"], [0.99, 1.0]), [facts], at="decided_at")

    assert joined["wind"].to_pylist() == [None, 7.0]


def test_a_correction_is_used_only_once_it_has_arrived():
    facts = weather(origin=["JFK", "JFK"], event=[0, 0], known=[1, 5], wind=[7.0, 9.0])

    joined = join_as_known(spine(["JFK", "JFK"], [4, 6]), [facts], at="decided_at")

    assert joined["wind"].to_pylist() == [7.0, 9.0]


def test_a_late_row_about_an_old_event_does_not_hide_the_newer_one():
    facts = weather(origin=["JFK", "JFK"], event=[3, 0], known=[4, 5], wind=[7.0, 9.0])

    joined = join_as_known(spine(["JFK"], [6]), [facts], at="decided_at")

    assert joined["wind"].to_pylist() == [7.0]


def test_an_expired_fact_is_null_and_not_replaced_by_an_older_one():
    facts = weather(origin=["JFK", "JFK"], event=[0, 1], known=[0, 1], wind=[7.0, 9.0])
    rows = facts.rows.append_column("expires_at", hours(9, 3))
    facts = Facts(rows=rows, keys=("origin",), expires="expires_at")

    joined = join_as_known(spine(["JFK", "JFK"], [3, 3.1]), [facts], at="decided_at")

    assert joined["wind"].to_pylist() == [9.0, None]
    assert joined.column_names == ["origin", "decided_at", "wind"]


def test_no_row_is_lost_and_order_and_duplicates_are_kept():
    facts = weather(origin=["JFK", None], event=[0, 0], known=[0, 0], wind=[7.0, 1.0])
    rows = spine(["LGA", "JFK", None, "JFK", "JFK"], [5, 2, 2, 1, 2])

    joined = join_as_known(rows, [facts], at="decided_at")

    assert joined.select(["origin", "decided_at"]).equals(rows)
    assert joined["wind"].to_pylist() == [None, 7.0, None, 7.0, 7.0]


def test_an_entity_of_two_columns_matches_on_both():
    rows = pa.table(
        {
            "origin": ["JFK", "JFK"],
            "flight": [1, 2],
            "event_time": hours(0, 0),
            "known_time": hours(0, 0),
            "wind": [1.0, 2.0],
        }
    )
    asked = pa.table({"origin": ["JFK"] * 3, "flight": [2, 1, 3], "decided_at": hours(1, 1, 1)})

    joined = join_as_known(asked, [Facts(rows=rows, keys=("origin", "flight"))], at="decided_at")

    assert joined["wind"].to_pylist() == [2.0, 1.0, None]


def test_zones_and_units_are_put_on_one_time_line():
    new_york = pa.timestamp("ns", tz="America/New_York")
    facts = weather(origin=["JFK"], event=[0], known=[1], wind=[7.0])
    rows = facts.rows.set_column(2, "known_time", facts.rows["known_time"].cast(new_york))
    asked = spine(["JFK", "JFK"], [0, 1])
    asked = asked.set_column(1, "decided_at", asked["decided_at"].cast(pa.timestamp("s", "UTC")))

    joined = join_as_known(asked, [Facts(rows=rows, keys=("origin",))], at="decided_at")

    assert joined["wind"].to_pylist() == [None, 7.0]


def test_a_fact_known_within_the_microsecond_of_the_decision_is_not_used():
    ns = pa.timestamp("ns", tz="UTC")
    rows = pa.table(
        {
            "origin": ["JFK", "LGA"],
            "event_time": pa.array([0, 0], ns),
            "known_time": pa.array([1_500, 1_000], ns),
        }
    )
    asked = pa.table({"origin": ["JFK", "LGA"], "decided_at": pa.array([1_999, 1_999], ns)})

    found = match_as_known(asked, Facts(rows=rows, keys=("origin",)), at="decided_at")

    assert found.tolist() == [NO_MATCH, 1]


def test_an_empty_side_gives_an_empty_or_unmatched_result():
    facts = weather(origin=["JFK"], event=[0], known=[1], wind=[7.0])
    nothing = Facts(rows=facts.rows.slice(0, 0), keys=("origin",))

    joined = join_as_known(spine(["JFK"], [2]), [nothing], at="decided_at")
    empty = join_as_known(spine([], []), [facts], at="decided_at")

    assert joined["wind"].to_pylist() == [None]
    assert empty.column_names == ["origin", "decided_at", "wind"]
    assert empty.num_rows == 0


def test_a_category_key_matches_a_text_key():
    facts = weather(origin=["JFK"], event=[0], known=[1], wind=[7.0])
    asked = spine(["LGA", "JFK"], [2, 2])
    asked = asked.set_column(0, "origin", asked["origin"].dictionary_encode())

    assert match_as_known(asked, facts, at="decided_at").tolist() == [NO_MATCH, 0]


def test_a_naive_time_is_refused():
    facts = weather(origin=["JFK"], event=[0], known=[1], wind=[7.0])
    naive = pa.table({"origin": ["JFK"], "decided_at": pa.array([0], pa.timestamp("us"))})

    with pytest.raises(BoundaryError) as error:
        join_as_known(naive, [facts], at="decided_at")

    assert str(error.value) == (
        "The column 'decided_at' is a time without a zone, so that it cannot be put on one time "
        "line.\n  Fix: Make it a time-zone aware instant, such as timestamp[us, tz=UTC]."
    )


def test_keys_of_different_types_are_refused():
    facts = weather(origin=["JFK"], event=[0], known=[1], wind=[7.0])
    numbered = pa.table({"origin": [1], "decided_at": hours(2)})

    with pytest.raises(BoundaryError) as error:
        match_as_known(numbered, facts, at="decided_at")

    assert str(error.value) == (
        "The key 'origin' is int64 in the rows but string in the facts.\n"
        "  Fix: Give it the same type on both sides."
    )


def test_a_column_that_would_occur_twice_is_refused():
    facts = weather(origin=["JFK"], event=[0], known=[1], wind=[7.0])

    with pytest.raises(BoundaryError) as error:
        join_as_known(spine(["JFK"], [2]), [facts, facts], at="decided_at")

    assert str(error.value) == (
        "The join would have two columns 'wind'.\n  Fix: Rename one of them before joining."
    )


def test_facts_without_a_key_are_about_everybody():
    rows = pa.table(
        {"event_time": hours(0, 1), "known_time": hours(0, 3), "holiday": ["no", "yes"]}
    )
    asked = spine(["JFK", None, "JFK"], [2, 3, -1])

    joined = join_as_known(asked, [Facts(rows=rows, keys=())], at="decided_at")

    assert joined["holiday"].to_pylist() == ["no", "yes", None]


def test_a_fact_expires_after_its_last_moment_not_at_it():
    facts = weather(origin=["JFK"], event=[0], known=[0], wind=[7.0])
    rows = facts.rows.append_column("expires_at", hours(3))
    facts = Facts(rows=rows, keys=("origin",), expires="expires_at")
    asked = pa.table(
        {
            "origin": ["JFK", "JFK"],
            "decided_at": pa.array([START + timedelta(hours=3, microseconds=n) for n in (0, 1)]),
        }
    )

    joined = join_as_known(asked, [facts], at="decided_at")

    assert joined["wind"].to_pylist() == [7.0, None]


def test_the_hour_that_a_clock_shows_twice_is_two_hours():
    zone = ZoneInfo("America/New_York")
    twice = [datetime(2013, 11, 3, 1, 30, fold=fold, tzinfo=zone) for fold in (0, 1)]
    kind = pa.timestamp("us", tz="America/New_York")
    rows = pa.table(
        {
            "origin": ["JFK", "JFK"],
            "event_time": pa.array([t.astimezone(UTC) for t in twice], US).cast(kind),
            "known_time": pa.array([t.astimezone(UTC) for t in twice], US).cast(kind),
            "wind": ["summer", "winter"],
        }
    )
    later = [t.astimezone(UTC) + timedelta(minutes=20) for t in twice]
    asked = pa.table({"origin": ["JFK", "JFK"], "decided_at": pa.array(later, US)})

    joined = join_as_known(asked, [Facts(rows=rows, keys=("origin",))], at="decided_at")

    assert joined["wind"].to_pylist() == ["summer", "winter"]


def test_a_decision_without_a_time_knows_nothing():
    facts = weather(origin=["JFK"], event=[0], known=[0], wind=[7.0])
    asked = pa.table({"origin": ["JFK", "JFK"], "decided_at": hours(None, 1)})

    joined = join_as_known(asked, [facts], at="decided_at")

    assert joined["wind"].to_pylist() == [None, 7.0]


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        pytest.param(pa.int32(), pa.int64(), id="fewer bits asked"),
        pytest.param(pa.int64(), pa.int8(), id="fewer bits in the facts"),
        pytest.param(pa.uint64(), pa.int64(), id="without and with a sign"),
        pytest.param(pa.int16(), pa.uint64(), id="with and without a sign"),
    ],
)
def test_whole_numbers_match_whatever_their_width(asked, rows):
    table = pa.table(
        {
            "flight": pa.array([1, 7], rows),
            "event_time": hours(0, 0),
            "known_time": hours(0, 0),
        }
    )
    spine_rows = pa.table({"flight": pa.array([7, 2, 1], asked), "decided_at": hours(1, 1, 1)})

    found = match_as_known(spine_rows, Facts(rows=table, keys=("flight",)), at="decided_at")

    assert found.tolist() == [1, NO_MATCH, 0]


def test_a_number_that_the_other_side_cannot_hold_matches_nothing():
    table = pa.table(
        {
            "flight": pa.array([2**63 + 1, 5], pa.uint64()),
            "event_time": hours(0, 0),
            "known_time": hours(0, 0),
        }
    )
    asked = pa.table({"flight": pa.array([-(2**63) + 1, 5], pa.int64()), "decided_at": hours(1, 1)})

    found = match_as_known(asked, Facts(rows=table, keys=("flight",)), at="decided_at")

    assert found.tolist() == [NO_MATCH, 1]


minute = st.integers(0, 12)  # few values, so that ties and repeats are common
key = st.sampled_from(["a", "b", None])


@st.composite
def a_fact(draw: st.DrawFn) -> tuple[str | None, int | None, int | None, int | None]:
    event = draw(st.one_of(minute, st.none()))
    late = draw(st.integers(0, 6))
    known = None if event is None or draw(st.integers(0, 9)) == 0 else event + late
    return draw(key), event, known, draw(st.one_of(st.none(), minute))


def oracle(
    asked: list[tuple[str | None, int]],
    facts: list[tuple[str | None, int | None, int | None, int | None]],
) -> list[int]:
    found = []
    for name, decided in asked:
        known = [
            (event, at, i)
            for i, (who, event, at, _) in enumerate(facts)
            if name is not None and who == name and event is not None and at is not None
            if at <= decided
        ]
        best = max(known)[2] if known else NO_MATCH
        if best != NO_MATCH and (until := facts[best][3]) is not None and until < decided:
            best = NO_MATCH
        found.append(best)
    return found


@settings(max_examples=150, deadline=None)
@given(
    asked=st.lists(st.tuples(key, st.integers(-2, 20)), max_size=12),
    facts=st.lists(a_fact(), max_size=14),
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    zone=st.sampled_from(["UTC", "Asia/Kolkata"]),
)
def test_the_join_is_the_oracle_for_late_duplicated_and_unordered_rows(asked, facts, unit, zone):
    kind = pa.timestamp(unit, tz=zone)
    scale = {"s": 60, "ms": 60_000, "us": 60_000_000, "ns": 60_000_000_000}[unit]

    def instants(values: list[int | None]) -> pa.Array:
        return pa.array([None if v is None else v * scale for v in values], pa.int64()).cast(kind)

    rows = pa.table(
        {
            "k": pa.array([f[0] for f in facts], pa.string()),
            "event_time": instants([f[1] for f in facts]),
            "known_time": instants([f[2] for f in facts]),
            "until": instants([f[3] for f in facts]),
        }
    )
    spine_rows = pa.table(
        {
            "k": pa.array([a[0] for a in asked], pa.string()),
            "at": instants([a[1] for a in asked]).cast(US),
        }
    )

    found = match_as_known(spine_rows, Facts(rows=rows, keys=("k",), expires="until"), at="at")

    assert found.tolist() == oracle(asked, facts)
    assert found.dtype == np.int64
