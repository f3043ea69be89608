"""This module holds who is told about a run, and what a running body may know of where it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from headrace.artifacts import Artifact
    from headrace.lineage import InvocationRecord, RunRecord


class RunLog(Protocol):
    """This is told what happens in a run and records it for people: MLflow is behind one."""

    def run_started(self, run: RunRecord, plan_summary: Mapping[str, Any]) -> str | None:
        """Open the record of a run; returns its id in the log, None when it keeps none."""
        ...

    def node_finished(
        self,
        run: RunRecord,
        invocation: InvocationRecord,
        outputs: Mapping[str, Artifact],
        inputs: Mapping[str, Artifact | list[Artifact]],
    ) -> None:
        """Record a node that was executed, reused or has failed; called from several threads."""
        ...

    def run_finished(
        self, run: RunRecord, state: str, message: str, summary: Mapping[str, Any]
    ) -> None:
        """Close the record of a run; `state` is "completed" or "failed"."""
        ...


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """This is the invocation that is running: what an effect may tell its door.

    Args:
        run_id: The flow run.
        node: Path of the node.
        flow: Name of the flow.
        mlflow_run_id: The run in MLflow, None when nothing is logged.
        prefect_run_id: The flow run in Prefect, None outside it.
        tell: Passes a line about how far it is to those who watch; None when nobody does.
    """

    run_id: str
    node: str
    flow: str
    mlflow_run_id: str | None = None
    prefect_run_id: str | None = None
    tell: Callable[[str], None] | None = None


_invocation: ContextVar[Invocation | None] = ContextVar("headrace_invocation", default=None)


def current_invocation() -> Invocation | None:
    """Return the invocation whose body is running, None in a REPL or a test."""
    return _invocation.get()


def say(text: str) -> None:
    """Tell those who watch the run how far the running body is; outside a run nobody hears it.

    Args:
        text: One short line, such as "12,000 of 55,000 flights, 2013-11-14".
    """
    invocation = _invocation.get()
    if invocation is not None and invocation.tell is not None:
        invocation.tell(text)


@contextlib.contextmanager
def invoking(invocation: Invocation | None) -> Iterator[None]:
    """Let the block run as an invocation."""
    token = _invocation.set(invocation)
    try:
        yield
    finally:
        _invocation.reset(token)
