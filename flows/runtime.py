"""This module is the door to Prefect for runs: a flow run, and one task run for each node."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from flows._services.environment import apply_client_environment
from headrace.errors import HeadraceError, ServiceError
from headrace.execution import FlowRun, NodeOutcome, Observer, Session, run_plan
from headrace.settings import settings

if TYPE_CHECKING:
    import prefect
    from prefect.client.schemas.objects import State

    from flows.tracking import MlflowRunLog
    from headrace.plan import Node, Plan
    from headrace.workflow import Flow

# Which node this thread runs, and its work: Prefect's tasks are made once for each operator.
_current: ContextVar[tuple[str, Callable[[], NodeOutcome]]] = ContextVar("headrace_node")
_STATE_NAMES = {"cached": "Cached", "skipped": "Skipped"}


def run_flow(
    flow: Flow[..., Any],
    arguments: Mapping[str, Any],
    *,
    observers: tuple[Observer, ...] = (),
    origin: str = "command line",
) -> FlowRun:
    """Run a flow in this process, seen in Prefect and logged in MLflow.

    What is wrong with its parameters or its plan is refused before a run exists.

    Args:
        flow: The flow.
        arguments: Its parameters by name.
        observers: Who watches.
        origin: How it was started.

    Raises:
        ParameterError: A parameter is unknown, missing or wrong.
        PlanError: The flow does not fit together.
        ServiceError: A server does not answer.
    """
    checked = flow.parameters.check(arguments)
    plan = flow.plan_with(checked).require_sound()
    require_servers()
    apply_client_environment()
    from prefect.settings import get_current_settings

    # the heartbeat's thread is waited for in steps of a second at the end of each flow run; here
    # the caller watches, and sees a crash itself
    get_current_settings().flows.heartbeat_frequency = None
    quiet_console()
    finished: list[FlowRun] = []
    wrapped = prefect_flow(
        flow, plan=plan, observers=observers, origin=origin, done=finished.append
    )
    state: State[Any] = wrapped(parameters=flow.parameters.model(**checked), return_state=True)  # type: ignore[assignment]  # Prefect types it by the body's None
    if finished:
        return finished[0]
    state.result(raise_on_failure=True)
    raise ServiceError(
        f"Prefect ended the run of '{flow.name}' as {state.name}: {state.message}",
        remedy="Look at the run in the Prefect UI.",
    )


@functools.cache
def quiet_console() -> None:
    """Keep Prefect's own lines off the terminal, where the observers speak; its UI has them."""
    from prefect.logging.configuration import setup_logging
    from prefect.logging.handlers import PrefectConsoleHandler

    setup_logging()
    for name in ("", *logging.root.manager.loggerDict):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.setLevel(logging.CRITICAL)


def require_servers() -> None:
    """Refuse to go on unless Prefect and MLflow answer.

    Raises:
        ServiceError: One of them does not.
    """
    import httpx

    configured = settings()
    for title, address in (
        ("Prefect", f"{configured.prefect_api_url}/health"),
        ("MLflow", f"{configured.mlflow_url}/health"),
    ):
        try:
            answer = str(httpx.get(address, timeout=10, trust_env=False).status_code)
        except httpx.HTTPError as error:
            answer = type(error).__name__
        if answer != "200":
            raise ServiceError(
                f"The {title} server at {address.rsplit('/', 1)[0]} does not answer ({answer}).",
                remedy="Start it with `headrace up`, or run without servers: "
                "`headrace run --local ...`.",
            )


def prefect_flow(
    flow: Flow[..., Any],
    *,
    plan: Plan | None = None,
    observers: tuple[Observer, ...] = (),
    origin: str = "prefect",
    done: Callable[[FlowRun], None] = lambda run: None,
) -> prefect.Flow[..., Any]:
    """Return a flow as Prefect knows it: one parameter, a model that forbids unknown names.

    Args:
        flow: The flow.
        plan: The plan of the run to come, if it is made; None plans when the run starts.
        observers: Who watches.
        origin: How runs are started.
        done: Is given the finished run.
    """
    import prefect
    from prefect.states import Failed

    model = flow.parameters.model
    required = any(f.is_required() for f in model.model_fields.values())

    def body(parameters: Any) -> State[Any]:
        try:
            planned = plan or flow.plan_with(dict(parameters)).require_sound()
        except HeadraceError as error:  # what the launch form could not see, said in the same words
            return Failed(message=str(error))
        return _run(planned, observers=observers, origin=origin, done=done)

    body.__name__ = body.__qualname__ = flow.name
    body.__module__ = flow.module
    body.__doc__ = flow.body.__doc__
    body.__annotations__ = {"parameters": model}
    if not required:
        body.__defaults__ = (model(),)
    return prefect.flow(
        name=flow.name,
        description=flow.body.__doc__,
        persist_result=False,
        validate_parameters=False,  # ours says the same everywhere; the schema stays
    )(body)


def _run(
    plan: Plan,
    *,
    observers: tuple[Observer, ...],
    origin: str,
    done: Callable[[FlowRun], None],
) -> State[Any]:
    from prefect.context import FlowRunContext
    from prefect.states import Completed, Failed

    from flows.tracking import MlflowRunLog

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise ServiceError("Prefect started no flow run.", remedy="Run it through Prefect.")
    run_id = str(context.flow_run.id)
    try:
        log = MlflowRunLog()
        session = Session.of_settings(
            run_id=run_id.replace("-", ""),
            prefect_run_id=run_id,
            origin=origin,
            runner=TaskRuns(),
            observers=(_LinkToMlflow(log), *observers),
            log=log,
        )
        finished = run_plan(plan, session)
    except HeadraceError as error:
        if origin != "prefect":
            raise
        return Failed(message=str(error))
    links = log.links(finished.id)
    addresses = {
        "Prefect run": f"{settings().prefect_url}/runs/flow-run/{run_id}",
        "MLflow run": links.run,
        "MLflow comparison": links.experiment,
    }
    done(replace(finished, links=addresses))
    counts = ", ".join(
        f"{n} {state}"
        for state in ("executed", "cached", "skipped", "failed")
        if (n := finished.count(state))
    )
    message = f"run:{finished.id[:12]}: {counts}"
    if finished.state == "completed":
        return Completed(message=message)
    failed = "\n".join(
        f"{o.path}: {o.message}" for o in finished.outcomes.values() if o.state == "failed"
    )
    return Failed(message=f"{message}\n{failed}")


class _LinkToMlflow:
    """This joins the Prefect run to its record in MLflow, as soon as there is one."""

    def __init__(self, log: MlflowRunLog) -> None:
        self._log = log

    def run_started(self, run_id: str, plan: Plan) -> None:
        """Put the address on the Prefect run and into its log."""
        from prefect import get_run_logger
        from prefect.artifacts import create_link_artifact

        address = self._log.links(run_id).run
        get_run_logger().info("MLflow run: %s", address)
        create_link_artifact(
            link=address, link_text="MLflow run", key="mlflow-run", description=f"run:{run_id}"
        )

    def node_started(self, node: Node) -> None:
        """Nothing to join."""

    def node_says(self, node: Node, text: str) -> None:
        """Put what a body says into the log of its task run."""
        from prefect import get_run_logger

        get_run_logger().info(text)

    def node_finished(self, node: Node, outcome: NodeOutcome) -> None:
        """Nothing to join."""


class TaskRuns:
    """This runs each node as a Prefect task run, joined to those it waited for."""

    def __init__(self) -> None:
        self._ids: dict[str, UUID] = {}
        self._tasks: dict[str, prefect.Task[..., Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, node: Node, work: Callable[[], NodeOutcome]) -> NodeOutcome:
        """Do the work of a node inside a task run of its name."""
        from prefect.client.schemas.objects import RunInput, TaskRunResult
        from prefect.task_engine import run_task_sync

        outcomes: list[NodeOutcome] = []

        def remembered() -> NodeOutcome:
            outcomes.append(work())
            return outcomes[0]

        with self._lock:
            task = self._task(node)
            before = [self._ids[path] for path in node.upstream() if path in self._ids]
        # Prefect draws its graph from these ids; given as states to wait for, it would look into
        # each, and not run a task behind a failed one
        joined: dict[str, set[RunInput]] = {"after": {TaskRunResult(id=run) for run in before}}
        _current.set((node.path, remembered))  # in this thread's copy of the context
        state = cast(
            "State[Any]",
            run_task_sync(task, parameters={"after": ()}, return_type="state", dependencies=joined),
        )
        with self._lock:
            if state.state_details.task_run_id is not None:
                self._ids[node.path] = state.state_details.task_run_id
        if not outcomes:  # Prefect did not come to the body, or lost its server on the way
            raise ServiceError(
                f"Prefect ended the task run '{node.path}' as {state.name}: {state.message}",
                remedy="Look at the run in the Prefect UI and run it again; what is done is kept.",
            )
        return outcomes[0]

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
                persist_result=False,
                tags=["effect"] if node.effect else [],
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
