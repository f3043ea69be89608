"""These tests specify what a log does when the disk is slow or full: it waits, refuses, goes on."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import DecisionLog, LogBusyError, LogWriteError

HERE = Path(__file__).parent
COLUMNS = ("distance", "wind", "carrier")


@pytest.fixture(scope="module")
def slow_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes a disk slow."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler to stand before the C library")
    library = tmp_path_factory.mktemp("slow") / "slow.so"
    flags = ["-shared", "-fPIC", "-w", "-D_FORTIFY_SOURCE=0", "-pthread"]
    source = HERE / "slow_disk.c"
    subprocess.run([compiler, *flags, "-o", library, source, "-ldl"], check=True)
    return library


def play(library: Path, folder: Path, scenario: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, HERE / "_slow_disk.py", folder, scenario],
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_while_the_disk_is_slow_the_loop_runs_on_and_writes_are_gathered(slow_disk, folder):
    said = play(slow_disk, folder, "gather")

    assert said["first"]  # nobody knew yet that it would be slow
    assert said["held"] < said["writes"]  # each took longer than what is counted as held
    assert said["writes"] <= 30  # of 60 requests, however slowly a busy machine brings them
    assert said["found"]
    assert said["again"]  # quick again: the loop writes itself
    assert said["stats"] == 87


def test_who_waited_too_long_is_told_the_truth_and_new_requests_are_refused_at_once(
    slow_disk, folder
):
    said = play(slow_disk, folder, "hang")

    slow = "The disk of the decision log is slow: "
    remedy = "\n  Fix: Try again in a moment; look at what else uses that disk."
    assert said["problems"] == [
        f"{slow}a write waited 0.3 s. Whether it was logged will show: the same id gets the same "
        f"answer then.{remedy}",
        f"{slow}a write waited 0.3 s. Nothing of it was logged.{remedy}",
    ]
    assert said["refused"] == f"{slow}a write has been under way for more than 0.3 s.{remedy}"
    assert said["took"] < 0.5  # the write under way takes longer
    assert said["found"] == ["under way", "after"]


def test_what_waits_is_bounded_and_what_was_taken_is_logged(slow_disk, folder):
    said = play(slow_disk, folder, "fill")

    assert said["taken"] == said["found"] == 9
    assert said["most"] <= 100_000
    assert said["refused"] == (
        f"The disk of the decision log is slow: {said['most']:,} bytes wait for it.\n"
        "  Fix: Try again in a moment; look at what else uses that disk."
    )


def test_with_power_every_answer_comes_after_the_disk_has_it(slow_disk, folder):
    said = play(slow_disk, folder, "power")

    events = said["events"]
    # of the very first: the name of the segment, then what is in it, then the answer
    assert events[:6] == [
        "write births",
        "fsync segments",
        "write lane-1.log",
        "fdatasync lane-1.log",
        "answered one",
        "write lane-1.log",
    ]
    unsynced = False
    for event in events[2:]:
        what, of = event.split(" ", 1)
        if of == "lane-1.log":
            unsynced = what == "write"
        assert not (what == "answered" and unsynced)
    assert sum(event.startswith("answered") for event in events) == 51
    assert sum(event == "fdatasync lane-1.log" for event in events) <= 4  # groups share one
    assert said["held"] <= 1  # a write and a sync took 0.1 s, and there were two of them or more


def test_a_disk_that_is_really_full_refuses_before_and_takes_as_soon_as_it_has_room(
    tmp_path, decision
):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a small disk")
    try:
        (disk / "ballast").write_bytes(bytes(200_000))
        with DecisionLog.open(disk / "log", writer="lane") as log:
            asyncio.run(_run_full(log, disk / "ballast", decision))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


async def _run_full(log: DecisionLog, ballast: Path, decision: Any) -> None:
    log.columns(COLUMNS)
    note = "x" * 20_000
    logged = []
    problem = None
    for number in range(100):
        try:
            await log.logged([decision(f"UA{number}", note=note)])
        except LogWriteError as error:
            problem = error
            break
        logged.append(f"UA{number}")
    assert "No space left on device" in str(problem)
    for _ in range(3):  # nothing is asked of a model meanwhile
        with pytest.raises(LogWriteError, match="No space left on device") as refused:
            log.require_room()
        assert not isinstance(refused.value, LogBusyError)
    size = log.stats().bytes
    ballast.unlink()

    await log.logged([decision("after", note=note)])

    assert all(log.decision(name) for name in [*logged, "after"])
    assert log.decision(f"UA{len(logged)}") is None
    assert log.stats().bytes > size
