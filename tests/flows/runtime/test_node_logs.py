"""What a body prints, logs, says and fails with is in the log of its Prefect task run."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest

from headrace.settings import Settings, settings, using_settings

FLOWS = dedent(
    '''
    """Flows whose bodies have something to tell."""

    from __future__ import annotations

    import logging
    import sys
    import threading
    import time
    import warnings

    from headrace import Report, flow, map_over, operator
    from headrace.recording import say

    LOGGER = logging.getLogger(__name__)
    TOGETHER = threading.Barrier(2, timeout=30)


    @operator()
    def tell_all(*, key: int) -> Report:
        """Tell in every way there is."""
        LOGGER.debug("too much detail")
        LOGGER.info("logged %d", key)
        print("printed", key)
        print("begun", end=" ")
        print("and ended")
        print("without an end", end="")
        say("said")
        warnings.warn("warned", stacklevel=1)
        logging.getLogger("somebody.else").info("chatter of others")
        logging.getLogger("somebody.else").warning("a warning of others")
        logging.getLogger("httpx").warning("the carrier about itself")
        return Report.of({"key": key})


    @operator(timeout=120)
    def tell_all_there(report: Report) -> Report:
        """Tell in every way there is, in a process of its own."""
        LOGGER.info("logged there")
        print("printed there")
        say("said there")
        warnings.warn("warned there", stacklevel=1)
        logging.getLogger("somebody.else").info("chatter of others there")
        return Report.of({"there": True})


    @operator()
    def tell_together(*, name: str) -> Report:
        """Tell while another tells, in turns."""
        for number in range(3):
            TOGETHER.wait()
            print(name, number)
            LOGGER.info("%s logs %d", name, number)
        return Report.of({"name": name})


    @operator()
    def divide(*, by: int) -> Report:
        """Divide."""
        return Report.of({"quotient": _quotient(by)})


    @operator(timeout=120)
    def divide_there(*, by: int) -> Report:
        """Divide in a process of its own."""
        return Report.of({"quotient": _quotient(by)})


    def _quotient(by: int) -> float:
        return 1 / by


    @operator()
    def write_much() -> Report:
        """Write a line that is longer than a log takes."""
        LOGGER.info("x" * 2_000_000)
        LOGGER.info("still here")
        return Report.of({})


    @flow
    def telling(*, key: int) -> Report:
        """Tell here and there."""
        return tell_all_there(tell_all(key=key))


    @flow
    def telling_together() -> tuple[Report, Report]:
        """Tell in two threads at once."""
        return tell_together(name="one"), tell_together(name="two")


    @flow
    def dividing(*, by: int) -> tuple[Report, Report]:
        """Divide here and there."""
        return divide(by=by), divide_there(by=by)


    @flow
    def writing() -> Report:
        """Write much."""
        return write_much()
    '''
)


@pytest.fixture(scope="module")
def talkers(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a repository of flows whose bodies talk, and settings that find it."""
    root = tmp_path_factory.mktemp("repository") / "talkers"
    root.mkdir()
    (root / "__init__.py").touch()
    (root / "talk.py").write_text(FLOWS, encoding="utf-8")
    with using_settings(roots=[root], threads=2):
        yield root
    sys.path.remove(str(root.parent))


def run(flow: str, **arguments: Any) -> Any:
    from flows._catalog import flow_named
    from flows.runtime import run_flow

    with warnings.catch_warnings():
        warnings.filterwarnings("default", "warned", UserWarning)  # the tests make them errors
        return run_flow(flow_named(flow), arguments)


def logs(finished: Any, node: str, until: str) -> list[tuple[int, str]]:
    """Return level and text of the log of a node's task run, once a line is among them."""

    def all_there() -> list[tuple[int, str]] | None:
        run_id = finished.links["Prefect run"].rsplit("/", 1)[1]
        runs = api("/task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
        ids = [each["id"] for each in runs if each["name"] == node]
        if not ids:
            return None
        wanted = {"logs": {"task_run_id": {"any_": ids}}, "sort": "TIMESTAMP_ASC"}
        found = [(line["level"], line["message"]) for line in api("/logs/filter", wanted)]
        return found if any(until in text for _, text in found) else None

    return eventually(all_there)


def api(path: str, body: dict[str, Any]) -> Any:
    answer = httpx.post(f"{settings().prefect_api_url}{path}", json=body)
    answer.raise_for_status()
    return answer.json()


def eventually(check: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found is not None:
            return found
        time.sleep(0.3)
    raise AssertionError(f"nothing came of {check.__name__} in {seconds} seconds")


def told(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return lines without Prefect's own and without where a warning came from."""
    own = [line for line in lines if "Finished in state" not in line[1]]
    return [
        (level, text.split(": ")[-1].split("\n")[0] if "UserWarning" in text else text)
        for level, text in own
    ]


def test_what_a_body_tells_in_any_way_is_in_the_log_of_its_task_run_once(
    talkers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (sys.stdout, warnings.showwarning)

    finished = run("telling", key=7)

    # order among these is that of sending; Prefect shows them by their time
    assert sorted(told(logs(finished, "tell_all", "Finished"))) == [
        (20, "begun and ended"),
        (20, "logged 7"),
        (20, "printed 7"),
        (20, "said"),
        (20, "without an end"),
        (30, "a warning of others"),
        (30, "warned"),
    ]
    assert sorted(told(logs(finished, "tell_all_there", "Finished"))) == [
        (20, "logged there"),
        (20, "printed there"),
        (20, "said there"),
        (30, "warned there"),
    ]
    assert "printed 7\nbegun and ended\nwithout an end" in capsys.readouterr().out
    assert (sys.stdout, warnings.showwarning) == before
    assert not any("node_logs" in type(h).__module__ for h in logging.getLogger().handlers)
    assert logging.getLogger("talkers").level == logging.NOTSET


def test_bodies_that_run_at_a_time_have_a_log_each(talkers: Path) -> None:
    finished = run("telling_together")

    for node, name in (("tell_together", "one"), ("tell_together#2", "two")):
        texts = {text for _, text in told(logs(finished, node, "Finished"))}
        assert texts == {f"{name} {n}" for n in range(3)} | {f"{name} logs {n}" for n in range(3)}


@pytest.mark.parametrize("node", ["divide", "divide_there"])
def test_a_body_that_fails_leaves_its_traceback(talkers: Path, node: str) -> None:
    finished = run("dividing", by=0)

    ((level, text),) = [
        line for line in logs(finished, node, "Traceback") if "Traceback" in line[1]
    ]
    assert level == logging.ERROR
    assert "return 1 / by" in text
    assert "ZeroDivisionError: division by zero" in text
    assert "invoke.py" not in text.partition("In the process")[0]


def test_a_log_that_cannot_be_sent_as_it_is_fails_no_node(talkers: Path) -> None:
    finished = run("writing")

    lines = dict.fromkeys(text for _, text in told(logs(finished, "write_much", "still here")))
    assert finished.state == "completed"
    assert [text[-24:] for text in lines if text.startswith("xx")] == [
        "x … (2,000,000 characters)"[-24:]
    ]
