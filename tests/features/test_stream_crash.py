"""A process that is killed between keeping pushed rows and writing them online."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import pytest

from features.online import online_file
from features.online_lookup import lookup_of
from features.stream import catch_up, push, stream_source
from features.stream_reader import StreamReader
from features.view import Entity, FeatureView
from features.windows import Windows, count
from headrace import Col, Schema
from headrace.clock import VirtualClock, as_us, using_clock
from headrace.settings import using_settings

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Sale(Schema, Protocol):
    """This is a sale."""

    sale: str
    shop: str
    sold_at: Annotated[datetime, Col(role="event_time")]
    known_time: Annotated[datetime, Col(role="known_time")]


shop_sales = FeatureView(
    name="shop_sales",
    entities=(Entity(name="shop", column="shop"),),
    source=Sale,
    compute=Windows(row_id="sale", aggregates=(count(over=timedelta(hours=1)),)),
    owner="shops",
    description="Sales of a shop within the hour.",
    stream=True,
)

CHILD = """
import sys
from pathlib import Path
from test_stream_crash import NOON, MINUTE, VirtualClock, push, sale, shop_sales
from headrace.clock import using_clock
from headrace.settings import using_settings

with using_settings(home=Path(sys.argv[1])), using_clock(VirtualClock(NOON + MINUTE)):
    push(shop_sales, [sale("b", at=1)])
"""


def sale(name: str, *, at: int = 0) -> dict[str, Any]:
    moment = NOON + at * MINUTE
    return {"sale": name, "shop": "north", "sold_at": moment, "known_time": moment}


def online(at: datetime) -> list[Any] | None:
    with StreamReader(online_file(), "headrace", [lookup_of(shop_sales)]) as reader:
        return reader.read(0, {"shop": "north"}, as_us(at)).values


@pytest.mark.parametrize(
    ("repair", "expected"),
    [
        pytest.param(lambda: catch_up(shop_sales), [2], id="is brought online by catch_up"),
        pytest.param(lambda: push(shop_sales, [sale("c", at=1)]), [3], id="by the next push"),
        pytest.param(lambda: push(shop_sales, [sale("b", at=1)]), [2], id="by the same push again"),
    ],
)
def test_what_was_kept_but_not_written(repair, expected, tmp_path: Path):
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON)) as clock:
        push(shop_sales, [sale("a")])
        holding = sqlite3.connect(online_file(), isolation_level=None)
        holding.execute("BEGIN IMMEDIATE")  # the online store can be read, not written
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], cwd=Path(__file__).parent
        )
        deadline = time.monotonic() + 60
        while stream_source(shop_sales).num_rows < 2 and time.monotonic() < deadline:
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()
        holding.execute("ROLLBACK")
        holding.close()
        clock.advance_to(NOON + MINUTE)
        before = online(clock.now())

        repair()

        assert before == [1]
        assert online(clock.now()) == expected
        assert stream_source(shop_sales).num_rows == expected[0]
