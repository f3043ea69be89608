"""This module holds who is told about a run, and what a running body may know of where it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from headrace.errors import DefinitionError

if TYPE_CHECKING:
    from headrace.artifacts import Artifact
    from headrace.lineage import Approval, InvocationRecord, RunRecord


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
        """Close the record of a run; `state` is "completed", "failed", "paused" or "cancelled"."""
        ...


@dataclass(frozen=True, kw_only=True)
class Event:
    """This is something that happened, for whoever subscribed to it.

    Args:
        name: What happened, such as "headrace.model.promoted".
        resource: What it happened to, such as "headrace.model.flight_delay".
        payload: More, JSON-like.
    """

    name: str
    resource: str
    payload: Mapping[str, Any]


class WaitsForPerson(Exception):
    """This ends a body that cannot go on before a person has answered.

    Args:
        question: The question, as it was recorded.
    """

    def __init__(self, question: Approval) -> None:
        super().__init__(question.question)
        self.question = question


Announce = Callable[[Event], None]
Ask = Callable[[str, Mapping[str, str]], "Approval"]


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
        announce: Passes an event to those who subscribed; None when nobody can.
        ask: Passes a question to a person and returns it with its answer; None when nobody can.
    """

    run_id: str
    node: str
    flow: str
    mlflow_run_id: str | None = None
    prefect_run_id: str | None = None
    tell: Callable[[str], None] | None = None
    announce: Announce | None = None
    ask: Ask | None = None


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
        with invoking(None):  # what those who watch write is not the body's
            invocation.tell(text)


def announce(event: str, *, resource: str, **payload: Any) -> None:
    """Tell whoever subscribed that something happened; outside a run nobody hears it.

    Args:
        event: What happened, such as "headrace.model.promoted".
        resource: What it happened to, such as "headrace.model.flight_delay".
        **payload: More, JSON-like.
    """
    invocation = _invocation.get()
    if invocation is not None and invocation.announce is not None:
        invocation.announce(Event(name=event, resource=resource, payload=payload))


def ask_person(question: str, *, about: Mapping[str, str]) -> Approval:
    """Return a person's answer, from this or an earlier attempt of the run.

    Args:
        question: What is asked, in Markdown.
        about: What the answer is about: name to digest. An answer counts for these alone.

    Raises:
        WaitsForPerson: There is no answer yet; the run pauses and goes on when there is one.
        DefinitionError: The body is not running in a flow run.
    """
    invocation = _invocation.get()
    if invocation is None or invocation.ask is None:
        raise DefinitionError(
            "A person can be asked only while a flow runs.",
            remedy="Call the operator in a flow, and run that.",
        )
    asked = invocation.ask(question, about)
    if asked.approved is None:
        raise WaitsForPerson(asked)
    return asked


@contextlib.contextmanager
def invoking(invocation: Invocation | None) -> Iterator[None]:
    """Let the block run as an invocation."""
    token = _invocation.set(invocation)
    try:
        yield
    finally:
        _invocation.reset(token)
