"""The last five minutes: a window over sums, quantiles from buckets, sums over replicas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.lane.histogram import FINE_EDGES, LATENCY_EDGES, Histogram, quantile
from serving.lane.snapshot import Snapshot, together
from serving.lane.window import SECONDS, Window


class Count:
    label = "decide"

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.took: Histogram | None = Histogram(FINE_EDGES)


class Now:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


events = st.lists(
    st.tuples(st.one_of(st.floats(0, 3), st.floats(0, 700)), st.sampled_from([200, 200, 404, 503])),
    max_size=60,
)


@given(events, st.floats(0, 400))
def test_the_window_has_what_happened_in_its_seconds_each_in_its_own(happened, then: float):
    now, count = Now(), Count()
    window = Window(now)
    window.follow([count])
    seconds: list[tuple[int, int]] = []
    for pause, status in happened:
        now.at += pause
        if now.at >= window.turns_at:
            window.turn(now.at)
        count.statuses[status] = count.statuses.get(status, 0) + 1
        seconds.append((int(now.at), status))
    now.at += then

    recent = window.recent()

    first = int(now.at) - SECONDS + 1
    for series, kind in ((recent.answered, 2), (recent.refused, 4), (recent.failed, 5)):
        expected = [0] * SECONDS
        for second, status in seconds:
            if second >= first and status // 100 == kind:
                expected[second - first] += 1
        assert series == expected


def test_durations_leave_the_window_ten_seconds_after_it_at_most():
    now, count = Now(), Count()
    window = Window(now)
    window.follow([count])
    assert count.took is not None
    count.took.observe(0.1)
    count.statuses[200] = 1

    seen = []
    for _ in range(SECONDS + 15):
        now.at += 1
        seen.append(sum(window.recent().took["decide"]))

    assert seen[: SECONDS - 1] == [1] * (SECONDS - 1)
    assert seen[-1] == 0


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_from_buckets_is_near_the_exact_one(share: float):
    values = np.random.default_rng(5).lognormal(-6, 0.8, 20_000).tolist()
    counted = Histogram(FINE_EDGES)
    for value in values:
        counted.observe(value)

    assert quantile(counted.counts, share) == pytest.approx(np.quantile(values, share), rel=0.06)


def test_a_quantile_of_nothing_is_zero_and_above_all_edges_the_last():
    counted = Histogram(FINE_EDGES)
    empty = quantile(counted.counts, 0.5)
    counted.observe(99.0)

    assert (empty, quantile(counted.counts, 0.5)) == (0.0, 10.0)


@given(st.lists(st.floats(0, 20), max_size=50))
def test_a_bucket_has_all_that_is_at_most_its_edge(values: list[float]):
    counted = Histogram(FINE_EDGES)
    for value in values:
        counted.observe(value)

    assert counted.cumulated(LATENCY_EDGES) == [
        (edge, sum(value <= edge for value in values)) for edge in LATENCY_EDGES
    ]


def snapshot(pid: int, second: int, last: int, **more) -> Snapshot:
    return Snapshot(
        pids=[pid], second=second, began=second - 10, answered=[0] * (SECONDS - 1) + [last], **more
    )


def test_replicas_add_up_each_moved_to_its_time():
    first = snapshot(
        1, 1_000, 5, decisions={"m/1": 5}, took={"p": [1, 2]}, breakers={"m/2": "open"}
    )
    second = snapshot(
        2, 997, 3, decisions={"m/1": 1, "m/2": 2}, took={"p": [4, 0]}, breakers={"m/2": "closed"}
    )
    old = snapshot(3, 600, 9, refusals={"not_json": 1})

    both = together([first, second, old])

    assert both.pids == [1, 2, 3]
    assert (both.second, both.began) == (1_000, 590)
    assert both.answered == [0] * (SECONDS - 4) + [3, 0, 0, 5]
    assert both.decisions == {"m/1": 6, "m/2": 2}
    assert both.took == {"p": [5, 2]}
    assert both.breakers == {"m/2": "open"}
    assert both.refusals == {"not_json": 1}
    assert Snapshot.from_json(both.to_json()) == both
