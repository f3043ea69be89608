"""Runs in processes of their own share the GPU: `headrace run --local`, twice at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from headrace.execution.room import Room, room_of
from headrace.settings import Settings, using_settings

_PATIENCE_SECONDS = 60.0

FLOW = dedent(
    '''
    """A flow whose only node needs the GPU, and fails when another one is on it."""

    from __future__ import annotations

    import os
    import time
    from pathlib import Path
    from typing import Protocol

    from headrace import Schema, Table, flow, operator


    class Noise(Schema, Protocol):
        """Numbers that do not compress: storing them takes a moment."""

        value: int


    @operator(gpu=1)
    def train(*, name: str, folder: str) -> Table[Noise]:
        """Sit on the GPU until somebody opens the gate."""
        inside = os.open(Path(folder, "inside"), os.O_CREAT | os.O_EXCL)
        os.close(inside)
        with Path(folder, "began").open("a") as began:
            began.write(f"{name}\\n")
        while not Path(folder, "gate").exists():
            time.sleep(0.02)
        Path(folder, "inside").unlink()
        import numpy as np

        values = np.random.default_rng(len(name)).integers(0, 2**62, 1_500_000)
        return Table[Noise].of({"value": values})


    @flow
    def training(*, name: str, folder: str) -> Table[Noise]:
        """Train."""
        return train(name=name, folder=folder)
    '''
)

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that the bodies meet in."""
    folder = tmp_path / "shared"
    folder.mkdir()
    return folder


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Settings]:
    with using_settings(home=tmp_path / "home", gpus=1) as changed:
        yield changed


@pytest.fixture
def start(configured: Settings, tmp_path: Path, folder: Path) -> Iterator[Start]:
    """Start `headrace run --local` with a name for the model; what is left is killed."""
    file = tmp_path / "gpu_flow.py"
    file.write_text(FLOW, encoding="utf-8")
    started: list[subprocess.Popen[str]] = []

    def start_one(name: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [
                    Path(sys.executable).with_name("headrace"),
                    *("run", "--local", "--json", f"{file}:training"),
                    *("-p", f"name={name}", "-p", f"folder={folder}"),
                ],
                env=os.environ | configured.as_environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                # a test run in the background ignores it, and would pass that on
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            )
        )
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def began(folder: Path) -> list[str]:
    path = folder / "began"
    return path.read_text().split() if path.exists() else []


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def states(room: Room) -> list[str]:
    return [holding.state for holding in room.holdings()]


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a run and return what it says of its only node."""
    said, errors = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, errors
    node: dict[str, Any] = json.loads(said)["nodes"][0]
    return node


def test_two_runs_are_never_on_the_gpu_at_a_time(start: Start, configured: Settings, folder: Path):
    first = start("a")
    until(lambda: began(folder) == ["a"])
    second = start("b")
    until(lambda: states(room_of(configured)) == ["holding", "waiting"])

    (folder / "gate").touch()
    nodes = [finished(first), finished(second)]

    assert [node["state"] for node in nodes] == ["executed", "executed"]
    assert began(folder) == ["a", "b"]
    assert room_of(configured).holdings() == []


def test_when_a_run_is_killed_the_one_that_waits_goes_on(
    start: Start, configured: Settings, folder: Path
):
    first = start("a")
    until(lambda: began(folder) == ["a"])
    second = start("b")
    until(lambda: states(room_of(configured)) == ["holding", "waiting"])

    (folder / "inside").unlink()  # the killed one cannot
    first.kill()
    killed = time.monotonic()
    until(lambda: began(folder) == ["a", "b"])
    seconds = time.monotonic() - killed
    (folder / "gate").touch()

    assert finished(second)["state"] == "executed"
    assert seconds < 15


def test_two_runs_of_the_same_flow_compute_once(start: Start, configured: Settings, folder: Path):
    first = start("a")
    until(lambda: began(folder) == ["a"])
    second = start("a")
    until(lambda: states(room_of(configured)) == ["holding", "waiting"])

    (folder / "gate").touch()
    nodes = [finished(first), finished(second)]

    assert [node["state"] for node in nodes] == ["executed", "cached"]
    assert began(folder) == ["a"]


def test_an_interrupted_run_that_waits_ends_and_leaves_the_queue(
    start: Start, configured: Settings, folder: Path
):
    start("a")
    until(lambda: began(folder) == ["a"])
    second = start("b")
    until(lambda: states(room_of(configured)) == ["holding", "waiting"])

    second.send_signal(signal.SIGINT)
    second.communicate(timeout=_PATIENCE_SECONDS)

    assert second.returncode != 0
    assert states(room_of(configured)) == ["holding"]
    assert began(folder) == ["a"]
