"""The notices of replicas: of the living alone, and found again by what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from serving.host_notices import NoticeBoard
from serving.lane.notices import (
    LaneNotice,
    lane_file,
    leave_file,
    own_start,
    read_lane,
    read_lanes,
    write_notice,
)


def written(folder: Path, endpoint: str, notice: LaneNotice) -> Path:
    path = lane_file(folder, endpoint, notice)
    write_notice(path, notice)
    return path


def living(port: int, generation: int = 1) -> LaneNotice:
    return LaneNotice(
        generation=generation, url=f"http://127.0.0.1:{port}", pid=os.getpid(), started=own_start()
    )


def dead(port: int, **more: object) -> LaneNotice:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return LaneNotice(
        generation=1, url=f"http://127.0.0.1:{port}", pid=gone.pid, started=1.0, **more
    )  # type: ignore[arg-type]  # fmt: skip


def test_only_the_living_replicas_of_the_endpoint_are_read(tmp_path: Path):
    first, other = living(30001), living(30002)
    for endpoint, notice in (("late", first), ("late_too", other), ("late", dead(30003))):
        written(tmp_path, endpoint, notice)

    assert read_lanes(tmp_path, "late") == (first,)
    assert read_lanes(tmp_path, "late_too") == (other,)


def test_a_process_id_that_was_given_out_again_is_no_replica(tmp_path: Path):
    earlier = LaneNotice(
        generation=1, url="http://127.0.0.1:1", pid=os.getpid(), started=own_start() - 3600
    )
    written(tmp_path, "late", earlier)

    assert read_lanes(tmp_path, "late") == ()


def test_the_notice_that_was_written_last_is_the_lanes(tmp_path: Path):
    os.utime(written(tmp_path, "late", living(30001, 5)), ns=(1, 1))
    written(tmp_path, "late", living(30002, 4))

    found = read_lane(tmp_path, "late")

    assert found is not None
    assert found.port == 30002


def test_what_cannot_be_read_is_passed_over(tmp_path: Path):
    (tmp_path / "late.lane.1-2.json").write_text("{")
    (tmp_path / "late.lane.3-4.json").write_text('{"of": "another version"}')

    assert read_lanes(tmp_path, "late") == ()
    assert read_lane(tmp_path, "late") is None


def test_a_replica_that_dies_is_missed_though_no_file_changes(tmp_path: Path):
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started = psutil.Process(sleeper.pid).create_time()
    notice = LaneNotice(
        generation=1, url="http://127.0.0.1:30001", pid=sleeper.pid, started=started
    )
    written(tmp_path, "late", notice)
    board = NoticeBoard(tmp_path)
    board.look({"late": None})
    before = board.living("late")

    sleeper.kill()
    sleeper.wait()
    while not board.look({"late": None}):
        pass

    assert before == (notice,)
    assert board.living("late") == ()


def test_why_a_replica_refused_a_table_is_known_after_its_end_until_it_is_cleared(tmp_path: Path):
    path = written(tmp_path, "late", dead(30001, failed=4, message="no such view"))
    board = NoticeBoard(tmp_path)
    board.look({"late": None})

    said = [board.refused("late", generation) for generation in (3, 4)]
    board.clear("late")
    board.forget()
    board.look({"late": None})

    assert said == ["", "no such view"]
    assert not path.exists()
    assert board.refused("late", 4) == ""


def test_replicas_are_sent_away_by_a_file_beside_their_notice(tmp_path: Path):
    path = written(tmp_path, "late", living(30001))
    board = NoticeBoard(tmp_path)
    board.look({"late": None})

    board.send_away("late", {os.getpid() + 1})
    others = leave_file(path).exists()
    board.send_away("late", {os.getpid()})

    assert not others
    assert leave_file(path).exists()
