"""This module shows how a run goes: a line for each node that ends, and what runs meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from headrace.clock import current_clock

if TYPE_CHECKING:
    from flows._command._screen import Activity
    from headrace.execution import NodeOutcome
    from headrace.plan import Node, Plan

_COLUMNS = 120
_SECONDS_BETWEEN_LINES = 5.0
_MARKS = {"executed": "✓", "cached": "○", "skipped": "-", "failed": "✗", "waiting": "?"}


class Progress:
    """This watches a run for people.

    Args:
        shown: Where to write.
        quiet: Write nothing.
    """

    def __init__(self, shown: Activity, *, quiet: bool) -> None:
        self._shown, self._quiet = shown, quiet
        self._running: dict[str, Node] = {}
        self._total = self._done = self._width = 0
        self._lock = threading.Lock()
        self._said_at = float("-inf")

    def run_started(self, run_id: str, plan: Plan) -> None:
        """Say which run begins."""
        self._total, self._done = len(plan.nodes), 0
        self._width = max((len(node.path) for node in plan.nodes), default=0)
        if not self._quiet:
            self._shown.line(f"{plan.flow}: run:{run_id[:12]}, {self._total} nodes")

    def node_started(self, node: Node) -> None:
        """Say what runs."""
        with self._lock:
            self._running[node.path] = node
            self._say()

    def node_says(self, node: Node, text: str) -> None:
        """Show how far a node is; where lines stay, not more than one every few seconds."""
        with self._lock:
            if self._quiet:
                return
            self._shown.doing(f"{self._done}/{self._total} · {node.path}: {text}")
            now = current_clock().monotonic()
            if now - self._said_at >= _SECONDS_BETWEEN_LINES:
                self._said_at = now
                self._shown.happening(f"    {node.path}: {text}")

    def node_finished(self, node: Node, outcome: NodeOutcome) -> None:
        """Write how a node ended."""
        with self._lock:
            self._running.pop(node.path, None)
            self._done += 1
            if not self._quiet:
                mark = _MARKS[outcome.state]
                count = f"{self._done:>{len(str(self._total))}}/{self._total}"
                took = f"{outcome.seconds:6.1f} s"
                said = outcome.message.split("\n", 1)[0].removeprefix(f"{outcome.state}: ")
                head = f"  {mark} {count} {took}  {node.path:<{self._width}}  {outcome.state}"
                self._shown.line(shortened(f"{head}: {said}", outcome.state == "failed"))
            self._say()

    def _say(self) -> None:
        if not self._quiet and self._running:
            self._shown.doing(f"{self._done}/{self._total} · running {', '.join(self._running)}")


def shortened(line: str, whole: bool) -> str:
    """Return a line that fits a terminal; `headrace explain` has all of it."""
    return line if whole or len(line) <= _COLUMNS else f"{line[: _COLUMNS - 1]}…"
