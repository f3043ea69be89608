"""This module runs each node as a Prefect task run, joined to those it waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from flows._orchestration.node_logs import logged
from flows._orchestration.presence import is_absence, server_lost
from headrace.errors import ServiceError
from headrace.execution import NodeOutcome

if TYPE_CHECKING:
    import prefect
    from prefect.client.schemas.objects import State

    from headrace.plan import Node

# Which node this thread runs, and its work: Prefect's tasks are made once for each operator.
_current: ContextVar[tuple[str, Callable[[], NodeOutcome]]] = ContextVar("headrace_node")
_STATE_NAMES = {"cached": "Cached", "skipped": "Skipped", "waiting": "Waiting"}
_FINISHED = ("executed", "cached", "skipped")


class TaskRuns:
    """This runs each node as a Prefect task run, joined to those it waited for."""

    def __init__(self) -> None:
        self._ids: dict[str, UUID] = {}
        self._tasks: dict[str, prefect.Task[..., Any]] = {}
        self._finished: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, node: Node, work: Callable[[], NodeOutcome]) -> NodeOutcome:
        """Do the work of a node inside a task run of its name.

        A run that goes on in this process after an answer shows no node a second time, and one
        whose server is lost goes on without task runs.
        """
        if node.path in self._finished or server_lost.is_set():
            return work()
        outcomes: list[NodeOutcome] = []

        def remembered() -> NodeOutcome:
            outcomes.append(logged(node, work))
            return outcomes[0]

        _current.set((node.path, remembered))  # in this thread's copy of the context
        try:
            state = self._ran(node)
        except Exception as error:
            if not is_absence(error):
                raise
            server_lost.set()
            return outcomes[0] if outcomes else work()
        with self._lock:
            if state.state_details.task_run_id is not None:
                self._ids[node.path] = state.state_details.task_run_id
        if not outcomes:  # Prefect did not come to the body
            raise ServiceError(
                f"Prefect ended the task run '{node.path}' as {state.name}: {state.message}",
                remedy="Look at the run in the Prefect UI and run it again; what is done is kept.",
            )
        if outcomes[0].state in _FINISHED:
            self._finished.add(node.path)
        return outcomes[0]

    def _ran(self, node: Node) -> State[Any]:
        """Let Prefect run the task of a node, and return the state that it ended in."""
        from prefect.client.schemas.objects import RunInput, TaskRunResult
        from prefect.task_engine import run_task_sync

        with self._lock:
            task = self._task(node)
            before = [self._ids[path] for path in node.upstream() if path in self._ids]
        # Prefect draws its graph from these ids; given as states to wait for, it would look into
        # each, and not run a task behind a failed one
        joined: dict[str, set[RunInput]] = {"after": {TaskRunResult(id=run) for run in before}}
        return cast(
            "State[Any]",
            run_task_sync(task, parameters={"after": ()}, return_type="state", dependencies=joined),
        )

    def _task(self, node: Node) -> prefect.Task[..., Any]:
        """Return the operator as Prefect knows it; making one takes longer than running it."""
        import prefect
        from prefect.cache_policies import NO_CACHE

        operator = node.operator
        name = "handed_in" if operator is None else operator.name
        if name not in self._tasks:

            def body(after: tuple[()]) -> State[Any]:
                return _task_body()

            body.__name__ = body.__qualname__ = name
            self._tasks[name] = prefect.task(
                name=name,
                description=None if operator is None else operator.body.__doc__,
                task_run_name=_task_run_name,
                cache_policy=NO_CACHE,
                persist_result=False,  # no tags: for each, the server is asked for a limit
            )(body)
        return self._tasks[name]


def _task_run_name() -> str:
    return _current.get()[0]


def _task_body() -> State[Any]:
    from prefect.states import Completed, Failed

    outcome = _current.get()[1]()
    if outcome.state == "failed":
        return Failed(message=outcome.message)
    return Completed(name=_STATE_NAMES.get(outcome.state), message=outcome.message)
