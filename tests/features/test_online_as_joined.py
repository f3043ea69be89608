"""The guarantee against skew: read online at a moment is what the offline join gives for it."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.join import Facts, join_as_known
from features.materialize import materialize
from features.online import OnlineStore, online_file, plain_rows
from features.online_lookup import lookup_of
from features.online_reader import Found, OnlineReader
from features.view import Entity, FeatureView
from headrace import Table
from headrace.clock import VirtualClock, using_clock
from headrace.schemas import Column, TableSchema
from headrace.settings import using_settings

US = pa.timestamp("us", tz="UTC")
START = datetime(2013, 1, 1, tzinfo=UTC)
START_US = 1_356_998_400_000_000
FEATURES = ("speed", "count", "state", "is_open", "since", "day")


def as_given(source: pa.Table) -> pa.Table:
    return source


def a_view(ttl: int | None) -> FeatureView:
    """A view of every kind of value, about an entity of two columns; ttl in microseconds."""
    return FeatureView(
        name="gates",
        entities=(
            Entity(name="port", column="port"),
            Entity(name="gate", column="gate", dtype="int"),
        ),
        source=TableSchema(name="Source", columns=(Column(name="port", dtype="string"),)),
        features=(
            Column(name="speed", dtype="float"),
            Column(name="count", dtype="int"),
            Column(name="state", dtype="category"),
            Column(name="is_open", dtype="bool"),
            Column(name="since", dtype="timestamp"),
            Column(name="day", dtype="date"),
        ),
        compute=as_given,
        owner="airport",
        description="What is known of a gate.",
        ttl=None if ttl is None else timedelta(microseconds=ttl),
    )


# few moments, a microsecond apart, so that ties, late and repeated events are common
moment = st.integers(0, 9)


@st.composite
def a_fact(draw: st.DrawFn) -> dict[str, Any]:
    event = draw(moment)
    number = draw(st.integers(0, 5))
    values = {
        "speed": number / 3,
        "count": number - (1 << 40),
        "state": f"é{number}",
        "is_open": number % 2 == 0,
        "since": datetime(2012, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        "day": date(1969, 12, 30) + timedelta(days=number),
    }
    nulls = draw(st.sets(st.sampled_from(FEATURES)))
    return {
        "port": draw(st.sampled_from(["JFK", "LGA"])),
        "gate": draw(st.sampled_from([1, -1])),
        "event_time": START + timedelta(microseconds=event),
        "known_time": START + timedelta(microseconds=event + draw(st.integers(0, 5))),
        **{name: None if name in nulls else value for name, value in values.items()},
    }


facts = st.lists(a_fact(), max_size=16)
ttl = st.one_of(st.none(), st.integers(1, 6))
ENTITIES = [(port, gate) for port in ("JFK", "LGA", "EWR") for gate in (1, -1)]


def as_table(view: FeatureView, rows: Sequence[dict[str, Any]]) -> pa.Table:
    types = {"speed": pa.float64(), "count": pa.int64(), "gate": pa.int64(), "since": US}
    types |= {"event_time": US, "known_time": US, "is_open": pa.bool_(), "day": pa.date32()}
    columns = [c for c in view.schema.names if c != "expires_at"]
    table = pa.table(
        {n: pa.array([r[n] for r in rows], types.get(n, pa.string())) for n in columns}
    )
    if view.ttl is None:
        return table
    expires = [r["event_time"] + view.ttl for r in rows]
    return table.append_column("expires_at", pa.array(expires, US))


def joined(view: FeatureView, rows: Sequence[dict[str, Any]], at: int) -> list[list[Any]]:
    """What the offline join gives for every entity at a moment."""
    return joined_at(view, rows, [at])[0]


def joined_at(
    view: FeatureView, rows: Sequence[dict[str, Any]], moments: Sequence[int]
) -> list[list[list[Any]]]:
    """The same for many moments, in one join."""
    asked = [(port, gate, at) for at in moments for port, gate in ENTITIES]
    spine = pa.table(
        {
            "port": [port for port, _, _ in asked],
            "gate": pa.array([gate for _, gate, _ in asked], pa.int64()),
            "at": pa.array([START + timedelta(microseconds=at) for _, _, at in asked], US),
        }
    )
    given_facts = Facts(
        rows=as_table(view, rows),
        keys=("port", "gate"),
        expires=None if view.ttl is None else "expires_at",
    )
    found = join_as_known(spine, [given_facts], at="at").select(FEATURES).to_pylist()
    values = [[row[name] for name in FEATURES] for row in found]
    size = len(ENTITIES)
    return [values[i * size : (i + 1) * size] for i in range(len(moments))]


def read(reader: OnlineReader, at: int) -> list[list[Any]]:
    """What is read online for every entity at a moment."""
    found = [reader.read(0, {"port": port, "gate": gate}, START_US + at) for port, gate in ENTITIES]
    return [each.values or [None] * len(FEATURES) for each in found]


@contextmanager
def a_store(view: FeatureView, space: str = "replay") -> Iterator[tuple[OnlineStore, OnlineReader]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        OnlineStore(Path(folder, "online.db"), space) as store,
        OnlineReader(Path(folder, "online.db"), space, [lookup_of(view, FEATURES)]) as reader,
    ):
        yield store, reader


def known_at(rows: Sequence[dict[str, Any]], at: int) -> list[dict[str, Any]]:
    return [r for r in rows if r["known_time"] <= START + timedelta(microseconds=at)]


def clock_at(at: int) -> VirtualClock:
    return VirtualClock(START + timedelta(microseconds=at))


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(rows=facts, ttl=ttl, size=st.integers(1, 4), again=st.booleans(), plain=st.booleans())
def test_rows_delivered_as_they_become_known_read_as_the_join_gives_them(
    rows, ttl, size, again, plain
):
    view = a_view(ttl)
    in_order = sorted(rows, key=lambda r: r["known_time"])  # ties stay in the order given

    expected = joined_at(view, in_order, range(17))

    with a_store(view) as (store, reader):
        delivered: list[dict[str, Any]] = []
        for at in range(17):
            now = known_at(in_order, at)
            fresh = now if again else now[len(delivered) :]  # delivering again changes nothing
            with using_clock(clock_at(at)):
                for i in range(0, len(fresh), size):
                    table = as_table(view, fresh[i : i + size])
                    if plain:
                        store.push_rows(view, plain_rows(view, table))
                    else:
                        store.push(view, table)
            delivered = now

            assert read(reader, at) == expected[at]


@settings(max_examples=60, deadline=None)
@given(rows=facts, ttl=ttl, size=st.integers(1, 4), seed=st.randoms())
def test_rows_delivered_in_any_order_end_as_the_join_gives_them(rows, ttl, size, seed):
    view = a_view(ttl)
    # of rows alike in entity and both times the last given counts: there is no other order of them
    distinct = {(r["port"], r["gate"], r["event_time"], r["known_time"]): r for r in rows}
    shuffled = list(distinct.values())
    seed.shuffle(shuffled)

    with a_store(view) as (store, reader), using_clock(clock_at(16)):
        for i in range(0, len(shuffled), size):
            store.push(view, as_table(view, shuffled[i : i + size]))

        assert read(reader, 16) == joined(view, list(distinct.values()), 16)


@settings(max_examples=40, deadline=None)
@given(rows=facts, other=facts, ttl=ttl, start=st.integers(0, 16))
def test_a_space_that_begins_again_in_the_middle_goes_on_as_the_join_gives_it(
    rows, other, ttl, start
):
    view = a_view(ttl)
    in_order = sorted(rows, key=lambda r: r["known_time"])

    with a_store(view) as (store, reader):
        with using_clock(clock_at(16)):
            store.push(view, as_table(view, other))  # what an earlier replay left, also the future
        with using_clock(clock_at(start)):
            store.begin_again([(view, as_table(view, rows))], START + timedelta(microseconds=start))
        assert read(reader, start) == joined(view, rows, start)

        rest = in_order[len(known_at(in_order, start)) :]
        with using_clock(clock_at(16)):
            store.push(view, as_table(view, rest))
        assert read(reader, 16) == joined(view, in_order, 16)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(rows=st.lists(a_fact(), min_size=1, max_size=16), ttl=ttl, until=st.integers(0, 16))
def test_materialized_until_a_moment_it_reads_as_the_join_gives_it(rows, ttl, until):
    view = a_view(ttl)
    table = Table.of(as_table(view, rows), schema=view.schema)

    with (
        tempfile.TemporaryDirectory() as folder,
        using_settings(home=Path(folder)),
        using_clock(clock_at(16)),
    ):
        first = materialize(table, view=view, until=START + timedelta(microseconds=until))
        with OnlineReader(online_file(), "headrace", [lookup_of(view, FEATURES)]) as reader:
            found = read(reader, until)
        second = materialize(table, view=view, until=START + timedelta(microseconds=until))

    assert found == joined(view, rows, until)
    assert first.document["changed"] is (first.document["rows"] > 0)
    assert second.document["changed"] is False


def test_the_guarantee_is_tested_on_rows_that_are_late_repeated_expired_and_null():
    """The laws above hold trivially where nothing happens: this shows that much does."""
    seen: set[str] = set()

    @settings(max_examples=60, deadline=None, database=None)
    @given(rows=facts, ttl=ttl)
    def look(rows: list[dict[str, Any]], ttl: int | None) -> None:
        view = a_view(ttl)
        by_known = sorted(rows, key=lambda r: r["known_time"])
        about: dict[Any, datetime] = {}
        for row in by_known:
            who = (row["port"], row["gate"])
            if row["event_time"] < about.get(who, row["event_time"]):
                seen.add("late")
            if row["event_time"] == about.get(who):
                seen.add("repeated")
            about[who] = max(row["event_time"], about.get(who, row["event_time"]))
        unlimited = joined(a_view(None), rows, 12)
        if joined(view, rows, 12) != unlimited:
            seen.add("expired")
        if any(None in row and any(v is not None for v in row) for row in unlimited):
            seen.add("null")

    look()

    assert seen == {"late", "repeated", "expired", "null"}


def test_a_reader_never_sees_half_of_a_push_or_of_a_space_that_begins_again(tmp_path):
    view = a_view(None)
    path = tmp_path / "online.db"
    entities = [("JFK", gate) for gate in range(20)]

    def generation(number: int) -> list[dict[str, Any]]:
        return [
            {
                "port": port,
                "gate": gate,
                "event_time": START + timedelta(microseconds=number),
                "known_time": START + timedelta(microseconds=number),
                "speed": float(number),
                "count": number,
                "state": str(number),
                "is_open": None,
                "since": START + timedelta(seconds=number),
                "day": date(2013, 1, 1) + timedelta(days=number),
            }
            for port, gate in entities
        ]

    done = threading.Event()
    wrong: list[Found] = []
    changes: set[float] = set()

    def watch() -> None:
        with OnlineReader(path, "replay", [lookup_of(view, FEATURES)]) as reader:
            gate = 0
            while not done.is_set():
                gate = (gate + 1) % len(entities)
                found = reader.read(0, {"port": "JFK", "gate": gate}, START_US + 10_000)
                if found.values is None:
                    wrong.append(found)
                    continue
                speed, count, state, _, since, day = found.values
                changes.add(speed)
                since_number = (since - START).total_seconds()
                day_number = (day - date(2013, 1, 1)).days
                if not speed == count == float(state) == since_number == day_number:
                    wrong.append(found)
                if found.event_us != START_US + count:
                    wrong.append(found)

    with OnlineStore(path, "replay") as store, using_clock(clock_at(10_000)):
        store.push(view, as_table(view, generation(0)))
        readers = [threading.Thread(target=watch) for _ in range(2)]
        for each in readers:
            each.start()
        for number in range(1, 150):
            table = as_table(view, generation(number))
            if number % 10:
                store.push(view, table)
            else:
                store.begin_again([(view, table)], START + timedelta(microseconds=number))
        done.set()
        for each in readers:
            each.join()

    assert wrong == []
    assert len(changes) > 3


def test_a_nan_is_a_null_online():
    view = a_view(None)
    row = (
        "JFK", 1, START_US, START_US, math.nan, None, None, None, None, None,
    )  # fmt: skip

    with a_store(view) as (store, reader), using_clock(clock_at(1)):
        store.push_rows(view, [row])

        assert reader.read(0, {"port": "JFK", "gate": 1}, START_US).values == [None] * 6


def test_an_update_to_null_takes_the_value_away():
    view = a_view(None)
    values = (0.5, 1, "on", True, 0, date(2013, 1, 1))

    with a_store(view) as (store, reader), using_clock(clock_at(1)):
        store.push_rows(view, [("JFK", 1, START_US, START_US, *values)])
        store.push_rows(view, [("JFK", 1, START_US + 1, START_US + 1, *[None] * 6)])

        assert reader.read(0, {"port": "JFK", "gate": 1}, START_US + 1).values == [None] * 6


@pytest.mark.parametrize(("at", "expired"), [(6, False), (7, True)])
def test_a_row_is_used_up_to_and_with_the_moment_at_which_it_expires(at, expired):
    view = a_view(ttl=6)

    with a_store(view) as (store, reader), using_clock(clock_at(1)):
        store.push_rows(view, [("JFK", 1, START_US, START_US, 0.5, *[None] * 5)])

        found = reader.read(0, {"port": "JFK", "gate": 1}, START_US + at)

    assert found.expired is expired
    assert found.values == [None if expired else 0.5, *[None] * 5]
    assert (found.event_us, found.known_us) == (START_US, START_US)
