"""Registry and subscribers are told by a process, which nobody waits for."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from headrace.clock import SystemClock, using_clock
from serving.rollout.telling import Teller

TELLS = "import pathlib, sys; pathlib.Path(sys.argv[1], sys.argv[2]).touch()"
FAILS_ONCE = (
    "import pathlib, sys; tried = pathlib.Path(sys.argv[1], sys.argv[2])\n"
    "if not tried.exists(): tried.touch(); sys.exit(1)\n"
    "pathlib.Path(sys.argv[1], 'told').touch()"
)
HANGS = "import time; time.sleep(60)"


class Ahead(SystemClock):
    """A clock that can be put forth and back."""

    by = 0.0

    def monotonic(self) -> float:  # type: ignore[override]
        return time.monotonic() + self.by


def command(script: str, folder: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", script, str(folder))


def look_until_idle(teller: Teller) -> None:
    ends = time.monotonic() + 20
    while not teller.is_idle and time.monotonic() < ends:
        teller.look()
        time.sleep(0.02)
    assert teller.is_idle


def test_each_endpoint_is_told_of_by_a_process(tmp_path: Path):
    teller = Teller(command(TELLS, tmp_path))
    for name in ("minutes", "late"):
        teller.tell(name)

    look_until_idle(teller)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["late", "minutes"]


@pytest.mark.parametrize("jump", [60.0, -60.0], ids=["after a pause", "a clock that went back"])
def test_what_could_not_be_told_is_told_later(tmp_path: Path, jump: float):
    clock = Ahead()
    with using_clock(clock):
        teller = Teller(command(FAILS_ONCE, tmp_path))
        teller.tell("minutes")
        ends = time.monotonic() + 20
        while not (tmp_path / "minutes").exists() and time.monotonic() < ends:
            teller.look()
            time.sleep(0.02)
        for _ in range(20):
            teller.look()
            time.sleep(0.02)
        too_early = (tmp_path / "told").exists()
        clock.by = jump
        look_until_idle(teller)

    assert not too_early
    assert (tmp_path / "told").exists()


def test_one_that_hangs_is_not_waited_for_and_ends_with_the_host(tmp_path: Path):
    teller = Teller(command(HANGS, tmp_path))
    teller.tell("minutes")

    begun = time.monotonic()
    for _ in range(3):
        teller.look()
    took = time.monotonic() - begun
    teller.stop()

    assert took < 5
    assert not teller.is_idle  # whoever judges the endpoint next tells of it
