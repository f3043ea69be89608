"""This module puts a burst of flows on a Prefect server, with others at work on it meanwhile.

The flows run in a process of their own (`_burst_load`). A raw client creates flow runs one after
the other, which sees each answer as it is, and a page of Prefect's shows the runs: in Chromium
where it and playwright are installed, or else what that page asks for is asked for without it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks._burst_load import STEPS
from benchmarks._processes import REPOSITORY, tree_cpu_seconds
from flows._services import client_environment
from headrace.settings import Settings, inherited_environment

_CHROMIUM = Path("/usr/bin/chromium")
_LOOKS_EVERY_SECONDS = 2.0
_RECORDED_WITHIN_SECONDS = 30.0  # the server records task runs a moment after they end
_REFUSED = "Encountered retryable exception in request"  # in the server's log, one for each 503
_NO_ANSWER = 0
LOGS_REFUSALS = {"PREFECT_API_LOG_RETRYABLE_ERRORS": "true"}
"""What the server is told, so that its log has each answer 503, whoever got it."""


@dataclass(frozen=True, kw_only=True)
class Burst:
    """This is what came of a burst.

    Args:
        seconds: From the start of all flows to the end of the last, or to the cap.
        server_cpu: CPU seconds of the server's process tree meanwhile.
        load_cpu: CPU seconds of the flows' process; None when it was capped.
        capped: Whether the flows were ended before they were done.
        refused: Answers 503 in the server's log.
        raw: Answers to the raw client by status.
        client: Answers to Prefect's and our clients in the flows' process by status, likewise.
        page: What the page got, by status.
        looked: How the page was looked at.
        task_runs: Task runs recorded as completed.
        flow_runs: Flow runs recorded as completed.
        raw_kept: Flow runs of the raw client that the server has.
        errors: What flows raised.
    """

    seconds: float
    server_cpu: float
    load_cpu: float | None
    capped: bool
    refused: int
    raw: Counter[int]
    client: Counter[int]
    page: Counter[int]
    looked: str
    task_runs: int
    flow_runs: int
    raw_kept: int
    errors: list[str]

    @property
    def answers_503(self) -> int:
        """The answers 503 that anybody got, by the server's word or by that of its clients."""
        return max(self.refused, self.raw[503] + self.client[503] + self.page[503])

    @property
    def without_answer(self) -> int:
        """The requests of the raw client and of the page that got no answer at all."""
        return self.raw[_NO_ANSWER] + self.page[_NO_ANSWER]

    def bad(self, flows: int) -> int:
        """Return how much went wrong: answers 503, requests without any, and lost records."""
        return self.answers_503 + self.without_answer + self.lost(flows)

    def lost(self, flows: int) -> int:
        """Return how many records are not there, or not as they should be."""
        missing = (flows * STEPS - self.task_runs, flows - self.flow_runs)
        # one that got no answer may be kept all the same
        return sum(map(abs, missing)) + max(0, self.raw[201] - self.raw_kept)

    def text(self, flows: int) -> str:
        """Return the figures for a reader."""
        cpu = "" if self.load_cpu is None else f", flows' CPU {self.load_cpu:.1f} s"
        raised = f", first error: {self.errors[0][:200]}" if self.errors else ""
        return (
            f"{self.seconds:.1f} s{' (capped)' if self.capped else ''}, server CPU "
            f"{self.server_cpu:.1f} s{cpu}; 503: {self.answers_503} (raw client {self.raw[503]} of "
            f"{self.raw.total()}, flows {self.client[503]} of {self.client.total()}, page "
            f"{self.page[503]} of {self.page.total()}), {self.without_answer} requests "
            f"without an answer; completed: {self.task_runs} of "
            f"{flows * STEPS} task runs, {self.flow_runs} of {flows} flow runs{raised}"
        )


def burst(of: Settings, *, pid: int, log: Path, flows: int, cap_seconds: float) -> Burst:
    """Run flows at once and say what came of it.

    Args:
        of: Settings that name the server.
        pid: Its process.
        log: What it says, with each answer 503.
        flows: How many.
        cap_seconds: When to end them.
    """
    ask = httpx.Client(base_url=of.prefect_api_url, timeout=60, trust_env=False)
    with ask, _load(of, flows) as load, _page(of) as (looked, look):
        if load.stdin is None or load.stdout is None:
            raise RuntimeError("The load generator has no pipes, which were asked for.")
        if "ready" not in (load.stdout.readline() or "the load ended"):
            raise RuntimeError("The flows' process ended before it was ready.")
        [warm_up] = _runs(ask)
        refused, cpu = _count(log), tree_cpu_seconds(pid)
        raw, page = _RawClient(of), Counter[int]()
        started = time.perf_counter()
        load.stdin.write("go\n")
        load.stdin.flush()
        with raw:
            while load.poll() is None and time.perf_counter() - started < cap_seconds:
                page.update(look())
        seconds = time.perf_counter() - started
        capped = load.poll() is None
        if capped:
            load.kill()
        said: dict[str, Any] = {} if capped else json.loads(load.stdout.readline() or "{}")
        completed, task_runs = _recorded(ask, warm_up["id"], flows)
        return Burst(
            seconds=said.get("seconds", seconds),
            server_cpu=tree_cpu_seconds(pid) - cpu,
            load_cpu=said.get("cpu_seconds"),
            capped=capped,
            refused=_count(log) - refused,
            raw=raw.answers,
            client=Counter({int(k): n for k, n in said.get("answers", {}).items()}),
            page=page,
            looked=looked,
            task_runs=task_runs,
            flow_runs=completed,
            raw_kept=_asked(ask, "/flow_runs/count", {"flows": {"name": {"any_": ["raw"]}}}),
            errors=said.get("errors", []),
        )


def _recorded(ask: httpx.Client, warm_up: str, flows: int) -> tuple[int, int]:
    """Return the completed flow runs and task runs, once all are there or long enough after."""
    end = time.monotonic() + _RECORDED_WITHIN_SECONDS
    while True:
        runs = [run for run in _runs(ask) if run["id"] != warm_up]
        ids = [run["id"] for run in runs]
        done = sum(run["state_type"] == "COMPLETED" for run in runs)
        wanted = {
            "flow_runs": {"id": {"any_": ids}},
            "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
        }
        nodes = _asked(ask, "/task_runs/count", wanted) if ids else 0
        if (done, nodes) == (flows, flows * STEPS) or time.monotonic() > end:
            return done, nodes
        time.sleep(0.5)


def _runs(ask: httpx.Client) -> list[dict[str, Any]]:
    wanted = {"flows": {"name": {"any_": ["burst"]}}, "limit": 200}
    return list(_asked(ask, "/flow_runs/filter", wanted))


def _asked(ask: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    """Ask until the server answers, and not 503."""
    while _status(answer := _posted(ask, path, body)) in (503, _NO_ANSWER):
        time.sleep(0.2)
    if answer is None:
        raise RuntimeError("The server gave no answer.")
    return answer.raise_for_status().json()


def _posted(ask: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response | None:
    try:
        return ask.post(path, json=body)
    except httpx.TransportError:
        return None


def _status(answer: httpx.Response | None) -> int:
    return _NO_ANSWER if answer is None else answer.status_code


def _count(log: Path) -> int:
    return log.read_text(encoding="utf-8", errors="replace").count(_REFUSED)


class _RawClient:
    """This creates flow runs one after the other, and counts the answers by status."""

    def __init__(self, of: Settings) -> None:
        self.answers: Counter[int] = Counter()
        self._ask = httpx.Client(base_url=of.prefect_api_url, timeout=60, trust_env=False)
        self._flow = _asked(self._ask, "/flows/", {"name": "raw"})["id"]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_asking)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *reason: object) -> None:
        self._over.set()
        self._thread.join()
        self._ask.close()

    def _keep_asking(self) -> None:
        body = {"flow_id": self._flow, "state": {"type": "PENDING"}}
        while not self._over.is_set():
            self.answers[_status(_posted(self._ask, "/flow_runs/", body))] += 1


@contextlib.contextmanager
def _load(of: Settings, flows: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks._burst_load", str(flows)],
        cwd=REPOSITORY,
        env={**inherited_environment(), **client_environment(of)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


Look = Callable[[], Counter[int]]


@contextlib.contextmanager
def _page(of: Settings) -> Iterator[tuple[str, Look]]:
    """Open the page of runs; each look loads it anew and returns the answers by status."""
    if importlib.util.find_spec("playwright") is None or not _CHROMIUM.exists():
        with httpx.Client(base_url=of.prefect_api_url, timeout=60, trust_env=False) as ask:
            yield "the requests of the page of runs, without a browser", lambda: _requests(ask)
        return
    from playwright.sync_api import Error, Response, sync_playwright

    answers: Counter[int] = Counter()

    def answered(response: Response) -> None:
        if "/api/" in response.url:
            answers[response.status] += 1

    def look() -> Counter[int]:
        answers.clear()
        try:
            page.goto(f"{of.prefect_url}/runs", wait_until="commit")
        except Error:
            answers[_NO_ANSWER] += 1
        page.wait_for_timeout(_LOOKS_EVERY_SECONDS * 1_000)
        return Counter(answers)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.on("response", answered)
        page.goto(f"{of.prefect_url}/runs")
        page.wait_for_timeout(3_000)
        yield "the page of runs in Chromium, loaded anew every 2 s", look
        browser.close()


def _requests(ask: httpx.Client) -> Counter[int]:
    """Ask what the page of runs asks when it is loaded."""
    asked = (
        ("/ui/flow_runs/history", {"limit": 100, "sort": "START_TIME_DESC"}),
        ("/flow_runs/paginate", {"limit": 100, "sort": "START_TIME_DESC"}),
        ("/task_runs/paginate", {"limit": 100, "sort": "EXPECTED_START_TIME_DESC"}),
        ("/saved_searches/filter", {}),
        ("/flow_runs/count", {}),
        ("/task_runs/count", {}),
    )
    answers = Counter(_status(_posted(ask, path, body)) for path, body in asked)
    time.sleep(_LOOKS_EVERY_SECONDS)
    return answers
