"""Online, no count is given beyond the moment at which a row leaves its window."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import _materialize_run
from features._materialize_run import Target, bring_up
from features._online_layout import Layout, layout_of, published_layout
from features._online_source import rows_of_table
from features._published import Published
from features._versions import number_of
from features.join import Facts, join_as_known
from features.materialize import materialize
from features.online import OnlineStore, online_file
from features.online_lookup import lookup_of
from features.online_reader import Found, OnlineReader
from features.view import Entity, FeatureView
from features.windows import Windows, count, last, sum_of
from headrace import Col, Schema, Table
from headrace.clock import VirtualClock, using_clock
from headrace.errors import StoreError
from headrace.settings import using_settings

US = pa.timestamp("us", tz="UTC")
START = datetime(2024, 5, 1, tzinfo=UTC)
START_US = 1_714_521_600_000_000
NOW = START + timedelta(days=30)
STEP = timedelta(microseconds=1)
SHOPS = ("mill", "quay", "yard")
NAMES = ("count_3us", "sum_pieces_5us", "last_pieces_3us")
Sales = Sequence[tuple[int, str, int, int, int]]  # id, shop, event, known, pieces


class Sale(Schema, Protocol):
    """This is a sale as it was said to be."""

    sale: int
    shop: str
    sold_at: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    pieces: int | None


record = FeatureView(
    name="record",
    entities=(Entity(name="shop", column="shop"),),
    source=Sale,
    compute=Windows(
        row_id="sale",
        aggregates=(
            count(over=3 * STEP),
            sum_of("pieces", over=5 * STEP),
            last("pieces", over=3 * STEP),
        ),
    ),
    owner="shops",
    description="What a shop sold lately.",
)


@contextmanager
def a_home(folder: Path) -> Iterator[None]:
    with using_settings(home=folder), using_clock(VirtualClock(NOW)):
        yield


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with a_home(tmp_path):
        yield tmp_path


def at(moment: int) -> datetime:
    return START + moment * STEP


def rows_of(sales: Sales, view: FeatureView = record) -> pa.Table:
    """The rows of the view, those of the moments to come too."""
    ids, shops, events, known, pieces = zip(*sales, strict=True)
    source = pa.table(
        {
            "sale": pa.array(ids, pa.int64()),
            "shop": pa.array(shops, pa.string()),
            "sold_at": pa.array([at(e) for e in events], US),
            "known_time": pa.array([at(k) for k in known], US),
            "pieces": pa.array(pieces, pa.int64()),
        }
    )
    return view.rows(source)


def brought_online(rows: pa.Table, until: int, view: FeatureView = record, **options: Any) -> Any:
    table = Table.of(rows, schema=view.schema)
    return materialize(table, view=view, until=at(until), **options).document


def read(moment: int, shop: str = "mill", **options: Any) -> Found:
    with OnlineReader(online_file(), "headrace", [lookup_of(record)]) as reader:
        return reader.read(0, {"shop": shop}, START_US + moment, **options)


def read_all(moments: Sequence[int]) -> list[list[Found]]:
    """What is read of every shop at each moment, one by one and, the same, at once."""
    with OnlineReader(online_file(), "headrace", [lookup_of(record)]) as reader:
        alone = [[reader.read(0, {"shop": s}, START_US + t) for s in SHOPS] for t in moments]
        for moment, each in zip(moments, alone, strict=True):
            many = reader.read_many(0, {"shop": SHOPS}, START_US + moment)
            values = [list(row) for row in zip(*many.columns, strict=True)]
            assert values == [found.values or [None] * len(NAMES) for found in each]
            assert list(many.status) == [found.status for found in each]
    return alone


def joined(rows: pa.Table, moments: Sequence[int]) -> list[list[list[Any]]]:
    """What the offline join gives of every shop at each moment."""
    asked = [(shop, at(moment)) for moment in moments for shop in SHOPS]
    spine = pa.table({"shop": [s for s, _ in asked], "at": pa.array([t for _, t in asked], US)})
    found = join_as_known(spine, [Facts(rows=rows, keys=("shop",))], at="at")
    values = [[row[name] for name in NAMES] for row in found.select(NAMES).to_pylist()]
    return [values[i : i + len(SHOPS)] for i in range(0, len(values), len(SHOPS))]


def known_times(rows: pa.Table, shop: str) -> list[int]:
    pairs = zip(rows["shop"].to_pylist(), rows["known_time"].cast(pa.int64()).to_pylist())  # noqa: B905
    return [known - START_US for of, known in pairs if of == shop]


moment = st.integers(0, 12)


@st.composite
def a_sale(draw: st.DrawFn) -> tuple[int, str, int, int, int]:
    event = draw(moment)
    known = event + draw(st.integers(0, 4))
    return draw(st.integers(0, 5)), draw(st.sampled_from(SHOPS)), event, known, draw(moment)


def one_word_each(sales: Sales) -> list[tuple[int, str, int, int, int]]:
    """Sales of which no two say something about the same at the same time."""
    return list({(sale[0], sale[3]): sale for sale in sales}.values())


some_sales = st.lists(a_sale(), min_size=1, max_size=12).map(one_word_each)


@settings(max_examples=30, deadline=None)
@given(some_sales, moment)
def test_what_is_read_is_what_the_join_gives_until_a_row_leaves_a_window(sales, until):
    rows = rows_of(sales)
    moments = range(until, 24)

    with tempfile.TemporaryDirectory() as folder, a_home(Path(folder)):
        brought_online(rows, until)
        found = read_all(moments)

    expected = joined(rows, moments)
    for time, each, offline in zip(moments, found, expected, strict=True):
        for shop, online, values in zip(SHOPS, each, offline, strict=True):
            known = known_times(rows, shop)
            if any(until < other <= time for other in known):
                assert online.status in ("expired", "unknown")
                assert not any(online.values or ())
            else:
                assert (online.values or [None] * len(NAMES)) == values
                assert online.status == ("present" if any(k <= until for k in known) else "unknown")


@settings(max_examples=30, deadline=None)
@given(some_sales, st.lists(st.tuples(moment, st.booleans()), min_size=2, max_size=5))
def test_while_words_come_in_nothing_is_given_but_what_the_join_gives_or_null(sales, runs):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(_materialize_run, "BATCH", 1)
        patch.setattr(_materialize_run, "_READ", 1)
        for until, full in sorted(runs):
            said = [sale for sale in sales if sale[3] <= until]  # what nobody said is not there
            if not said:
                continue
            rows, moments = rows_of(said), range(until, 24)

            with a_home(Path(folder)):
                brought_online(rows, until, full=full)
                found = read_all(moments)

            for each, offline in zip(found, joined(rows, moments), strict=True):
                for online, values in zip(each, offline, strict=True):
                    assert online.status == "expired" or (online.values or [None] * 3) == values


def test_a_count_is_expired_from_the_moment_at_which_a_sale_leaves_the_window(home):
    rows = rows_of([(1, "mill", 0, 0, 4), (2, "mill", 2, 2, 5)])

    brought_online(rows, 2)

    assert [read(time).values for time in (2, 3)] == [[2, 9, 5], [None] * 3]
    assert read(3) == Found([None] * 3, START_US + 2, START_US + 2, expired=True)
    brought_online(rows, 4)
    assert (read(4).values, read(5).status) == ([1, 9, 5], "expired")
    brought_online(rows, 20)
    assert read(10**9).values == [0, 0, None]  # a window that is empty stays so


def test_without_until_when_it_holds_an_old_count_would_be_given(home):
    brought_online(rows_of([(1, "mill", 0, 0, 4)]), 1)

    with closing(sqlite3.connect(online_file())) as connection, connection:
        connection.execute('UPDATE "headrace_record.facts" SET until_us = NULL')

    assert read(10).values == [1, 4, 4]  # the control: a sale of ten moments ago


def test_a_word_that_changes_only_what_comes_counts(home):
    first = [(1, "mill", 2, 2, 4), (2, "quay", 0, 0, 1)]
    brought_online(rows_of(first), 2)
    before = [read(time).status for time in (4, 5)]

    # the sale was a moment earlier than said: the count is the same, and falls a moment earlier
    done = brought_online(rows_of([*first, (1, "mill", 1, 3, 4)]), 3)

    assert before == ["present", "expired"]
    assert done["since"] == at(2).isoformat()
    assert [read(time).status for time in (3, 4)] == ["present", "expired"]


def test_looking_at_all_rows_again_leaves_what_is_there_and_says_until_when(home):
    rows = rows_of([(1, "mill", 0, 0, 4)])
    brought_online(rows, 1)
    with closing(sqlite3.connect(online_file())) as connection, connection:
        connection.execute('UPDATE "headrace_record.facts" SET until_us = NULL')

    done = brought_online(rows, 1, full=True)

    assert (done["written"], done["same"]) == (0, 1)
    assert [read(time).status for time in (2, 3)] == ["present", "expired"]


def test_an_earlier_moment_than_the_last_does_not_say_until_when_a_later_row_holds(home):
    rows = rows_of([(1, "mill", 0, 0, 4), (2, "mill", 2, 2, 5)])
    brought_online(rows, 2)

    brought_online(rows, 0)

    assert (read(2).values, read(3).status) == ([2, 9, 5], "expired")


def test_a_run_that_was_stopped_goes_on_unless_what_comes_has_changed(home, monkeypatch):
    monkeypatch.setattr(_materialize_run, "BATCH", 1)
    monkeypatch.setattr(_materialize_run, "_READ", 1)
    sales = [(i, shop, 0, 0, 1) for i, shop in enumerate(SHOPS)]
    target = Target(
        layout=layout_of(record), number=number_of(record), space="headrace", path=online_file()
    )

    def stopped(text: str) -> None:
        raise StoreError(text, remedy="Go on.")

    def run(rows: pa.Table, say: Any) -> Any:
        with rows_of_table(target.layout, rows) as source:
            return bring_up(
                target, source, until_us=START_US, now_us=START_US + 99, full=False, say=say
            )

    with pytest.raises(StoreError, match="1 of 3 rows"):
        run(rows_of(sales), stopped)
    later_word = [*sales, (0, "mill", 1, 1, 1)]  # it falls at another moment, and is the same now
    other = run(rows_of(later_word), lambda _: None)
    again = run(rows_of(later_word), lambda _: None)

    assert (other.resumed, other.entities, again.written) == (False, 3, 0)
    assert [read(time).status for time in (0, 1)] == ["present", "expired"]
    assert [read(time, "yard").status for time in (2, 3)] == ["present", "expired"]


def test_a_run_that_was_stopped_goes_on_where_it_was(home, monkeypatch):
    monkeypatch.setattr(_materialize_run, "BATCH", 1)
    rows = rows_of([(i, shop, 0, 0, 1) for i, shop in enumerate(SHOPS)])
    layout = layout_of(record)
    target = Target(layout=layout, number=number_of(record), space="headrace", path=online_file())

    def stopped(text: str) -> None:
        raise StoreError(text, remedy="Go on.")

    with rows_of_table(layout, rows) as source:
        moments = {"until_us": START_US, "now_us": START_US + 99}
        monkeypatch.setattr(_materialize_run, "_READ", 1)
        with pytest.raises(StoreError):
            bring_up(target, source, **moments, full=False, say=stopped)
        done = bring_up(target, source, **moments, full=False, say=lambda _: None)

    assert (done.resumed, done.written) == (True, 3)
    assert [[read(time, shop).status for time in (2, 3)] for shop in SHOPS] == [
        ["present", "expired"]
    ] * 3


def test_a_file_of_before_is_read_and_given_what_it_lacks_while_a_reader_is_open(home):
    rows = rows_of([(1, "mill", 0, 0, 4)])
    brought_online(rows, 1)
    with closing(sqlite3.connect(online_file())) as connection, connection:
        connection.execute('ALTER TABLE "headrace_record.facts" DROP COLUMN until_us')

    with OnlineReader(online_file(), "headrace", [lookup_of(record)]) as reader:
        before = reader.read(0, {"shop": "mill"}, START_US + 3)
        many = reader.read_many(0, {"shop": ["mill"]}, START_US + 3)
        brought_online(rows, 1)
        after = reader.read(0, {"shop": "mill"}, START_US + 3)

    assert (before.values, many.columns[0]) == ([1, 4, 4], [1])
    assert after.status == "expired"


def test_what_lies_in_feasts_own_table_does_not_depend_on_it(home):
    rows = rows_of([(1, "mill", 0, 0, 4), (2, "quay", 2, 2, None)])
    brought_online(rows, 2)
    with OnlineStore(online_file(), "other") as store:
        store.begin_again([(record, rows)], at(2))

    with closing(sqlite3.connect(online_file())) as connection:
        ours, others = (
            connection.execute(f"SELECT * FROM {space}_record ORDER BY 1, 2").fetchall()  # noqa: S608
            for space in ("headrace", "other")
        )

    assert ours == others


def test_a_replay_that_is_given_every_row_as_it_becomes_known_reads_what_the_join_gives(home):
    rows = rows_of([(1, "mill", 0, 0, 4), (2, "quay", 1, 3, 2), (1, "mill", 1, 2, 6)])
    ordered = rows.sort_by("known_time")
    times = [t - START_US for t in ordered["known_time"].cast(pa.int64()).to_pylist()]
    expected = joined(rows, range(12))

    with (
        OnlineStore(online_file(), "again") as store,
        OnlineReader(online_file(), "again", [lookup_of(record)]) as reader,
    ):
        store.begin_again([(record, rows)], at(0))
        for now in range(12):
            due = [i for i, time in enumerate(times) if 0 < time == now]
            store.push(record, ordered.take(pa.array(due, pa.int64())))
            found = [reader.read(0, {"shop": shop}, START_US + now) for shop in SHOPS]

            assert [each.values or [None] * len(NAMES) for each in found] == expected[now]


def test_a_view_about_everybody_and_its_versions_lapse_alike(home):
    town = replace(record, name="town", entities=(), features=None)
    rows = rows_of([(1, "mill", 0, 0, 4)], town)

    brought_online(rows, 1, town)

    with OnlineReader(online_file(), "headrace", [lookup_of(town)]) as reader:
        assert [reader.read(0, {}, START_US + t).status for t in (2, 3)] == ["present", "expired"]


def test_a_newer_row_that_somebody_pushes_holds_on(home):
    rows = rows_of([(1, "mill", 0, 0, 4)])
    brought_online(rows, 1)

    with OnlineStore(online_file(), "headrace") as store:
        store.push_rows(record, [("mill", START_US + 2, START_US + 2, 7, 7, 7)])

    assert read(9).values == [7, 7, 7]


def test_what_is_published_says_that_its_values_lapse_and_is_no_other_version_for_it(home):
    def layout(view: FeatureView) -> Layout:
        record_of = dict.fromkeys(Published.__dataclass_fields__, "")
        return published_layout(Published(**{**record_of, "definition": view.definition()}))

    plain = replace(record, compute="SELECT * FROM source", features=record.columns)

    assert (layout(record).lapses, layout(plain).lapses) == (True, False)
    assert "lapses" not in plain.definition()
