"""These tests specify the log as its writer sees it: what was appended is found, no more."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import DecisionLog
from headrace.decisions.folder import LogFolder
from headrace.errors import DamagedArtifactError, ParameterError

COLUMNS = ("distance", "wind", "carrier")
Make = Callable[..., dict[str, Any]]
Open = Callable[..., DecisionLog]


@pytest.fixture
def log(open_log: Open) -> DecisionLog:
    log = open_log()
    log.columns(COLUMNS)
    return log


def test_a_decision_is_found_as_it_was_logged(log, decision):
    document = decision("UA1545")

    log.append([document])

    assert log.decision("UA1545") == document
    assert log.decision("UA1546") is None


def test_an_outcome_is_found_apart_from_the_decision_of_that_id(log, decision, outcome):
    log.append([decision("UA1545"), decision("UA1546"), outcome("UA1545", 1.0)])

    assert log.outcome("UA1545") == outcome("UA1545", 1.0)
    assert log.outcome("UA1546") is None
    assert log.decision("UA1545") == decision("UA1545")


def test_of_two_decisions_with_one_id_the_first_that_was_logged_is_found(log, decision):
    log.append([decision("UA1545", logged=2, score=0.2)])
    log.append([decision("UA1545", logged=1, score=0.1), decision("UA1545", logged=3, score=0.3)])

    assert log.decision("UA1545")["score"] == 0.1


def test_a_list_of_names_has_the_same_number_in_every_process(open_log):
    numbers = [open_log(writer).columns(["distance", "wind"]) for writer in ("lane", "shadow")]

    assert numbers == [8984584497284286, 8984584497284286]
    assert open_log("third").columns(["wind", "distance"]) != numbers[0]


def test_a_feature_has_a_name_of_its_own(log):
    with pytest.raises(ParameterError) as refused:
        log.columns(["wind", "distance", "wind"])

    assert str(refused.value) == (
        "The columns of a decision have the name 'wind', which is no text or occurs twice.\n"
        "  Fix: Give each feature a name of its own."
    )


def test_an_id_is_any_text(log, decision):
    names = ["a" * 200, "\0", '"', "\\", "ÿHR", "✈ 機", " ", "../x", "\x7f"]

    log.append([decision(name) for name in names])

    assert [log.decision(name)["id"] for name in names] == names


def test_a_number_that_json_cannot_hold_is_logged_as_null(log, decision):
    log.append([decision("UA1545", features=[float("nan"), float("-inf"), "UA"])])

    assert log.decision("UA1545")["features"] == [None, None, "UA"]


def test_a_record_longer_than_a_page_is_found(log, decision):
    long = decision("long", entity={"note": "x" * 10_000})

    log.append([decision("short"), long, decision("after")])

    assert log.decision("long") == long
    assert log.decision("after") == decision("after")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"kind": "decison"},
            "A record of the decision log is of kind 'decison'. Did you mean 'decision'?\n"
            "  Fix: Log a document whose 'kind' is 'decision', 'batch', 'shadow' or 'outcome'.",
            id="unknown kind",
        ),
        pytest.param(
            {"id": ""},
            "The id of a decision is ''.\n  Fix: Give an id of 1 to 200 characters.",
            id="empty id",
        ),
        pytest.param(
            {"id": 7},
            "The id of a decision is 7.\n  Fix: Give an id of 1 to 200 characters.",
            id="id that is no text",
        ),
        pytest.param(
            {"id": "\ud800"},
            "The decision '\\ud800' cannot be written as JSON: str is not valid UTF-8: surrogates "
            "not allowed.\n  Fix: Hold text, numbers, true, false, null, lists and dicts with text "
            "keys.",
            id="half a character",
        ),
        pytest.param(
            {"logged": 1.5},
            "The decision 'UA1545' says that it was logged at 1.5.\n"
            "  Fix: Give 'logged' as a whole number of microseconds since 1970, UTC.",
            id="moment that is no whole number",
        ),
        pytest.param(
            {"columns": 7},
            "The decision 'UA1545' has columns 7, which this log was not told of.\n"
            "  Fix: Take the number from `log.columns(names)` of the log that is written.",
            id="unknown columns",
        ),
        pytest.param(
            {"features": [1.0]},
            "The decision 'UA1545' has 3 columns, but as features a list of 1.\n"
            "  Fix: List a value for each column, in their order; None for a missing one.",
            id="a feature too few",
        ),
        pytest.param(
            {"answer": {1, 2}},
            "The decision 'UA1545' cannot be written as JSON: Type is not JSON serializable: set.\n"
            "  Fix: Hold text, numbers, true, false, null, lists and dicts with text keys.",
            id="no JSON",
        ),
    ],
)
def test_a_wrong_document_is_refused_and_so_is_its_batch(log, decision, change, message):
    with pytest.raises(ParameterError) as refused:
        log.append([decision("UA1544"), decision("UA1545", **{}) | change])

    assert str(refused.value) == message
    assert log.decision("UA1544") is None


def test_a_log_that_is_opened_again_knows_what_was_logged_before(open_log, decision, outcome):
    with open_log() as log:
        log.columns(COLUMNS)
        log.append([decision(f"UA{number}", logged=number) for number in range(100)])
        log.append([outcome("UA7", 1.0)])

    again = open_log()

    assert [again.decision(f"UA{number}")["logged"] for number in range(100)] == list(range(100))
    assert again.outcome("UA7") == outcome("UA7", 1.0)
    assert again.decision("UA100") is None


def test_a_log_may_be_closed_twice_and_not_be_used_after(log, decision):
    log.close()
    log.close()

    with pytest.raises(ParameterError) as refused:
        log.append([decision("UA1545")])

    assert str(refused.value) == (
        "This decision log is closed.\n  Fix: Open it again with `DecisionLog.open`."
    )


def test_processes_of_an_endpoint_find_what_the_others_log(open_log, decision, outcome):
    first, second = open_log("lane"), open_log("lane-2", segment_bytes=4096)
    first.columns(COLUMNS), second.columns(COLUMNS)

    for number in range(100):  # the second begins a new segment every few decisions
        first.append([decision(f"first {number}")])
        second.append([decision(f"second {number}"), outcome(f"first {number}", 0.0)])

        assert first.decision(f"second {number}") == decision(f"second {number}")
        assert second.decision(f"first {number}") == decision(f"first {number}")
        assert first.outcome(f"first {number}") == outcome(f"first {number}", 0.0)
    assert first.stats() == second.stats()
    assert (first.stats().decisions, first.stats().outcomes) == (200, 100)


def test_two_processes_with_one_name_write_segments_of_their_own(open_log, folder, decision):
    logs = [open_log("lane"), open_log("lane")]
    for log in logs:
        log.columns(COLUMNS)

    for log in logs:
        log.append([decision("UA1545")])

    assert LogFolder(folder).names() == ["lane-1", "lane-2"]


def test_threads_may_append_and_look_up_at_once(open_log, decision):
    log = open_log(segment_bytes=16_384)
    log.columns(COLUMNS)
    lost: list[str] = []

    def work(thread: int) -> None:
        for number in range(200):
            name = f"{thread}/{number}"
            log.append([decision(name)])
            if log.decision(name) != decision(name):
                lost.append(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert lost == []
    assert log.stats().decisions == 800


@pytest.mark.parametrize("reopened", [False, True], ids=["while open", "opened again"])
def test_the_last_decisions_are_remembered_and_older_ones_may_not_be(open_log, decision, reopened):
    options = {"remember": 1000, "segment_bytes": 65_536}
    log = open_log(**options)
    log.columns(COLUMNS)
    for start in range(0, 4000, 100):
        log.append([decision(f"UA{n}", logged=n) for n in range(start, start + 100)])
    if reopened:
        log.close()
        log = open_log(**options)

    kept = [log.decision(f"UA{number}") is not None for number in range(4000)]

    assert all(kept[3000:])
    assert not any(kept[:2000])


def test_an_outcome_is_remembered_as_long_as_decisions_are(open_log, decision, outcome):
    log = open_log(remember=1000)
    log.columns(COLUMNS)
    log.append([decision(f"UA{n}") for n in range(1000)])
    log.append([outcome(f"UA{n}", 1.0) for n in range(1000)])

    log.append([decision(f"UA{n}") for n in range(1000, 1999)])

    assert all(log.outcome(f"UA{n}") for n in range(1000))


def test_decisions_of_several_processes_are_remembered_by_when_they_were_logged(open_log, decision):
    slow, fast = open_log("slow"), open_log("fast", segment_bytes=16_384)
    slow.columns(COLUMNS), fast.columns(COLUMNS)
    for n in range(2000):
        (slow if n % 10 == 0 else fast).append([decision(f"UA{n}", logged=n)])
    slow.close(), fast.close()

    log = open_log("lane", remember=1000)

    assert all(log.decision(f"UA{n}") for n in range(1000, 2000))


def test_an_inventory_that_is_missing_or_damaged_is_made_again(open_log, folder, decision):
    with open_log(segment_bytes=4096) as log:
        log.columns(COLUMNS)
        for number in range(30):
            log.append([decision(f"UA{number}")])
    missing, head, body, *_ = sorted((folder / "segments").glob("*.idx"))
    missing.unlink()
    head.write_bytes(b"x" + head.read_bytes()[1:])
    body.write_bytes(body.read_bytes()[:-1] + b"x")

    again = open_log()

    assert all(again.decision(f"UA{number}") for number in range(30))
    assert missing.exists()
    assert again.stats().decisions == 30


def test_a_record_that_is_damaged_is_told_by_file_and_place(open_log, folder, decision):
    with open_log() as log:
        log.columns(COLUMNS)
        log.append([decision("UA1"), decision("UA2")])
    path = folder / "segments" / "lane-1.log"
    content = bytearray(path.read_bytes())
    place = content.index(b'"UA2"')
    content[place + 1] ^= 1
    path.write_bytes(content)
    log = open_log()

    with pytest.raises(DamagedArtifactError) as damaged:
        log.decision("UA2")

    begin = content.rindex(b"\xffHR")
    assert str(damaged.value) == (
        f"The decision log '{path}' is damaged at byte {begin}: no whole record lies there.\n"
        "  Fix: Restore the file from a copy, or run `headrace decisions repair` with the "
        "endpoint: it sets the damaged bytes aside, says what is lost with them, and the log "
        "opens again."
    )
    assert log.decision("UA1") == decision("UA1")


def test_a_sealed_segment_that_was_cut_is_not_taken_for_whole(open_log, folder, decision):
    with open_log() as log:
        log.columns(COLUMNS)
        log.append([decision("UA1"), decision("UA2")])
    path = folder / "segments" / "lane-1.log"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(DamagedArtifactError) as damaged:
        open_log()

    assert str(damaged.value).startswith(
        f"The decision log '{path}' has {size - 1} bytes, but had {size} when it was sealed: it is "
        f"damaged from byte {size - 1}."
    )


def test_stats_count_the_records_of_all_processes(open_log, folder, decision, shadow, outcome):
    lane, shadows = open_log("lane"), open_log("shadow")
    lane.columns(COLUMNS)
    lane.append([decision("UA1"), decision("UA2"), outcome("UA1", None)])
    shadows.append([shadow("UA1")])

    stats = lane.stats()

    files = (folder / "segments").glob("*.log")
    assert (stats.decisions, stats.shadows, stats.outcomes, stats.segments) == (2, 1, 1, 2)
    assert stats.bytes == sum(path.stat().st_size for path in files)


def test_nothing_is_written_before_there_is_something_to_log(open_log, folder):
    log = open_log()

    log.append([])
    log.close()

    assert LogFolder(folder).names() == []


@pytest.mark.parametrize("writer", ["", "../lane", "a b", "x" * 101])
def test_a_writer_has_a_name_that_a_file_may_have(folder, writer):
    with pytest.raises(ParameterError) as refused:
        DecisionLog.open(folder, writer=writer)

    assert str(refused.value) == (
        f"The writer of a decision log is named {writer!r}.\n"
        "  Fix: Use 1 to 100 letters, digits, '_', '.' and '-', for example 'lane'."
    )


def test_a_document_on_disk_is_plain_json(log, folder: Path, decision):
    log.append([decision("UA1545")])

    content = (folder / "segments" / "lane-1.log").read_bytes()

    start = content.index(b'{"kind":"decision"')
    assert json.loads(content[start:]) == decision("UA1545")
