"""What is left of a Ray that is lost, for as long as it is of use."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from serving import host_holder
from serving.host_holder import recorded
from serving.host_keeper import RayKeeper


def test_a_ray_that_never_came_up_is_ended_before_another_one_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = "import time; time.sleep(60)"
    monkeypatch.setattr(host_holder, "_COMMAND", (sys.executable, "-c", never))
    monkeypatch.setattr(host_holder, "_STARTING_SECONDS", 0.0)
    record = tmp_path / "ray.json"
    keeper = RayKeeper(record)
    keeper.poll()
    first = recorded(record)

    ends = time.monotonic() + 10
    while not keeper.why and time.monotonic() < ends:
        keeper.poll()
    is_left, old = first is not None and psutil.pid_exists(first), keeper.old
    keeper.stop()

    assert keeper.why == "Ray is started again: Ray Serve has not answered for 0 seconds."
    assert first is not None
    assert (is_left, old) == (False, False)
