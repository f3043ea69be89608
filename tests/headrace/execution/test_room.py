"""The room that nodes of all runs share: real processes, real threads, one folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from headrace.errors import ServiceError, UnknownNameError
from headrace.execution.ledger import Demand, Holding
from headrace.execution.room import Room, room_of
from headrace.settings import Settings, using_settings

RUN = "1234abcd" * 4
OTHER = "feedbeef" * 4
_PATIENCE_SECONDS = 30.0

# A node in a process of its own: says what it is told, then "in", and leaves when a line arrives.
NODE = dedent(
    """
    import sys
    from headrace.execution.ledger import Demand
    from headrace.execution.room import room_of
    from headrace.settings import settings

    def say(text):
        print(text, flush=True)

    with room_of(settings()).taken(
        Demand(gpu=1), run_id=sys.argv[1], flow="train", node=sys.argv[2], tell=say
    ):
        say("in")
        sys.stdin.readline()
    say("out")
    """
)

# A node that takes the GPU again and again, and fails when somebody else is inside.
GREEDY = dedent(
    """
    import os, sys, time
    from headrace.execution.ledger import Demand
    from headrace.execution.room import room_of
    from headrace.settings import settings

    for turn in range(int(sys.argv[2])):
        with room_of(settings()).taken(Demand(gpu=0.6), run_id="r", flow="f", node="n"):
            os.close(os.open(sys.argv[1], os.O_CREAT | os.O_EXCL))
            time.sleep(0.005)
            os.unlink(sys.argv[1])
    """
)


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Settings]:
    """Settings with a home of their own, one logical GPU and two places at the warehouse."""
    with using_settings(home=tmp_path / "home", gpus=1, limits={"warehouse": 2}) as changed:
        yield changed


@pytest.fixture
def room(configured: Settings) -> Room:
    return room_of(configured)


@pytest.fixture
def start(configured: Settings) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes under the settings; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []
    watches: list[threading.Timer] = []  # so that a test whose process never speaks fails

    def start_one(code: str, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            env=os.environ | configured.as_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # a test run in the background ignores it, and would pass that on
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        started.append(process)
        watches.append(threading.Timer(_PATIENCE_SECONDS, process.kill))
        watches[-1].start()
        return process

    yield start_one
    for watch in watches:
        watch.cancel()
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def states(room: Room) -> list[tuple[str, str]]:
    return [(holding.node, holding.state) for holding in room.holdings()]


# --- processes ---


def test_two_processes_never_hold_the_gpu_at_a_time(start, room: Room, tmp_path: Path):
    inside = str(tmp_path / "inside")
    processes = [start(GREEDY, inside, "12") for _ in range(3)]

    codes = [process.wait(_PATIENCE_SECONDS * 2) for process in processes]

    assert codes == [0, 0, 0]
    assert room.holdings() == []


def test_a_second_process_waits_says_for_whom_and_goes_on_when_the_first_leaves(start, room: Room):
    first = start(NODE, RUN, "train_torch")
    assert said(first) == "in"
    second = start(NODE, OTHER, "train_xgboost")

    waits = said(second)
    seen = states(room)
    first.communicate("\n")

    assert waits.startswith("waits for the GPU, held by run:1234abcd 'train_torch' (")
    assert seen == [("train_torch", "holding"), ("train_xgboost", "waiting")]
    assert said(second).startswith("has the GPU after ")
    assert said(second) == "in"


def test_a_killed_holder_holds_nothing_even_before_anybody_collects_it(start, room: Room):
    first = start(NODE, RUN, "train_torch")
    assert said(first) == "in"
    second = start(NODE, OTHER, "train_xgboost")
    assert said(second).startswith("waits for the GPU")

    first.kill()  # and no wait: it stays a zombie
    killed = time.monotonic()
    heard = [said(second), said(second)]
    seconds = time.monotonic() - killed

    assert heard[1] == "in"
    assert seconds < 10
    assert states(room) == [("train_xgboost", "holding")]


def test_what_a_killed_process_leaves_is_removed_by_a_later_one(start, room: Room):
    first = start(NODE, RUN, "train_torch")
    assert said(first) == "in"
    first.kill()
    first.wait()
    left = sorted(path.name for path in room.folder.glob("*.json"))

    with room.taken(Demand(), run_id=OTHER, flow="f", node="n"):
        after = sorted(path.name for path in room.folder.glob("*.json"))

    assert left == ["ticket-00000001.json"]
    assert len(after) == 1
    assert after[0].startswith(f"free-{os.getpid()}-")


def test_an_interrupted_run_that_waits_leaves_the_queue(start, room: Room):
    first = start(NODE, RUN, "train_torch")
    assert said(first) == "in"
    second = start(NODE, OTHER, "train_xgboost")
    assert said(second).startswith("waits for the GPU")

    second.send_signal(signal.SIGINT)
    second.wait(_PATIENCE_SECONDS)

    assert states(room) == [("train_torch", "holding")]
    assert [path.name for path in room.folder.glob("ticket-*")] == ["ticket-00000001.json"]


# --- threads ---


def hold(room: Room, demand: Demand, node: str, done: list[str], go: threading.Event) -> None:
    """Enter, note it, and stay until `go`."""
    with room.taken(demand, run_id=OTHER, flow="f", node=node):
        done.append(node)
        go.wait(_PATIENCE_SECONDS)


def in_threads(
    room: Room, demands: dict[str, Demand], done: list[str], go: threading.Event
) -> list[threading.Thread]:
    """Queue nodes in this order, a thread each; each notes that it entered and waits for `go`."""
    threads = []
    for node, demand in demands.items():
        threads.append(threading.Thread(target=hold, args=(room, demand, node, done, go)))
        threads[-1].start()
        until(lambda came=node: came in [*done, *(h.node for h in room.holdings())])
    return threads


def test_whoever_comes_first_is_served_first_among_threads(room: Room):
    go, done = threading.Event(), []
    names = [f"node_{number}" for number in range(5)]
    go.set()

    with room.taken(Demand(gpu=1), run_id=RUN, flow="f", node="first"):
        threads = in_threads(room, dict.fromkeys(names, Demand(gpu=1)), done, go)
        seen = states(room)
    for thread in threads:
        thread.join(_PATIENCE_SECONDS)

    assert seen == [("first", "holding"), *((name, "waiting") for name in names)]
    assert done == names


def test_nobody_draws_a_ticket_while_another_does(room: Room):
    with room.taken(Demand(), run_id=RUN, flow="f", node="makes the folder"):
        pass
    go, done = threading.Event(), []
    go.set()

    with (room.folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a process does that draws just now
        thread = threading.Thread(target=hold, args=(room, Demand(gpu=1), "train", done, go))
        thread.start()
        thread.join(0.3)
        while_locked = (thread.is_alive(), room.holdings(), list(done))
        fcntl.flock(lock, fcntl.LOCK_UN)
    thread.join(_PATIENCE_SECONDS)

    assert while_locked == (True, [], [])
    assert done == ["train"]


def test_who_wants_something_else_passes_by_and_who_wants_nothing_is_only_shown(room: Room):
    with (
        room.taken(Demand(gpu=1), run_id=RUN, flow="f", node="holds"),
        room.taken(Demand(limits=("warehouse",)), run_id=RUN, flow="f", node="passes") as waited,
        room.taken(Demand(cpu=1000), run_id=RUN, flow="f", node="shown") as not_queued,
    ):
        seen = {h.node: h for h in room.holdings()}

    assert (waited, not_queued) == (0.0, 0.0)
    assert {node: h.state for node, h in seen.items()} == dict.fromkeys(seen, "holding")
    assert seen["shown"].ticket is None
    assert (seen["shown"].flow, seen["shown"].run_id, seen["shown"].pid) == ("f", RUN, os.getpid())


def test_two_share_a_limit_of_two_and_the_third_waits(room: Room):
    go, done = threading.Event(), []
    demand = Demand(limits=("warehouse",))

    threads = in_threads(room, {"a": demand, "b": demand, "c": demand}, done, go)
    until(lambda: len(done) == 2)
    seen = states(room)
    go.set()
    for thread in threads:
        thread.join(_PATIENCE_SECONDS)

    assert seen == [("a", "holding"), ("b", "holding"), ("c", "waiting")]
    assert done == ["a", "b", "c"]
    assert room.holdings() == []


def test_a_node_whose_run_is_stopped_waits_no_longer(room: Room):
    stop, errors = threading.Event(), []

    def work() -> None:
        try:
            with room.taken(Demand(gpu=1), run_id=OTHER, flow="f", node="tune", stop=stop):
                raise AssertionError
        except ServiceError as error:
            errors.append(error)

    with room.taken(Demand(gpu=1), run_id=RUN, flow="f", node="holds"):
        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: len(room.holdings()) == 2)
        stop.set()
        thread.join(_PATIENCE_SECONDS)
        seen = states(room)

    assert seen == [("holds", "holding")]
    assert [str(error) for error in errors] == [
        "'tune' no longer waits for room: its run was stopped.\n"
        "  Fix: Run the flow again; what was done is cached."
    ]


def test_a_body_that_fails_leaves_the_room(room: Room):
    for demand in (Demand(), Demand(gpu=1)):
        with (
            pytest.raises(ZeroDivisionError),
            room.taken(demand, run_id=RUN, flow="f", node="n"),
        ):
            raise ZeroDivisionError

    assert room.holdings() == []


# --- what cannot be had ---


def test_more_than_there_is_is_refused_instead_of_waited_for(room: Room):
    with (
        pytest.raises(ServiceError) as gpus,
        room.taken(Demand(gpu=2), run_id=RUN, flow="f", node="train_torch"),
    ):
        pass
    with (
        pytest.raises(UnknownNameError) as limit,
        room.taken(Demand(limits=("warehose",)), run_id=RUN, flow="f", node="read"),
    ):
        pass

    assert str(gpus.value) == (
        "'train_torch' can never run here: it needs 2 GPUs, and all runs together have 1 GPU.\n"
        "  Fix: Lower what the decorator declares, or run it where there is more."
    )
    assert str(limit.value) == (
        "There is no limit 'warehose', which node 'read' takes part in. "
        "Did you mean 'warehouse'?\n"
        "  Fix: Set it in headrace.toml, in the table [limits]: `warehose = 1`."
    )
    assert room.holdings() == []


def test_a_queue_that_cannot_be_written_is_told_with_its_place(configured: Settings):
    configured.home.mkdir()
    configured.run_folder.write_text("a file where the folder should be")
    room = room_of(configured)

    with room.taken(Demand(), run_id=RUN, flow="f", node="split") as waited:
        pass
    with (
        pytest.raises(ServiceError) as refused,
        room.taken(Demand(gpu=1), run_id=RUN, flow="f", node="train_torch"),
    ):
        pass

    assert waited == 0.0
    assert str(refused.value) == (
        f"'train_torch' cannot queue for room in '{room.folder}': [Errno 20] Not a directory: "
        f"'{room.folder}'.\n"
        "  Fix: Free some space on its disk, and check that this user may write there."
    )


def test_a_room_that_was_cleared_away_is_made_again(room: Room):
    with room.taken(Demand(gpu=1), run_id=RUN, flow="f", node="n"):
        pass
    shutil.rmtree(room.folder)

    with room.taken(Demand(gpu=1), run_id=RUN, flow="f", node="n"):
        assert states(room) == [("n", "holding")]


def test_looking_creates_nothing(room: Room):
    assert room.holdings() == []
    assert not room.folder.exists()


def test_a_file_that_is_half_written_is_passed_over(room: Room):
    with room.taken(Demand(gpu=1), run_id=RUN, flow="f", node="holds"):
        (room.folder / "ticket-00000002.json").write_text('{"ticket": 2, "sta')
        (room.folder / "free-1-1.json").touch()
        seen = [holding.node for holding in room.holdings()]

    assert seen == ["holds"]


def test_homes_and_machines_have_rooms_of_their_own(configured: Settings, tmp_path: Path):
    with using_settings(home=tmp_path / "other", gpus=1) as other:
        there = room_of(other)
    here = room_of(configured)

    with (
        here.taken(Demand(gpu=1), run_id=RUN, flow="f", node="n"),
        there.taken(Demand(gpu=1), run_id=RUN, flow="f", node="n") as waited,
    ):
        pass

    assert waited == 0.0
    assert here.folder.parent == configured.home / "run" / "room"
    assert here.folder.name == os.uname().nodename


def test_a_node_that_wants_nothing_scarce_costs_next_to_nothing(room: Room):
    def once(demand: Demand) -> float:
        began = time.perf_counter()
        with room.taken(demand, run_id=RUN, flow="f", node="n"):
            pass
        return time.perf_counter() - began

    fastest = min(once(Demand()) for _ in range(200))

    assert fastest < 0.0003


def holding_of(room: Room, node: str) -> Holding:
    return next(holding for holding in room.holdings() if holding.node == node)


def test_since_is_when_it_entered_and_not_when_it_came(room: Room):
    go, done = threading.Event(), []
    with room.taken(Demand(gpu=1), run_id=RUN, flow="f", node="first"):
        threads = in_threads(room, {"second": Demand(gpu=1)}, done, go)
        came = holding_of(room, "second").since
    until(lambda: done == ["second"])
    entered = holding_of(room, "second").since
    go.set()
    threads[0].join(_PATIENCE_SECONDS)

    assert entered > came
