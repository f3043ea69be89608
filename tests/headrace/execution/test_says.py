"""A running body may say how far it is, and those who watch the run hear it, and nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headrace import Report, flow, operator
from headrace.execution import Session, run_plan
from headrace.recording import say


class Listener:
    """This watches runs and remembers what nodes said."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def run_started(self, run_id: str, plan: Any) -> None:
        """Nothing is remembered of this."""

    def node_started(self, node: Any) -> None:
        """Nothing is remembered of this."""

    def node_finished(self, node: Any, outcome: Any) -> None:
        """Nothing is remembered of this."""

    def node_says(self, node: Any, text: str) -> None:
        self.heard.append((node.path, text))


@operator()
def count(*, until: int) -> Report:
    """Count, aloud."""
    for number in range(1, until + 1):
        say(f"{number} of {until}")
    return Report.of({"passed": True})


@flow
def counting(until: int = 2) -> Report:
    """Count."""
    return count(until=until)


def test_what_a_body_says_reaches_all_who_watch_with_its_node(home: Path) -> None:
    listeners = Listener(), Listener()

    run_plan(counting.plan(), Session.of_settings(observers=listeners))

    assert [each.heard for each in listeners] == 2 * [[("count", "1 of 2"), ("count", "2 of 2")]]


def test_a_node_that_is_reused_says_nothing(home: Path) -> None:
    run_plan(counting.plan(), Session.of_settings())
    listener = Listener()

    run_plan(counting.plan(), Session.of_settings(observers=[listener]))

    assert listener.heard == []


def test_outside_a_run_nobody_hears_it() -> None:
    assert count(until=1).document == {"passed": True}
