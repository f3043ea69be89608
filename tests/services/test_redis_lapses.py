"""In Redis, no count is given beyond the moment at which a row leaves its window."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import redis
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from features._materialize_run import Outcome
from features._online_layout import layout_of
from features._online_rows import conformed
from features._online_source import rows_of_table
from features._redis_layout import time_bytes
from features.join import Facts, join_as_known
from features.online_lookup import lookup_of
from features.online_reader import Found
from features.redis_materialize import bring_up_in_redis
from features.redis_reader import RedisReader
from features.redis_store import RedisOnlineStore
from features.view import Entity, FeatureView
from features.windows import Windows, count
from headrace import Col, Schema
from headrace.clock import VirtualClock, using_clock
from headrace.settings import using_settings

pytestmark = pytest.mark.services
US = pa.timestamp("us", tz="UTC")
START = datetime(2024, 5, 1, tzinfo=UTC)
START_US = 1_714_521_600_000_000
SHOPS = ("mill", "quay")


class Sale(Schema, Protocol):
    """This is a sale."""

    shop: str
    sold_at: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]


record = FeatureView(
    name="record",
    entities=(Entity(name="shop", column="shop"),),
    source=Sale,
    compute=Windows(aggregates=(count(over=timedelta(microseconds=3)),)),
    owner="shops",
    description="What a shop sold lately.",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(START + timedelta(days=9))):
        yield tmp_path


def at(moment: int) -> datetime:
    return START + timedelta(microseconds=moment)


def rows_of(*sales: tuple[str, int, int]) -> pa.Table:
    shops, events, known = zip(*sales, strict=True)
    times = {"sold_at": events, "known_time": known}
    columns = {name: pa.array([at(t) for t in moments], US) for name, moments in times.items()}
    return record.rows(pa.table({"shop": pa.array(shops, pa.string()), **columns}))


def brought_online(url: str, rows: pa.Table, until: int, space: str = "headrace") -> Outcome:
    layout = layout_of(record)
    with rows_of_table(layout, conformed(record, rows)) as source:
        return bring_up_in_redis(
            url, layout, 0, source, space=space, until_us=START_US + until, say=lambda _: None
        )


def read(url: str, moment: int, shop: str = "mill", space: str = "headrace") -> Found:
    with RedisReader(url, space, [lookup_of(record)]) as reader:
        found = reader.read(0, {"shop": shop}, START_US + moment)
        many = reader.read_many(0, {"shop": [shop]}, START_US + moment)
    assert [found.status] == list(many.status)
    assert (found.values or [None]) == [column[0] for column in many.columns]
    return found


a_sale = st.tuples(st.sampled_from(SHOPS), st.integers(0, 9), st.integers(0, 3))


@trials(max_examples=30, deadline=None)
@given(st.lists(a_sale, min_size=1, max_size=9), st.integers(0, 12), st.integers(0, 6))
def test_what_is_read_is_what_the_join_gives_or_expired(redis_server, sales, until, later):
    rows = rows_of(*((shop, event, event + late) for shop, event, late in sales))
    space = f"s{abs(hash((tuple(sales), until, later)))}"
    spine = pa.table({"shop": SHOPS, "at": pa.array([at(until + later)] * 2, US)})

    brought_online(redis_server.url, rows, until, space)
    found = [read(redis_server.url, until + later, shop, space) for shop in SHOPS]

    joined = join_as_known(spine, [Facts(rows=rows, keys=("shop",))], at="at")
    for shop, online, offline in zip(SHOPS, found, joined["count_3us"].to_pylist(), strict=True):
        mine = rows.filter(pc.equal(rows["shop"], shop))["known_time"].to_pylist()
        if any(at(until) < known <= at(until + later) for known in mine):
            assert online.status in ("expired", "unknown")
            assert online.values in ([None], None)
        else:
            assert (online.values or [None]) == [offline]


def test_a_count_is_expired_when_a_sale_leaves_the_window(redis_url):
    rows = rows_of(("mill", 0, 0), ("mill", 2, 2))

    brought_online(redis_url, rows, 2)

    assert [read(redis_url, time).values for time in (2, 3)] == [[2], [None]]
    assert read(redis_url, 3).status == "expired"
    brought_online(redis_url, rows, 9)
    assert read(redis_url, 10**9).values == [0]


def test_the_same_rows_say_again_until_when_they_hold(redis_url):
    rows = rows_of(("mill", 0, 0))
    with RedisOnlineStore(redis_url, "headrace") as store:
        store.push_rows(record, [("mill", START_US, START_US, 1)])
    pushed = read(redis_url, 3)

    done = brought_online(redis_url, rows, 1)

    assert (pushed.values, done.written) == ([1], 0)
    assert [read(redis_url, time).status for time in (2, 3)] == ["present", "expired"]


def test_what_somebody_writes_over_it_holds_on(redis_url):
    brought_online(redis_url, rows_of(("mill", 0, 0)), 1)
    with RedisOnlineStore(redis_url, "headrace") as store:
        store.push_rows(record, [("mill", START_US + 2, START_US + 2, 7)])
    pushed = read(redis_url, 9)
    brought_online(redis_url, rows_of(("quay", 0, 0)), 1)
    client = redis.Redis.from_url(redis_url)

    (key,) = client.keys("*quay*")
    client.hset(key, "_ts:record", time_bytes(START_US + 2_000_000))  # as Feast's own store does

    assert pushed.values == [7]
    assert read(redis_url, 2_000_001, "quay").values == [1]
    client.close()
