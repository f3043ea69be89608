"""Nothing is answered that is not logged: not when the process is killed, not on a full disk."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

from headrace.decisions import DecisionLog, Tail


def test_a_repeat_after_a_kill_gets_the_answer_of_the_killed_process(start_process, table):
    chosen = table()
    first = start_process(chosen)
    answer = first.decide(id="UA1").document
    first.tell({"id": "UA1", "value": 1})
    first.kill()
    second = start_process(chosen)

    again = second.decide(id="UA1").document
    told = second.tell({"id": "UA1", "value": 1})
    other = second.tell({"id": "UA1", "value": 0})

    assert again == answer | {"repeated": True}
    assert told.document == {"recorded": 0, "repeated": 1, "corrected": 0, "late": 0}
    assert other.status == 409


def test_under_load_every_decision_that_was_answered_before_a_kill_is_in_the_log(
    start_process, table
):
    chosen = table()
    process = start_process(chosen)
    answers: dict[str, float] = {}
    enough = threading.Event()

    def ask(thread: int) -> None:
        number = 0
        while True:
            try:
                answer = process.decide(id=f"{thread}/{number}")
            except (OSError, HTTPException):
                return  # the process is gone
            assert answer.status == 200
            answers[answer.document["id"]] = answer.document["answer"]["probability"]
            number += 1
            if len(answers) > 500:
                enough.set()

    with ThreadPoolExecutor(16) as pool:
        asking = [pool.submit(ask, thread) for thread in range(16)]
        assert enough.wait(60)
        process.kill()
        for each in asking:
            each.result()

    with DecisionLog.open(chosen.log, writer="reader") as log:
        found = {name: log.decision(name) for name in answers}
    assert {name: document and document["score"] for name, document in found.items()} == answers
    tail = Tail.open(chosen.log)
    logged = [document["id"] for _, document in tail.poll(100_000)]
    tail.close()
    assert len(logged) == len(set(logged))
    assert 0 <= len(logged) - len(answers) <= 16  # those that were logged and not yet answered


def test_on_a_full_disk_nothing_is_answered_unlogged_and_with_room_it_goes_on(start_process, table):
    chosen = table()
    process = start_process(chosen)
    assert process.decide(id="before").status == 200
    process.tell_it("leave room", 20_000)  # as if that was the room on the disk

    with ThreadPoolExecutor(8) as pool:
        full = list(pool.map(lambda n: process.decide(id=f"UA{n}"), range(80)))
    process.tell_it("leave room", 0)
    outcome = process.tell({"id": "before", "value": 1})
    process.tell_it("leave room", None)
    after, again = process.decide(id="after"), process.decide(id="UA79")

    answered = [answer.document["id"] for answer in full if answer.status == 200]
    refused = [answer for answer in full if answer.status != 200]
    assert answered
    assert refused
    [segment] = chosen.log.glob("segments/*.log")
    for answer in refused:
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.document["error"] == {
            "code": "log_unwritable",
            "message": "Nothing is answered that is not logged, and the log cannot be written: "
            f"The decision log cannot write '{segment}': File too large. Nothing of the batch was "
            "logged.",
            "remedy": "Raise the limit on the size of a file (`ulimit -f`), or use smaller "
            "segments.",
        }
    assert outcome.status == 503
    assert (after.status, again.status) == (200, 200)
    with DecisionLog.open(chosen.log, writer="reader") as log:
        assert all(log.decision(name) for name in [*answered, "before", "after", "UA79"])
        assert log.outcome("before") is None
