"""What a body in a process of its own says, prints and logs arrives in the process of the run."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from headrace.execution import NodeOutcome, Session, run_plan
from headrace.execution.channel import Lines, Telling, listening
from headrace.plan import Node, Plan
from headrace.recording import Event, Invocation, invoking, say
from headrace.settings import using_settings

BODIES = dedent(
    '''
    """Bodies that talk in a process of their own."""

    from __future__ import annotations

    import logging
    import time
    import warnings
    from pathlib import Path

    from headrace import Report, flow, operator
    from headrace.recording import announce, say


    @operator(timeout=60)
    def talk(*, heard: str) -> Report:
        """Talk, and go on when it was heard."""
        say("half way")
        while not Path(heard).exists():
            time.sleep(0.05)
        print("two\\nlines", end="")
        logging.getLogger(__name__).info("the stones turn")
        logging.getLogger("somebody.else").info("chatter")
        warnings.warn("dust", stacklevel=1)
        announce("mill.ground", resource="mill", tons=3)
        return Report.of({})


    @operator(timeout=60)
    def fail() -> Report:
        """Fail."""
        return Report.of({"share": 1 / 0})


    @flow
    def talking(*, heard: str) -> Report:
        """Talk."""
        return talk(heard=heard)


    @flow
    def failing() -> Report:
        """Fail."""
        return fail()
    '''
)


class Watcher:
    """This writes down what bodies say, and makes a file when it hears something."""

    def __init__(self, mark: Path) -> None:
        self.heard: list[tuple[str, str]] = []
        self._mark = mark

    def run_started(self, run_id: str, plan: Plan) -> None: ...

    def node_started(self, node: Node) -> None: ...

    def node_says(self, node: Node, text: str) -> None:
        self.heard.append((node.path, text))
        self._mark.touch()

    def node_finished(self, node: Node, outcome: NodeOutcome) -> None: ...


@pytest.fixture
def talkers(tmp_path: Path) -> Iterator[Path]:
    """Make a package of bodies that any process can import."""
    root = tmp_path / "talking_bodies"
    root.mkdir()
    (root / "__init__.py").touch()
    (root / "bodies.py").write_text(BODIES, encoding="utf-8")
    sys.path.insert(0, str(tmp_path))
    with using_settings(home=tmp_path / "home", roots=[root]):
        yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "talking_bodies"]:
        del sys.modules[name]


def test_what_it_tells_in_any_way_is_heard_while_it_runs(
    talkers: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    from talking_bodies import bodies

    watcher, events = Watcher(talkers / "heard"), list[Event]()
    caplog.set_level(logging.INFO, "talking_bodies")

    finished = run_plan(
        bodies.talking.plan(heard=str(talkers / "heard")),
        Session.of_settings(observers=[watcher], announce=events.append),
    )

    assert finished.state == "completed"  # it went on only because it was heard
    assert watcher.heard == [("talk", "half way")]
    assert events == [Event(name="mill.ground", resource="mill", payload={"tons": 3})]
    crossed = [(r.name, r.levelname, r.getMessage().split("\n")[0]) for r in caplog.records]
    assert crossed[:3] == [
        ("talking_bodies.bodies", "INFO", "two"),
        ("talking_bodies.bodies", "INFO", "the stones turn"),
        ("py.warnings", "WARNING", crossed[2][2]),
    ]
    assert crossed[2][2].endswith("UserWarning: dust")
    assert crossed[3:] == [("talking_bodies.bodies", "INFO", "lines")]  # it had no end
    assert capfd.readouterr().out == "two\nlines"  # the terminal has it, too


def test_its_error_brings_the_traceback_from_the_body_on(talkers: Path) -> None:
    from talking_bodies import bodies

    error = run_plan(bodies.failing.plan(), Session.of_settings()).outcomes["fail"].error

    assert isinstance(error, ZeroDivisionError)
    (note,) = error.__notes__
    assert note.startswith("In the process of its own:\nTraceback (most recent call last):\n")
    assert 'Report.of({"share": 1 / 0})' in note
    assert "headrace/execution" not in note


def test_a_parent_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    telling = Telling(writing, "mill.body")

    with telling.hearing():
        written = sys.stdout.write("to nobody\n")

    assert written == len("to nobody\n")
    os.close(writing)


def test_a_listener_that_fails_does_not_stop_what_comes_after_it() -> None:
    told: list[str] = []

    def hear(text: str) -> None:
        if text == "bad":
            raise RuntimeError("cannot hear this")
        told.append(text)

    here = Invocation(run_id="r", node="n", flow="f", tell=hear)
    with listening(here) as pipe:
        os.write(pipe, b"this is no JSON\n")
        with invoking(Telling(pipe, "m").over(here)):
            say("good")
            say("bad")
            say("good again")

    assert told == ["good", "good again"]


def test_lines_are_handed_over_whole_and_written_as_they_come() -> None:
    below, handed = io.StringIO(), []
    lines = Lines(below, handed.append)

    for text in ("one", " two\nthree\n", "", "four"):
        lines.write(text)
    before = list(handed)
    lines.rest()
    lines.rest()

    assert before == ["one two", "three"]
    assert handed == ["one two", "three", "four"]
    assert below.getvalue() == "one two\nthree\nfour"
