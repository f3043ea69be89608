"""The structured log of a lane: what is not ordinary, bounded, and without what clients sent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.settings import settings, using_settings
from serving.lane.budget import BURST, Budget
from serving.lane.events import Events
from serving.lane.table import Served

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00", "content-type": "application/json"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def told(start_lane: Callable[..., Any]) -> Callable[[Any], list[dict[str, Any]]]:
    """Wait until all of a lane's lines are written, and read them."""

    def read(lane: Any) -> list[dict[str, Any]]:
        lane.replica._app.meters.events.finish()
        path = settings().log_folder / "lanes" / "flight_delay.jsonl"
        found = lines(path)
        path.unlink()
        return found

    return read


def test_a_table_and_a_refusal_that_is_the_lanes_fault_are_told_with_their_trace(
    start_lane, table, told, tmp_path: Path
):
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database " * 1000)
    lane = start_lane(table(online=broken, generation=7))
    body = {"entity": {"origin": "EWR", "tail": "N1"}, "features": {"carrier": "UA", "distance": 1}}
    assert lane.ask("/v1/flight_delay/decide", body, headers=PARENT).status == 503

    first, second = told(lane)

    assert (first["event"], first["level"], first["model"]) == ("table", "info", "flight_delay/1")
    assert first["generation"] == second["generation"] == 7
    shown = {k: second[k] for k in ("level", "event", "endpoint", "code", "status", "trace")}
    assert shown == {
        "level": "error",
        "event": "refusal",
        "endpoint": "flight_delay",
        "code": "features_unreadable",
        "status": 503,
        "trace": TRACE,
    }


def test_what_a_client_did_wrong_is_counted_and_not_told(start_lane, table, told):
    lane = start_lane(table())
    assert lane.ask("/v1/flight_delay/decide", b"{").status == 400
    assert lane.decide(entity={"origin": "EWR", "tail": "N404"}).status == 404

    assert [line["event"] for line in told(lane)] == ["table"]


def test_an_answer_that_took_long_is_told_with_its_decision(start_lane, table, told):
    with using_settings(slow_answer_ms=0.000001):
        lane = start_lane(table())
    assert lane.decide(id="UA1").status == 200

    _, slow = told(lane)

    assert (slow["event"], slow["id"], slow["model"]) == ("slow", "UA1", "flight_delay/1")
    assert slow["ms"] >= 0


def test_no_value_of_a_request_comes_into_the_log(start_lane, table, told, tmp_path: Path):
    secret = "SECRET-77"  # noqa: S105
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database " * 1000)
    with using_settings(slow_answer_ms=0.000001):
        lane = start_lane(table(online=broken))
    named = {"origin": secret, "tail": secret, "note": secret}
    lane.decide(entity=named, features={"carrier": secret, "distance": 7})
    lane.decide(entity=named, features={"carrier": secret, "distance": "x"})
    lane.decide(
        entity={"note": secret, "origin": None, "tail": None},
        features={"carrier": secret, "distance": 7, "wind": 1, "landings": 2},
    )
    lane.ask(f"/v1/flight_delay/{secret}", {"features": {"carrier": secret}})

    text = json.dumps(told(lane))

    assert secret not in text
    assert '"refusal"' in text
    assert '"slow"' in text


def test_a_table_that_cannot_be_loaded_leaves_requests_refused_and_told_with_the_reason(
    start_lane, table, told, tmp_path: Path
):
    lane = start_lane(
        replace(table(), champion=Served(ref="flight_delay/9", folder=tmp_path / "none"))
    )
    assert lane.decide().status == 503

    failed, refusal = told(lane)

    assert (failed["event"], failed["level"], failed["failed"]) == ("table", "error", 1)
    assert failed["problem"] == (
        f"The bundle '{tmp_path / 'none'}' is damaged: its file 'runtime.json' is gone.\n"
        "  Fix: Write it again with `write_bundle(folder, model)`, which replaces a damaged one."
    )
    assert (refusal["code"], refusal["problem"]) == (
        "starting",
        "The endpoint 'flight_delay' is starting and has no model loaded yet.",
    )


def test_a_storm_is_told_a_few_times_and_counted_whole(tmp_path: Path):
    path = tmp_path / "logs" / "storm.jsonl"
    events = Events("flight_delay", path)

    for number in range(5_000):
        events.tell("refusal", code="model_failed", number=number)
    events.tell("refusal", code="log_unwritable")  # has a budget of its own
    events.finish()

    found = lines(path)
    storm = [line for line in found if line["code"] == "model_failed"]
    assert BURST <= len(storm) < BURST + 5  # one more for each second that it lasted
    assert [line["code"] for line in found].count("log_unwritable") == 1
    left_out = sum(line.get("suppressed", 0) for line in found)
    assert len(storm) + events.suppressed["refusal"] == 5_000
    assert left_out <= events.suppressed["refusal"]


def test_what_was_left_out_is_told_by_the_next_line_or_after_a_while():
    now = [100.0]
    budget = Budget(lambda: now[0])
    spent = [budget.spend("slow") for _ in range(BURST + 3)]
    at_once = budget.settled()
    now[0] += 1.0
    again, said = budget.spend("slow"), budget.left_out("slow")
    denied = [budget.spend("slow") for _ in range(2)]
    now[0] += 6.0

    assert spent == [True] * BURST + [False] * 3
    assert (at_once, again, said, denied) == ([], True, 3, [False, False])
    assert budget.settled() == [("slow", 2)]
    assert budget.settled() == []


_WRITE = """
import sys
from pathlib import Path
from serving.lane.events import Events
events = Events(sys.argv[2], Path(sys.argv[1]), largest_bytes=4_000)
for number in range(300):
    events.tell("refusal", code=f"code-{number}", number=number)
events.finish()
"""


def test_processes_that_share_a_file_keep_every_line_whole_and_all_files_bounded(tmp_path: Path):
    path = tmp_path / "lanes" / "flight_delay.jsonl"

    processes = [
        subprocess.Popen([sys.executable, "-c", _WRITE, str(path), name]) for name in ("a", "b")
    ]
    codes = [process.wait(60) for process in processes]

    kept = sorted(file for file in path.parent.iterdir() if file.suffix != ".lock")
    assert codes == [0, 0]
    assert [file.name for file in kept] == [
        "flight_delay.jsonl",
        *(f"flight_delay.jsonl.{number}" for number in range(1, 5)),
    ]
    assert all(file.stat().st_size <= 4_000 for file in kept)
    newest_first = [lines(file) for file in kept]
    for name in ("a", "b"):  # each process's lines in order, its last one kept
        numbers = [
            line["number"]
            for file in reversed(newest_first)
            for line in file
            if line["endpoint"] == name
        ]
        assert numbers == sorted(numbers)
    assert newest_first[0][-1]["number"] == 299


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path):
    tmp_path.joinpath("file").write_text("in the way")
    events = Events("flight_delay", tmp_path / "file" / "lane.jsonl")

    events.tell("table", model="flight_delay/1")
    events.finish()

    assert tmp_path.joinpath("file").read_text() == "in the way"
