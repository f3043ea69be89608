"""These tests specify the repair of a damaged log: nothing silent, nothing more lost than is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import DecisionLog, Tail, compact, open_view
from headrace.decisions.folder import LogFolder
from headrace.decisions.repairing import damages_in, repair
from headrace.errors import DamagedArtifactError, ServiceError

COLUMNS = ("distance", "wind", "carrier")
Make = Callable[..., dict[str, Any]]
Open = Callable[..., DecisionLog]


@pytest.fixture
def places(open_log: Open, folder: Path, decision: Make, outcome: Make) -> list[int]:
    """A segment whose writer was killed: where its five records begin, and where it ends."""
    log = open_log()
    log.columns(COLUMNS)
    places = [0]
    for document in (
        decision("UA1"), decision("UA2"), outcome("UA1", 1.0), decision("UA3"), decision("UA4"),
    ):  # fmt: skip
        log.append([document])
        places.append(log.stats().bytes)
    log.close()
    LogFolder(folder).idx("lane-1").unlink()
    return places


def harm(folder: Path, *places: int) -> bytes:
    path = LogFolder(folder).log("lane-1")
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 0x55
    path.write_bytes(content)
    return bytes(content)


def test_a_damaged_decision_is_set_aside_named_and_the_rest_is_there(folder, places, open_log):
    content = harm(folder, places[2] - 3)  # the end of UA2
    with pytest.raises(DamagedArtifactError) as refused:
        open_log("before")

    looked = damages_in(folder)
    [done] = repair(folder)

    assert refused.value.remedy == (
        "Restore the file from a copy, or run `headrace decisions repair` with the endpoint: it "
        "sets the damaged bytes aside, says what is lost with them, and the log opens again."
    )
    assert [(each.start, each.end, each.lost, each.aside) for each in looked] == [
        (places[1], places[2], (("decision", "UA2"),), None)
    ]
    assert done.aside == folder / "set_aside" / f"lane-1.{places[1]}-{places[2]}.bin"
    assert done.aside.read_bytes() == content[places[1] : places[2]]
    with open_log("after") as log:
        assert [log.decision(f"UA{n}") is not None for n in (1, 2, 3, 4)] == [True, False] + [
            True
        ] * 2
        assert log.outcome("UA1") is not None
    for _ in range(2):  # not compacted, and compacted
        found = open_view(folder).execute("SELECT id FROM decisions ORDER BY id").fetchall()
        assert found == [("UA1",), ("UA3",), ("UA4",)]
        compact(folder)
    assert repair(folder) == []


def test_who_had_read_on_goes_on_at_the_same_place(folder, places):
    tail = Tail.open(folder)
    position, _ = tail.poll(1)[-1]
    tail.close()
    harm(folder, places[2] - 3)

    repair(folder)

    again = Tail.open(folder, position)
    assert [document["id"] for _, document in again.poll()] == ["UA3", "UA4"]
    again.close()


def test_wherever_bytes_are_harmed_the_log_opens_again_with_all_the_other_records(
    folder, places, open_log
):
    whole = LogFolder(folder).log("lane-1").read_bytes()
    with open_log("other") as log:  # explains the columns too
        log.columns(COLUMNS)
        log.append([{"kind": "decision", "id": "o", "logged": 9, "columns": log.columns(COLUMNS),
                     "features": [1.0, 2.0, "UA"]}])  # fmt: skip
    ids = ["UA1", "UA2", None, "UA3", "UA4"]

    for place in range(0, places[4], 3):
        LogFolder(folder).log("lane-1").write_bytes(whole)
        LogFolder(folder).idx("lane-1").unlink(missing_ok=True)
        harm(folder, place)
        hurt = next(n for n in range(4) if places[n] <= place < places[n + 1])

        repair(folder)
        tail = Tail.open(folder)
        read = [document["id"] for _, document in tail.poll()]
        tail.close()

        # the first record explains the columns, in one write with UA1: only one of the two is lost
        left = [name for n, name in enumerate(ids) if name and (n != hurt or n == 0)]
        assert [name for name in read if name != "o" and (hurt or name != "UA1")] == [
            name for name in left if hurt or name != "UA1"
        ]
        assert LogFolder(folder).log("lane-1").stat().st_size == len(whole)


def test_columns_that_are_lost_come_from_another_segment(folder, places, open_log):
    with open_log("other") as log:
        log.append([{"kind": "decision", "id": "o", "logged": 9, "columns": log.columns(COLUMNS),
                     "features": [1.0, 2.0, "UA"]}])  # fmt: skip
    harm(folder, 40, places[1] - 3)  # the names, and UA1: there is room for them

    repair(folder)

    found = open_view(folder).execute(
        "SELECT features['distance'], texts['carrier'] FROM decisions WHERE id = 'UA3'"
    )
    assert found.fetchone() == (1400.0, "UA")


def test_a_torn_end_is_no_damage(folder, places):
    path = LogFolder(folder).log("lane-1")
    path.write_bytes(path.read_bytes()[:-5])

    assert damages_in(folder) == repair(folder) == []
    assert not (folder / "set_aside").exists()


def test_a_sealed_segment_that_was_cut_opens_again_and_says_so(open_log, folder, decision):
    with open_log() as log:
        log.columns(COLUMNS)
        log.append([decision("UA1")])
        end = log.stats().bytes
        log.append([decision("UA2")])
    path = LogFolder(folder).log("lane-1")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-5])

    [done] = repair(folder)

    assert (done.start, done.end, done.is_cut) == (end, size, True)
    with open_log("after") as log:
        assert log.decision("UA1") is not None
        assert log.decision("UA2") is None


def test_a_segment_that_is_written_is_not_repaired(folder, open_log, decision):
    log = open_log()
    log.columns(COLUMNS)
    log.append([decision("UA1")])
    begin = log.stats().bytes
    log.append([decision("UA2")])
    log.append([decision("UA3")])
    content = harm(folder, begin + 40)

    with pytest.raises(ServiceError) as refused:
        repair(folder)

    path = LogFolder(folder).log("lane-1")
    assert str(refused.value) == (
        f"The segment '{path}' is damaged, and somebody writes it.\n"
        "  Fix: Stop the endpoint with `headrace down`, then repair its log."
    )
    assert path.read_bytes() == content
