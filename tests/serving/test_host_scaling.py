"""The number of replicas follows the load: soon up, late down, never beyond its bounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.host_scaling import DOWN_SECONDS, UP_SECONDS, Scale, Scaler, next_scale
from serving.lane.notices import LaneNotice
from serving.lane.table import LaneTable, Served

BOUNDS = (1, 6)


def simulated(
    load: Callable[[float], float],
    seconds: float,
    *,
    bounds: tuple[int, int] = BOUNDS,
    start: int = 1,
    takes: float = 6.0,
) -> list[tuple[float, int]]:
    """When the number of replicas changed, and to what.

    Args:
        load: Work at a moment, in replicas that it keeps busy.
        seconds: How long.
        bounds: The least and the most.
        start: Replicas in the beginning.
        takes: Seconds until a new replica answers.
    """
    scale, running, since = Scale(replicas=start), start, 0.0
    changes = []
    for step in range(int(seconds * 4)):
        now = step / 4
        if running < scale.replicas and now - since >= takes:
            running = scale.replicas
        busy = [min(1.0, load(now) / running)] * running
        found = next_scale(scale, bounds=bounds, busy=busy, now=now)
        if found.replicas != scale.replicas:
            changes.append((now, found.replicas))
            since, running = now, min(running, found.replicas)
        scale = found
    return changes


def test_a_load_that_is_too_much_is_met_within_seconds():
    changes = simulated(lambda now: 2.0 if now > 10 else 0.3, 60)

    assert changes[0][0] <= 10 + UP_SECONDS + 1
    assert changes[-1][1] == 4  # with each busy half of the time
    assert changes[-1][0] < 30


def test_a_burst_shorter_than_that_changes_nothing():
    assert simulated(lambda now: 2.0 if 10 < now < 10 + UP_SECONDS - 1 else 0.3, 60) == []


def test_replicas_leave_one_by_one_and_late():
    changes = simulated(lambda now: 0.1, 4 * DOWN_SECONDS, start=3)

    assert [count for _, count in changes] == [2, 1]
    assert changes[0][0] >= DOWN_SECONDS
    assert changes[1][0] - changes[0][0] >= DOWN_SECONDS


@pytest.mark.parametrize("load", [0.4, 0.65, 1.0, 1.3, 1.7, 2.4, 3.3])
def test_a_load_that_stays_comes_to_rest(load):
    changes = simulated(lambda now: load, 1200)

    assert [moment for moment, _ in changes if moment > 600] == []


def test_a_load_that_swings_about_the_threshold_does_not_flap():
    changes = simulated(lambda now: 0.75 if int(now / 20) % 2 else 0.55, 1200)

    assert [count for _, count in changes] == [2]


def test_while_replicas_start_nothing_is_decided():
    scale = Scale(replicas=3, busy_since=0.0)

    assert next_scale(scale, bounds=BOUNDS, busy=[1.0, 1.0], now=100.0).replicas == 3


def test_other_bounds_hold_at_once():
    assert next_scale(Scale(replicas=5), bounds=(1, 2), busy=[0.9] * 5, now=0).replicas == 2
    assert next_scale(Scale(replicas=1), bounds=(3, 4), busy=[0.0], now=0).replicas == 3


@given(
    start=st.integers(1, 9),
    least=st.integers(1, 4),
    more=st.integers(0, 5),
    loads=st.lists(st.floats(0, 12), min_size=1, max_size=12),
)
def test_whatever_the_load_does_the_number_stays_within_its_bounds(start, least, more, loads):
    bounds = (least, least + more)

    changes = simulated(
        lambda now: loads[int(now / 30) % len(loads)], 200, bounds=bounds, start=start
    )

    assert all(least <= count <= least + more for _, count in changes)


def test_the_least_is_no_change_and_as_many_as_answer_are_kept_by_a_host_that_is_new(tmp_path):
    def notice(pid: int) -> LaneNotice:
        return LaneNotice(generation=1, url=f"http://127.0.0.1:{pid}", pid=pid, busy=0.6)

    table = LaneTable(
        endpoint="late", generation=1, champion=Served(ref="late/1", folder=tmp_path),
        challenger=None, experiment=None, lookups=(), clock="live", may_lack=frozenset(),
        online=tmp_path, space="headrace", log=tmp_path, notices=tmp_path, replicas=(1, 4),
    )  # fmt: skip
    fresh, again = Scaler(), Scaler()

    assert fresh.look({"late": table}, {"late": [notice(1)]}) is False
    assert again.look({"late": table}, {"late": [notice(1), notice(2)]}) is True
    assert (fresh.wanted(table), again.wanted(table)) == (1, 2)


def test_a_number_that_is_not_to_change_never_does():
    assert simulated(lambda now: 5.0, 300, bounds=(2, 2), start=2) == []
