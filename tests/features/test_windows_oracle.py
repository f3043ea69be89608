"""Windows against an oracle: loops over all rows, for every moment anew."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, Protocol

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.join import Facts, join_as_known
from features.view import Entity, FeatureView
from features.windows import (
    Windows,
    count,
    distinct,
    last,
    max_of,
    mean,
    min_of,
    rate,
    sum_of,
)
from headrace import Col, Schema

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SHORT, LONG = timedelta(minutes=3), timedelta(minutes=10)
OVERS = (SHORT, LONG, None)
SHOP = Entity(name="shop", column="shop")
TILL = Entity(name="till", column="till", dtype="int")


class Sale(Schema, Protocol):
    """This is a sale as it was said to be."""

    sale: str
    shop: str | None
    till: int | None
    sold_at: Annotated[datetime | None, Col(role="event_time")]
    known_time: Annotated[datetime | None, Col(role="known_time")]
    amount: Annotated[float | None, Col(unit="EUR")]
    pieces: int | None
    returned: bool | None
    payment: Literal["card", "cash"] | None


def sales_view(row_id: str | None) -> FeatureView:
    return FeatureView(
        name="sales",
        entities=(SHOP, TILL),
        source=Sale,
        compute=Windows(
            row_id=row_id,
            aggregates=(
                count(over=OVERS),
                count("amount", over=OVERS),
                sum_of("amount", over=OVERS),
                sum_of("pieces", over=OVERS),
                mean("amount", over=OVERS),
                mean("pieces", over=OVERS),
                rate("returned", over=OVERS),
                rate("amount", above=1, over=OVERS),
                rate("payment", equals="card", over=OVERS),
                last("amount", over=OVERS),
                last("payment", over=OVERS),
                distinct("payment", over=OVERS),
                distinct("amount", over=OVERS),
                min_of("amount", over=OVERS),
                max_of("pieces", over=OVERS),
            ),
        ),
        owner="shops",
        description="Sales of a till.",
    )


VIEWS = {row_id: sales_view(row_id) for row_id in ("sale", None)}

instants = st.integers(0, 15).map(lambda n: NOON + n * MINUTE)
zones = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-5))])
amounts = st.one_of(
    st.none(),
    st.sampled_from([0.1, 0.2, 0.3, -0.0, 0.0, 1e16, -1e16, 1e300, 5e-324, math.nan, math.inf]),
    st.floats(-1e6, 1e6),
)


@st.composite
def sale_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    event = draw(st.one_of(instants, st.none()) if draw(st.integers(0, 9)) == 0 else instants)
    late = draw(st.sampled_from([0, 0, 1, 2, 5, 12])) * MINUTE
    known = None if draw(st.integers(0, 19)) == 0 else (event or NOON) + late
    row = {
        "sale": draw(st.sampled_from("abcdefghijkl")),
        "shop": draw(st.sampled_from(["north", "north", "south", None])),
        "till": draw(st.sampled_from([1, 1, 2])),
        "sold_at": event and event.astimezone(draw(zones)),
        "known_time": known and known.astimezone(draw(zones)),
        "amount": draw(amounts),
        "pieces": draw(st.one_of(st.none(), st.integers(-(2**40), 2**40))),
        "returned": draw(st.sampled_from([True, False, None])),
        "payment": draw(st.sampled_from(["card", "cash", None])),
    }
    return [row] * draw(st.sampled_from([1, 1, 1, 2]))


sources = st.lists(sale_rows(), max_size=14).map(lambda groups: [r for g in groups for r in g])


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema(
        {
            "sale": pa.string(),
            "shop": pa.string(),
            "till": pa.int64(),
            "sold_at": pa.timestamp("us", tz="UTC"),
            "known_time": pa.timestamp("us", tz="UTC"),
            "amount": pa.float64(),
            "pieces": pa.int64(),
            "returned": pa.bool_(),
            "payment": pa.string(),
        }
    )
    return pa.Table.from_pylist(rows, schema=schema)


def missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def in_force(rows: list[dict[str, Any]], row_id: str | None, moment: datetime) -> list[Any]:
    """Return the rows known at a moment; of those with one id the last one known."""
    known = [r for r in rows if r["known_time"] is not None and r["known_time"] <= moment]
    if row_id is None:
        return known

    def said(row: dict[str, Any]) -> tuple[Any, ...]:
        def order(value: Any) -> tuple[Any, ...]:
            return (0,) if missing(value) else (1, value)

        has_key = row["shop"] is not None and row["till"] is not None
        return (
            row["known_time"],
            row["sold_at"] is not None,
            (row["sold_at"] or NOON),
            has_key,
            (row["shop"], row["till"]) if has_key else (),
            order(row["returned"]),
            order(row["pieces"]),
            order(row["payment"]),
            order(row["amount"]),
        )

    newest: dict[str, dict[str, Any]] = {}
    for row in known:
        best = newest.get(row[row_id])
        if best is None or said(row) > said(best):
            newest[row[row_id]] = row
    return list(newest.values())


def total(values: list[Any]) -> Any:
    if any(isinstance(v, float) for v in values):
        return math.inf if math.inf in values else math.fsum(values)
    return sum(values)


def aggregates(rows: list[dict[str, Any]], over: timedelta | None, moment: datetime) -> list[Any]:
    """Return what every aggregate of the view is for the rows of an entity."""
    inside = [
        r
        for r in rows
        if r["sold_at"] is not None
        and r["sold_at"] <= moment
        and (over is None or r["sold_at"] > moment - over)
    ]
    inside.sort(key=lambda r: (r["sold_at"], r["known_time"]))

    def values(name: str) -> list[Any]:
        found = [r[name] for r in inside]
        return [v + 0.0 if isinstance(v, float) else v for v in found if not missing(v)]

    def share(hits: list[bool]) -> float | None:
        return sum(hits) / len(hits) if hits else None

    def newest(name: str) -> Any:
        has = [r for r in inside if not missing(r[name])]
        return max(((r["sold_at"], r["known_time"], r[name]) for r in has), default=(None,))[-1]

    amount, pieces, payment = values("amount"), values("pieces"), values("payment")
    return [
        len(inside),
        len(amount),
        float(total(amount)),
        sum(pieces),
        total(amount) / len(amount) if amount else None,
        sum(pieces) / len(pieces) if pieces else None,
        share(values("returned")),
        share([v > 1 for v in amount]),
        share([v == "card" for v in payment]),
        newest("amount"),
        newest("payment"),
        len(set(payment)),
        len(set(amount)),
        min(amount, default=None),
        max(pieces, default=None),
    ]


@settings(max_examples=40, deadline=None)
@given(rows=sources, row_id=st.sampled_from(["sale", None]), shuffled=st.randoms())
def test_the_join_finds_at_any_moment_the_aggregates_of_what_was_known_then(rows, row_id, shuffled):
    view = VIEWS[row_id]
    moments = [NOON + n * MINUTE for n in range(0, 32)]
    moments += [m - timedelta(microseconds=1) for m in moments]
    spine = [
        {"shop": s, "till": t, "at": m} for s in ("north", "south") for t in (1, 2) for m in moments
    ]

    made = view.rows(as_table(rows))
    again = view.rows(as_table(shuffled.sample(rows, len(rows))))
    facts = Facts(rows=made, keys=view.keys)
    joined = join_as_known(pa.Table.from_pylist(spine), [facts], at="at").to_pylist()

    assert again.equals(made)
    for asked in joined:
        known = in_force(rows, row_id, asked["at"])
        mine = [r for r in known if (r["shop"], r["till"]) == (asked["shop"], asked["till"])]
        expected = {
            c.name: value
            for c, value in zip(
                view.columns,
                # columns go by aggregate, then by window
                [
                    each[i]
                    for i in range(15)
                    for each in [aggregates(mine, over, asked["at"]) for over in OVERS]
                ],
                strict=True,
            )
        }
        got = {name: asked[name] for name in expected}
        if got["count_3min"] is None:  # nothing was ever known of the entity
            assert mine == [] or expected["count"] == 0
            continue
        assert got == expected


def exact(values: list[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf if sum(v / 2**60 for v in values) > 0 else -math.inf


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 9), st.integers(1, 9)
        ),
        max_size=30,
    )
)
def test_a_sum_of_floats_is_rounded_once_whatever_entered_and_left_before(rows):
    import numpy as np

    from features._window_sums import running_floats

    values = np.array([v for v, _, _ in rows], dtype=np.float64)
    starts = np.array([s for _, s, _ in rows], dtype=np.int64)
    stops = starts + np.array([n for _, _, n in rows], dtype=np.int64)

    sums = running_floats(values, starts, stops, 20)

    inside = [[v for v, s, n in rows if s <= at < s + n] for at in range(20)]
    assert sums.tolist() == [exact(each) for each in inside]


@pytest.mark.parametrize("spread", [1, 60, 300], ids=["narrow", "wide", "widest"])
def test_long_sums_of_any_spread_are_those_of_fsum(spread):
    import numpy as np

    from features._window_sums import running_floats

    source = random.Random(spread)  # noqa: S311  the same numbers every time
    values = np.array(
        [source.gauss(0, 1) * 10 ** source.uniform(-spread, spread) for _ in range(4000)]
    )
    starts = np.arange(4000)
    stops = np.minimum(starts + 500, 4000)

    sums = running_floats(values, starts, stops, 4000)

    for at in range(0, 4000, 97):
        assert sums[at] == math.fsum(values[max(0, at - 499) : at + 1])
