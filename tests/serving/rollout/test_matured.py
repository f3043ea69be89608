"""Outcomes that an endpoint's comparison waits for are said once, whatever ends in between."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import VirtualClock, as_us, current_clock, using_clock
from headrace.decisions import DecisionLog
from headrace.settings import settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.host_chores import Chores
from serving.hosted import decisions_folder
from serving.rollout.matured import MaturedWatch, matured_of
from serving.rollout.telling import Teller
from serving.rule import Rule

NOON = datetime(2026, 7, 10, 12, tzinfo=UTC)
RULE = Rule(name="r", metric="mae", label_window_hours=8)
NOTES = "import sys; open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')"


class Home:
    """An endpoint that compares two models, and a log that is told outcomes."""

    def __init__(self, folder: Path, clock: VirtualClock) -> None:
        self.said, self.clock, self.endpoints = folder / "said", clock, Endpoints()
        spec = EndpointSpec(
            model="minutes", task="estimation", clock="live", space="headrace", rule=RULE.document()
        )
        self.endpoints.declare(
            "minutes", spec=spec, champion="minutes/1", challenger="minutes/2", reason="deployed"
        )
        self.log = DecisionLog.open(decisions_folder(settings(), "minutes"), writer="test")

    def watch(self, code: str = NOTES) -> MaturedWatch:
        teller = Teller((sys.executable, "-c", code, str(self.said)))
        return MaturedWatch(self.endpoints, settings(), teller)

    def tell(self, count: int, **more: Any) -> None:
        at = as_us(self.clock.now())
        said = {"kind": "outcome", "logged": at, "known_at": at, "value": 1.0, "corrects": True}
        self.log.append([said | {"id": f"d{each}"} | more for each in range(count)])

    def later(self, **more: float) -> None:
        self.clock.advance_to(self.clock.now() + timedelta(**more))

    def times(self) -> int:
        return len(self.said.read_text().splitlines()) if self.said.exists() else 0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    clock = VirtualClock(NOON)
    with using_settings(home=tmp_path), using_clock(clock):
        yield Home(tmp_path, clock)


def until(watch: MaturedWatch, done: Callable[[], object]) -> None:
    ends = time.monotonic() + 10
    while not done() and time.monotonic() < ends:
        watch.look()
        time.sleep(0.01)
    assert done()


def test_a_flood_of_outcomes_is_said_as_one(home: Home):
    watch = home.watch()
    watch.look()

    home.tell(25_000)
    for _ in range(4):
        watch.look()
        home.later(seconds=5)
    home.later(seconds=60)
    until(watch, lambda: home.times() == 1 and matured_of(settings(), "minutes") is None)
    home.later(hours=1)
    watch.look()

    assert home.times() == 1
    watch.stop()


def test_what_came_while_the_host_was_away_is_said_when_it_is_back(home: Home):
    first = home.watch()
    first.look()
    first.stop()
    home.tell(3)

    second = home.watch("raise SystemExit(1)")  # nobody hears it
    second.look()
    home.later(seconds=61)
    second.look()
    second.stop()
    kept = matured_of(settings(), "minutes")
    third = home.watch()
    until(third, lambda: home.times() == 1 and matured_of(settings(), "minutes") is None)

    assert kept is not None
    assert kept.outcomes == 3
    third.stop()


def test_what_came_while_it_was_being_said_is_said_the_next_time(home: Home):
    """Whoever heard of the first three may have looked before the fourth was there."""
    slow = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1] + '.go').exists():"
    watch = home.watch(f"{slow} time.sleep(0.01)\n{NOTES}")
    watch.look()
    home.tell(3)
    watch.look()
    home.later(seconds=61)
    watch.look()

    home.tell(1)
    watch.look()
    home.said.with_suffix(".go").touch()
    until(watch, lambda: home.times() == 1)
    until(watch, lambda: (kept := matured_of(settings(), "minutes")) and kept.outcomes == 1)
    home.later(seconds=61)
    until(watch, lambda: home.times() == 2 and matured_of(settings(), "minutes") is None)
    watch.stop()


def test_what_was_there_before_the_first_look_and_what_nobody_compares_is_not_said(home: Home):
    home.tell(5)
    watch = home.watch()
    watch.look()
    home.endpoints.change("minutes", "withdraw", generation=1, reason="no")
    home.tell(5)
    home.later(hours=48)

    watch.look()

    assert matured_of(settings(), "minutes") is None
    assert home.times() == 0
    watch.stop()


def test_the_host_watches_unless_it_is_told_not_to(home: Home):
    with using_settings(judge_on_outcomes=False):
        off = Chores(home.endpoints, settings())
        off.do({})
        off.stop()
    file = settings().home / "serving" / "matured" / "minutes.json"
    there = file.exists()
    on = Chores(home.endpoints, settings())
    on.do({})
    on.stop()

    assert (there, file.exists()) == (False, True)
    assert current_clock() is home.clock
