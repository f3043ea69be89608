"""What a stream had online at any moment is what the point-in-time join gives for it offline."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from features.join import Facts, join_as_known
from features.online import online_file
from features.online_lookup import lookup_of
from features.stream import advance, push, stream_source
from features.stream_reader import StreamReader
from features.view import Entity, FeatureView
from features.windows import Windows, count, distinct, last, max_of, mean, rate, sum_of
from headrace import Col, Schema
from headrace.clock import VirtualClock, as_us, using_clock
from headrace.settings import using_settings

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OVERS = (3 * MINUTE, 10 * MINUTE)
SHOP = Entity(name="shop", column="shop")
SHOPS = ("north", "south", "west")


class Sale(Schema, Protocol):
    """This is a sale as it was said to be."""

    sale: str
    shop: str
    sold_at: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]
    amount: float | None
    returned: bool | None
    payment: Literal["card", "cash"] | None


class Latest(Schema, Protocol):
    """This is the last sale of a shop."""

    amount: float
    payment: Literal["card", "cash"]


def latest(sales: pa.Table) -> pa.Table:
    return sales.rename_columns({"sold_at": "event_time"})


def sales_view(name: str, **changes: Any) -> FeatureView:
    given: dict[str, Any] = {"owner": "shops", "description": "Sales of a shop.", "stream": True}
    return FeatureView(name=name, entities=(SHOP,), source=Sale, **(given | changes))


def windows(row_id: str | None, *, forever: bool) -> Windows:
    overs = (*OVERS, None) if forever else OVERS
    return Windows(
        row_id=row_id,
        aggregates=(
            count(over=overs),
            sum_of("amount", over=overs),
            mean("amount", over=overs),
            rate("returned", over=overs),
            last("payment", over=overs),
            distinct("payment", over=overs),
            max_of("amount", over=overs),
        ),
    )


VIEWS = {
    "identified": sales_view("identified", compute=windows("sale", forever=False)),
    "anonymous": sales_view("anonymous", compute=windows(None, forever=False)),
    "forever": sales_view("forever", compute=windows("sale", forever=True)),
    "rowwise": sales_view("rowwise", compute=latest, features=Latest),
}

sale_rows = st.fixed_dictionaries(
    {
        "sale": st.sampled_from("abcdefgh"),
        "shop": st.sampled_from(SHOPS),
        "event_before": st.sampled_from([0, 0, 1, 2, 5, 9, 12]),
        "known_before": st.sampled_from([0, 0, 1, 3]),
        "amount": st.sampled_from([None, 0.1, 0.2, 0.3, 1e16, 7.0]),
        "returned": st.sampled_from([True, False, None]),
        "payment": st.sampled_from(["card", "cash", None]),
    }
)
steps = st.lists(
    st.tuples(
        st.integers(0, 6),  # minutes that pass
        st.sampled_from(["push", "push", "push", "again", "advance"]),
        st.lists(sale_rows, max_size=4),
    ),
    min_size=1,
    max_size=8,
)


def said_at(now: datetime, row: dict[str, Any]) -> dict[str, Any]:
    known = now - row["known_before"] * MINUTE
    times = {"sold_at": known - row["event_before"] * MINUTE, "known_time": known}
    return {k: v for k, v in row.items() if not k.endswith("before")} | times


@settings(max_examples=15, deadline=None)
@given(steps=steps, name=st.sampled_from(list(VIEWS)), late=st.integers(0, 25))
def test_online_at_every_moment_is_the_join_offline(steps, name, late):
    view = VIEWS[name]
    seen: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        using_settings(home=Path(folder)),
        using_clock(VirtualClock(NOON)) as clock,
    ):

        def look() -> None:
            with StreamReader(online_file(), "headrace", [lookup_of(view)]) as reader:
                for shop in SHOPS:
                    found = reader.read(0, {"shop": shop}, as_us(clock.now()))
                    seen.append(
                        {"shop": shop, "at": clock.now(), "got": found.values, "old": found.expired}
                    )

        before: list[dict[str, Any]] = []
        for minutes, what, rows in [*steps, (late, "advance", [])]:
            moment = clock.now() + minutes * MINUTE
            if minutes:  # what is overdue by then is not advanced yet
                clock.advance_to(moment - timedelta(microseconds=1))
                look()
            clock.advance_to(moment)
            if what == "advance":
                advance(view)
            else:
                before = before if what == "again" else [said_at(clock.now(), r) for r in rows]
                push(view, before)
            seen = [each for each in seen if each["at"] < clock.now()]  # what came at that moment
            look()
        source = stream_source(view)
        made = view.rows(source)
        again = view.rows(source.take(pa.array(range(source.num_rows), pa.int64())[::-1]))

    spine = pa.table({"shop": [s["shop"] for s in seen], "at": pa.array([s["at"] for s in seen])})
    facts = Facts(rows=made, keys=view.keys)
    offline = join_as_known(spine, [facts], at="at").select([c.name for c in view.columns])

    for looked, expected in zip(seen, offline.to_pylist(), strict=True):
        values = list(expected.values())
        if looked["old"]:  # overdue, and said so; never given as if it still held
            assert looked["got"] == [None] * len(values)
        else:
            assert (looked["got"] or [None] * len(values)) == values
    assert not any(each["old"] for each in seen[-len(SHOPS) :])  # nothing is, once advanced
    if name != "rowwise":
        assert again.equals(made)
