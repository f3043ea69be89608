"""What proves to be broken is taken back by the host itself, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from headrace.clock import SystemClock, using_clock
from headrace.settings import settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec
from serving.host_chores import Chores
from serving.hosted import notices_folder
from serving.lane.guard_notice import GuardNotice, guard_file, write_guards
from serving.lane.notices import own_start
from serving.rollout.assess import replay
from serving.rollout.guarded import wards_of
from serving.rollout.live_counts import counts_of
from serving.rollout.resident import Resident
from serving.rule import Rule
from serving.rule_guardrails import ErrorRate, Latency
from serving.rule_stages import Watch

ONE, TWO, THREE = "minutes/1", "minutes/2", "minutes/3"
GUARDS = (ErrorRate(max=0.01), Latency(max_ms=20.0, on_breach="hold"))
RULE = Rule(name="better minutes", metric="mae", label_window_hours=8, guardrails=GUARDS)


class Home:
    """An endpoint with a rule, and replicas that say what they counted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, settings().home
        self.endpoints = Endpoints()
        self.told: list[str] = []

    def declare(self, name: str = "minutes", rule: Rule = RULE) -> None:
        spec = EndpointSpec(
            model="minutes", task="estimation", clock="live", space="headrace", rule=rule.document()
        )
        self.endpoints.declare(
            name, spec=spec, champion=ONE, challenger=TWO, reason="a flow deploys"
        )

    def resident(self) -> Resident:
        return Resident(self.endpoints, self.folder, acted=self.told.append)

    def say(
        self, failures: int, trials: int, *, name: str = "minutes", writer: str = "w", **more: Any
    ) -> Path:
        """Have a replica say what it counted of the model that is watched, the last one named."""
        guard = wards_of(self.endpoints, name)[-1].guard
        row = {"model": guard.model, "experiment": guard.experiment, "trials": trials}
        row |= {"failures": failures, "calls": trials, "slow": {"20": more.pop("slow", 0)}}
        notice = GuardNotice(
            endpoint=name,
            part=more.pop("part", "answers"),
            writer=writer,
            pid=more.pop("pid", os.getpid()),
            started=own_start(),
            rows=(row,),
        )
        write_guards(self.folder, notice)
        return guard_file(self.folder, notice)

    def actions(self, name: str = "minutes") -> list[str]:
        return [change.action for change in self.endpoints.history(name)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with using_settings(home=tmp_path, actor="serving host"):
        made = Home(notices_folder(settings()))
        made.declare()
        yield made


def promote(home: Home, *, watch: bool) -> None:
    home.endpoints.change("minutes", "promote", generation=1, reason="better", watch=watch)


def test_a_broken_challenger_is_withdrawn_with_a_trace_that_says_why(home: Home):
    experiment = home.endpoints.route("minutes").experiment
    home.say(6, 40)

    (route,) = home.resident().look()

    assert (route.champion, route.challenger, route.generation) == (ONE, None, 2)
    change = home.endpoints.history("minutes")[-1]
    assert (change.action, change.actor) == ("withdraw", "serving host")
    assert change.reason == (
        "the rule 'better minutes': 6 of 40 answers of minutes/2 (15.000%) failed; 0.01 is "
        "allowed, and this is beyond chance at the level 0.001."
    )
    assert change.trace is not None
    assert replay(change.trace).trace() == change.trace
    assert home.endpoints.verdict("minutes", str(experiment)) == change.trace
    assert home.told == ["minutes"]


@pytest.mark.parametrize("watch", [True, False], ids=["watched", "not watched"])
def test_a_broken_new_champion_gives_way_to_the_old_one(home: Home, watch: bool):
    rule = RULE.model_copy(update={"watch": Watch().model_dump()} if watch else {})
    home.declare(rule=rule)
    generation = home.endpoints.route("minutes").generation
    home.endpoints.change("minutes", "promote", generation=generation, reason="better", watch=watch)
    home.say(5, 5)

    (route,) = home.resident().look()

    assert (route.champion, route.challenger, route.previous) == (ONE, None, None)
    change = home.endpoints.history("minutes")[-1]
    assert change.action == "rollback"
    assert change.trace is not None
    assert replay(change.trace).action == "rollback"


def test_whoever_holds_an_endpoint_holds_no_rollback(home: Home):
    promote(home, watch=False)
    home.endpoints.change("minutes", "hold", generation=2, reason="a fair", why="a fair")
    home.say(5, 5)

    (route,) = home.resident().look()

    assert (route.champion, route.held) == (ONE, "a fair")


@pytest.mark.parametrize(
    ("failures", "slow"),
    [
        pytest.param(0, 0, id="well"),
        pytest.param(30, 0, id="as often as it may"),
        pytest.param(0, 3_000, id="slow, where that only holds"),
    ],
)
def test_what_is_not_proven_to_be_broken_stays(home: Home, failures: int, slow: int):
    resident = home.resident()

    home.say(failures, 3_000, slow=slow)

    assert resident.look() == []
    assert home.actions() == ["declare"]


def test_what_was_rolled_back_once_is_left_alone(home: Home):
    promote(home, watch=False)
    resident = home.resident()
    home.say(5, 5)

    acted = [resident.look() for _ in range(3)]

    assert [len(each) for each in acted] == [1, 0, 0]
    assert home.actions() == ["declare", "promote", "rollback"]


def test_a_later_reign_of_the_same_model_begins_with_a_clean_sheet(home: Home):
    promote(home, watch=False)
    first = wards_of(home.endpoints, "minutes")[0].guard
    home.endpoints.change("minutes", "rollback", generation=2, reason="a person")
    home.endpoints.change("minutes", "challenge", generation=3, reason="again", challenger=TWO)
    home.endpoints.change("minutes", "promote", generation=4, reason="again")
    home.endpoints.change("minutes", "challenge", generation=5, reason="next", challenger=THREE)

    guards = [ward.guard for ward in wards_of(home.endpoints, "minutes")]

    assert [guard.model for guard in guards] == [THREE, TWO]
    assert first.experiment not in [guard.experiment for guard in guards]
    assert guards[0].limits_ms == (20.0,)


def test_an_endpoint_without_live_guardrails_watches_nobody(home: Home):
    home.declare("plain", rule=Rule(name="plain", metric="mae", label_window_hours=8))

    assert wards_of(home.endpoints, "plain") == []


def test_of_two_hosts_at_once_one_acts(home: Home):
    home.say(9, 9)
    residents = [home.resident() for _ in range(2)]
    ready = threading.Barrier(2)

    def look(resident: Resident) -> int:
        with using_settings(home=home.home, actor="serving host"):
            ready.wait()
            return len(resident.look())

    with ThreadPoolExecutor(2) as pool:
        acted = list(pool.map(look, residents))

    assert sum(acted) == 1
    assert home.actions() == ["declare", "withdraw"]


class Killed(BaseException):
    """The end of a process, at a statement of its choice."""


def kill_at(home: Home, number: int) -> Callable[[], None]:
    """Let the process end before its statement of that number; returns what undoes it."""
    count = iter(range(10_000))

    def before(*_: Any) -> None:
        if next(count) == number:
            raise Killed

    engine = home.endpoints.database.engine
    event.listen(engine, "before_cursor_execute", before)
    return lambda: event.remove(engine, "before_cursor_execute", before)


def test_a_host_that_is_killed_at_any_step_leaves_the_route_whole_and_the_next_one_finishes(
    tmp_path: Path,
):
    for number in range(100):
        folder = tmp_path / str(number)
        with using_settings(home=folder, actor="serving host"):
            home = Home(folder / "lanes")
            home.declare()
            promote(home, watch=False)
            reign = wards_of(home.endpoints, "minutes")[0].guard.experiment
            home.say(9, 9)
            undo = kill_at(home, number)
            try:
                home.resident().look()
            except Killed:
                was_killed = True
            else:
                was_killed = False
            undo()

            between = home.endpoints.route("minutes")
            home.resident().look()

            assert (between.champion, between.previous) in ((TWO, ONE), (ONE, None))
            assert home.actions() == ["declare", "promote", "rollback"]
            after = home.endpoints.history("minutes")[-1].after
            assert after == home.endpoints.route("minutes")
            counts = counts_of(home.endpoints.database, "minutes", reign, TWO)
            assert counts is None or counts["answers"]["failures"] == 9
            home.endpoints.database.close()
        if not was_killed:
            assert number > 8
            return
    pytest.fail("It never ended.")


class Jumping(SystemClock):
    """A clock that is set an hour, a day or a year forth and back whenever it is asked."""

    def __init__(self) -> None:
        self._jumps = 0

    def _off(self) -> float:
        self._jumps += 1
        return (0, 3_600, -86_400, 31_536_000, -31_536_000)[self._jumps % 5]

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._off())

    def monotonic(self) -> float:  # type: ignore[override]
        return time.monotonic() + self._off()


def test_a_clock_that_jumps_neither_stops_the_looks_nor_takes_anything_back(home: Home):
    with using_clock(Jumping()):
        promote(home, watch=False)
        resident = home.resident()
        for trials in range(100, 2_000, 100):
            home.say(trials // 200, trials)
            assert resident.look() == []
        home.say(300, 2_400)
        (route,) = resident.look()

    assert route.champion == ONE
    assert home.actions() == ["declare", "promote", "rollback"]
    trace = home.endpoints.history("minutes")[-1].trace
    assert trace is not None
    assert replay(trace).trace() == trace


def test_the_host_goes_on_looking_under_a_clock_that_jumps(home: Home):
    with using_clock(Jumping()):
        chores = Chores(home.endpoints, settings())
        try:
            chores.do({})
            home.say(9, 9)
            for _ in range(5):
                chores.do({})
        finally:
            chores.stop()

    assert home.actions() == ["declare", "withdraw"]


def test_what_a_replica_counted_outlives_it_and_the_host(home: Home):
    resident = home.resident()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    dead = home.say(1, 400, writer="dead", pid=child.pid)
    living = home.say(2, 600, writer="living")
    scores = home.say(0, 50, writer="scores", part="shadow")
    child.kill()
    child.wait()

    resident.look()  # reads what they said
    resident.look()  # sees who is gone
    resident.stop()
    experiment = str(home.endpoints.route("minutes").experiment)
    again = home.resident()
    again.look()
    home.say(3, 700, writer="living")
    again.look()
    again.stop()

    counts = counts_of(home.endpoints.database, "minutes", experiment, TWO)
    assert counts is not None
    assert (counts["answers"]["trials"], counts["answers"]["failures"]) == (1_100, 4)
    assert counts["shadow"]["trials"] == 50
    assert [path.exists() for path in (dead, living, scores)] == [False, True, True]


def test_what_is_counted_for_the_first_time_is_known_to_others_at_once(home: Home):
    experiment = str(home.endpoints.route("minutes").experiment)
    resident = home.resident()
    home.say(0, 40)

    resident.look()
    first = counts_of(home.endpoints.database, "minutes", experiment, TWO)
    home.say(0, 90)
    resident.look()
    soon = counts_of(home.endpoints.database, "minutes", experiment, TWO)

    assert first is not None
    assert first["answers"]["trials"] == 40
    assert soon == first  # the rest is written down every few seconds


def test_one_endpoint_that_cannot_be_judged_keeps_no_other_from_it(
    home: Home, caplog: pytest.LogCaptureFixture
):
    home.declare("other")
    home.say(9, 9)
    home.say(9, 9, name="other")
    (home.folder / "minutes.guard.odd.json").write_text('{"rows": [{"trials": "many"}]}')
    with home.endpoints.database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE endpoint_change SET at = 'no time' WHERE endpoint = 'minutes'"
        )
    resident = home.resident()

    acted = [[route.endpoint for route in resident.look()] for _ in range(3)]

    assert acted == [["other"], [], []]
    assert len([r for r in caplog.records if "Guardrails of 'minutes'" in r.message]) == 1
