"""Every moment is in one block, which is of its day, also where a day has no midnight or two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from headrace.clock import as_us
from serving._block_spans import block_spans
from serving.rule import Rule

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "around"),
    [
        pytest.param("Europe/Paris", datetime(2026, 3, 29, tzinfo=UTC), id="a day of 23 hours"),
        pytest.param("Europe/Paris", datetime(2026, 10, 25, tzinfo=UTC), id="a day of 25 hours"),
        pytest.param("America/Santiago", datetime(2026, 9, 6, tzinfo=UTC), id="no midnight"),
        pytest.param("America/Havana", datetime(2026, 11, 1, tzinfo=UTC), id="two midnights"),
        pytest.param("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC), id="no such day"),
        pytest.param("Australia/Lord_Howe", datetime(2026, 4, 5, tzinfo=UTC), id="half an hour"),
    ],
)
def test_a_day_of_the_rules_zone_is_one_block_where_clocks_change(
    zone: str, around: datetime
) -> None:
    rule = Rule(name="r", metric="mae", label_window_hours=1, timezone=zone)
    moments = [around + timedelta(minutes=15 * each) for each in range(-4 * 60, 4 * 60)]
    at_us = np.array([as_us(moment) for moment in moments], dtype=np.int64)

    spans = block_spans(at_us, rule)

    assert (spans.starts[spans.index] <= at_us).all()
    assert (at_us < spans.ends[spans.index]).all()
    days = [moment.astimezone(ZoneInfo(zone)).date() for moment in moments]
    assert len(set(zip(days, spans.index.tolist(), strict=True))) == len(set(days))
    assert len(set(days)) == len(set(spans.index.tolist()))
    starts = {_EPOCH + timedelta(microseconds=int(s)) for s in spans.starts[np.unique(spans.index)]}
    assert {each.astimezone(ZoneInfo(zone)).date() for each in starts} == set(days)
