"""This module runs flows at once for a benchmark, in threads of a process of its own.

It says that it is ready with a line of JSON, waits for a line on its input, starts all of them, and
says on another line what came of them.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from typing import Any

from headrace import Report, flow, operator

STEPS = 8


@operator()
def begin(*, at: int) -> Report:
    """Begin a chain."""
    return Report.of({"n": at})


@operator()
def add_one(before: Report) -> Report:
    """Add one."""
    return Report.of({"n": before.document["n"] + 1})


@flow
def burst(*, at: int = 0) -> Report:
    """Count up, step by step."""
    count = begin(at=at)
    for _ in range(STEPS - 1):
        count = add_one(count)
    return count


def main(flows: int) -> None:
    """Run a flow to warm up, then as many as are asked for at once, each from another number."""
    from flows.runtime import quiet_console, run_flow

    quiet_console()
    run_flow(burst, {"at": 0}).require_completed()
    answers = _counted_answers()
    _say({"ready": True})
    sys.stdin.readline()
    gun = threading.Barrier(flows)
    runs: dict[int, str] = {}
    executed: Counter[str] = Counter()
    errors: list[str] = []

    def one(number: int) -> None:
        gun.wait()
        try:
            finished = run_flow(burst, {"at": number * 1_000})
        except Exception as error:  # whatever it is, it is a run that did not come through
            errors.append(f"{type(error).__name__}: {error}")
            return
        runs[number] = finished.links["Prefect run"].rsplit("/", 1)[1]
        executed.update(outcome.state for outcome in finished.outcomes.values())

    threads = [threading.Thread(target=one, args=(n,)) for n in range(1, flows + 1)]
    started, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _say(
        {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu,
            "runs": list(runs.values()),
            "nodes": executed,
            "answers": {str(status): count for status, count in answers.items()},
            "errors": errors,
        }
    )


def _counted_answers() -> Counter[int]:
    """Count the statuses of all answers that clients here get, retried in silence or not."""
    import httpx

    answers: Counter[int] = Counter()
    plain, waiting = httpx.HTTPTransport, httpx.AsyncHTTPTransport
    ask, ask_waiting = plain.handle_request, waiting.handle_async_request

    def handle_request(self: Any, request: httpx.Request) -> httpx.Response:
        answer = ask(self, request)
        answers[answer.status_code] += 1
        return answer

    async def handle_async_request(self: Any, request: httpx.Request) -> httpx.Response:
        answer = await ask_waiting(self, request)
        answers[answer.status_code] += 1
        return answer

    setattr(plain, "handle_request", handle_request)  # noqa: B010  mypy knows them as methods
    setattr(waiting, "handle_async_request", handle_async_request)  # noqa: B010
    return answers


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
