"""Streams in a flow: the operators, and what they refuse while a flow is planned."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import pyarrow as pa
import pytest

from features.stream import stream_source
from features.stream_push import advance_features, push_features
from features.view import Entity, FeatureView
from features.windows import Windows, count
from headrace import Col, Schema, Table
from headrace.clock import VirtualClock, using_clock
from headrace.settings import using_settings

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Sale(Schema, Protocol):
    """This is a sale."""

    shop: str
    sold_at: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]


shop_sales = FeatureView(
    name="shop_sales",
    entities=(Entity(name="shop", column="shop"),),
    source=Sale,
    compute=Windows(aggregates=(count(over=timedelta(hours=1)),)),
    owner="shops",
    description="Sales of a shop within the hour.",
    stream=True,
)


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[VirtualClock]:
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON)) as clock:
        assert isinstance(clock, VirtualClock)
        yield clock


def sales(**changes: Any) -> Table[Any]:
    times = {"sold_at": [NOON, NOON], "known_time": [NOON, NOON]}
    return Table.of(pa.table({"shop": ["north", "south"], **times} | changes))


def test_pushing_reports_what_became_of_the_rows_and_again_changes_nothing(clock):
    first = push_features(sales(), view=shop_sales).document
    again = push_features(sales(), view=shop_sales).document

    assert first == {
        "passed": True,
        "changed": True,
        "view": "shop_sales",
        "space": "headrace",
        "rows": 2,
        "new": 2,
        "repeated": 0,
        "outdated": 0,
        "entities": 2,
        "written": 2,
    }
    assert again == first | {
        "changed": False, "new": 0, "repeated": 2, "entities": 0, "written": 0,
    }  # fmt: skip
    assert stream_source(shop_sales).num_rows == 2


def test_advancing_reports_what_was_due(clock):
    push_features(sales(), view=shop_sales)
    clock.advance_to(NOON + timedelta(hours=1))

    done = advance_features(view=shop_sales).document

    assert done == {
        "passed": True,
        "changed": True,
        "view": "shop_sales",
        "space": "headrace",
        "until": "2024-05-01T13:00:00+00:00",
        "entities": 2,
        "written": 2,
    }


def test_feast_knows_a_stream_view_by_a_push_source():
    from feast import FileSource

    from features._feast_push import push_source

    rows = FileSource(name="shop_sales_rows", path="rows.parquet", timestamp_field="event_time")

    source = push_source(shop_sales, rows)

    assert source.name == "shop_sales_push"
    assert source.batch_source == rows
    assert (source.owner, source.tags) == ("shops", {"stream": "true"})
