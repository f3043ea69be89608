"""These tests specify what a log outlives: a killed process, a torn end, a disk without room."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import DecisionLog, LogWriteError, Tail, open_view
from headrace.decisions.folder import LogFolder
from headrace.errors import DamagedArtifactError

COLUMNS = ("distance", "wind", "carrier")
Make = Callable[..., dict[str, Any]]
Open = Callable[..., DecisionLog]

APPEND_FOREVER = """
import sys, json
from pathlib import Path
from headrace.decisions import DecisionLog

folder, document, durability = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
log = DecisionLog.open(folder, writer="lane", segment_bytes=65_536, durability=durability)
log.columns(["distance", "wind", "carrier"])
number = int(sys.argv[4])
while True:
    batch = [document | {"id": f"UA{number + n}", "logged": number + n} for n in range(3)]
    log.append(batch)
    number += 3
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("durability", ["process", "power"])
def test_what_was_acknowledged_before_a_kill_is_there(open_log, folder, decision, durability):
    acknowledged = 0
    for minimum in (300, 450, 600):  # again and again, each process after one that was killed
        document = json.dumps(decision(""))
        child = subprocess.Popen(
            [sys.executable, "-c", APPEND_FOREVER, folder, document, durability, str(acknowledged)],
            stdout=subprocess.PIPE,
        )
        with child:
            while acknowledged < minimum:
                acknowledged = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, child.stdout.read().split())])

    log = open_log("next")

    found = [log.decision(f"UA{number}") for number in range(acknowledged)]
    assert [document and document["logged"] for document in found] == list(range(acknowledged))
    # what a process logged and did not live to acknowledge was logged again by the next
    read = dict.fromkeys(document["id"] for _, document in Tail.open(folder).poll(10_000))
    assert list(read)[:acknowledged] == [f"UA{number}" for number in range(acknowledged)]


def test_wherever_the_end_is_torn_whole_batches_are_kept_and_half_ones_are_cut(
    open_log, folder, decision, tmp_path
):
    sizes = [0]
    with open_log() as log:
        log.columns(COLUMNS)
        for batch in (["UA1"], ["UA2", "UA3"], ["UA4"]):
            log.append([decision(name) for name in batch])
            sizes.append((folder / "segments" / "lane-1.log").stat().st_size)
    content = (folder / "segments" / "lane-1.log").read_bytes()
    whole = {0: [], 1: ["UA1"], 2: ["UA1", "UA2", "UA3"], 3: ["UA1", "UA2", "UA3", "UA4"]}

    for cut in range(len(content) + 1):
        torn = LogFolder(tmp_path / str(cut))
        torn.prepare()
        torn.log("lane-1").write_bytes(content[:cut])
        batches = max(number for number, size in enumerate(sizes) if size <= cut)
        with_tail = Tail.open(torn.path)

        read = [document["id"] for _, document in with_tail.poll()]
        with DecisionLog.open(torn.path, writer="lane", remember=100) as log:
            found = [f"UA{n}" for n in range(1, 5) if log.decision(f"UA{n}")]
        with_tail.close()

        assert read == found == whole[batches]
        if batches:
            assert torn.log("lane-1").read_bytes() == content[: sizes[batches]]
        else:
            assert torn.names() == []


def test_a_damaged_record_with_whole_ones_after_it_is_never_passed_over(
    open_log, folder, decision, tmp_path
):
    with open_log() as log:
        log.columns(COLUMNS)
        log.append([decision("UA1")])
        begin = log.stats().bytes
        log.append([decision("UA2")])
        end = log.stats().bytes
        log.append([decision("UA3")])
    content = (folder / "segments" / "lane-1.log").read_bytes()

    for place in range(begin, end):
        files = LogFolder(tmp_path / str(place))
        files.prepare()
        harmed = bytearray(content)
        harmed[place] ^= 0x55
        files.log("lane-1").write_bytes(harmed)
        told = f"The decision log '{files.log('lane-1')}' is damaged at byte {begin}: "
        tail = Tail.open(files.path)

        with pytest.raises(DamagedArtifactError, match=told):
            DecisionLog.open(files.path, writer="lane", remember=100)
        with pytest.raises(DamagedArtifactError, match=told):
            tail.poll()
        tail.close()
        assert files.log("lane-1").read_bytes() == harmed


def test_damage_is_told_by_the_view_too(open_log, folder, decision):
    with open_log() as log:
        log.columns(COLUMNS)
        log.append([decision("UA1"), decision("UA2")])
    path = folder / "segments" / "lane-1.log"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1  # the last record: not torn, since the segment was sealed
    path.write_bytes(content)

    with pytest.raises(DamagedArtifactError, match="is damaged at byte"):
        open_view(folder)


RUN_OUT_OF_ROOM = """
import json, resource, sys
from pathlib import Path
from headrace.decisions import DecisionLog, LogWriteError

folder, document = Path(sys.argv[1]), json.loads(sys.argv[2])
log = DecisionLog.open(folder, writer="lane")
log.columns(["distance", "wind", "carrier"])
said = []
for round in range(3):
    log.append([document | {"id": f"before {round}"}])
    size = log.stats().bytes
    for room in (0, 1, 500, 1000):  # bytes of the next batch that still fit
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, -1))
        try:
            log.append([document | {"id": f"lost {n}"} for n in range(3)])
        except LogWriteError as error:
            said.append(str(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
        assert (folder / "segments" / "lane-1.log").stat().st_size == size
        assert log.decision("lost 0") is None
    log.append([document | {"id": f"after {round}"}])
    assert log.decision(f"after {round}")
print(json.dumps(said))
"""


def test_a_file_that_cannot_grow_refuses_the_whole_batch_and_takes_the_next(
    open_log, folder, decision
):
    child = subprocess.run(
        [sys.executable, "-c", RUN_OUT_OF_ROOM, folder, json.dumps(decision(""))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert child.stderr == ""
    path = folder / "segments" / "lane-1.log"
    assert json.loads(child.stdout) == 12 * [
        f"The decision log cannot write '{path}': File too large. Nothing of the batch was logged."
        "\n  Fix: Raise the limit on the size of a file (`ulimit -f`), or use smaller segments."
    ]
    log = open_log()
    names = [document["id"] for _, document in Tail.open(folder).poll()]
    assert names == [f"{when} {round_}" for round_ in range(3) for when in ("before", "after")]
    assert all(log.decision(name) for name in names)


def test_a_disk_without_room_refuses_the_batch_and_names_the_remedy(folder, decision):
    log = DecisionLog.open(folder, writer="lane")
    log.columns(COLUMNS)
    log.append([decision("before")])
    size = log.stats().bytes
    full = os.open("/dev/full", os.O_WRONLY)  # every write to it finds no room
    own = log._writer._fd
    log._writer._fd = full

    with pytest.raises(LogWriteError) as refused:
        log.append([decision("lost")])

    os.close(own)
    log.close()
    assert str(refused.value) == (
        f"The decision log cannot write '{folder / 'segments' / 'lane-1.log'}': No space left on "
        "device. Nothing of the batch was logged.\n"
        "  Fix: Free room on that disk; the next record is logged as soon as there is some."
    )
    assert (folder / "segments" / "lane-1.log").stat().st_size == size


def test_a_segment_that_a_living_process_writes_is_left_alone(open_log, folder, decision):
    writing = open_log("lane")
    writing.columns(COLUMNS)
    writing.append([decision("UA1")])

    other = open_log("other")
    writing.append([decision("UA2")])

    assert other.decision("UA1")
    assert other.decision("UA2")
    assert not LogFolder(folder).idx("lane-1").exists()


def test_a_log_that_cannot_be_made_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(LogWriteError) as refused:
        DecisionLog.open(tmp_path / "file" / "flight_delay", writer="lane")

    assert str(refused.value) == (
        f"The decision log cannot write '{tmp_path / 'file' / 'flight_delay' / 'segments'}': Not a "
        "directory. Nothing of the batch was logged.\n"
        "  Fix: Look at the disk and at who may write there, then try again."
    )
