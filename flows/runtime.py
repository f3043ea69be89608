"""This module is the door to Prefect for runs: a flow run, and one task run for each node."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flows._services.environment import apply_client_environment
from headrace.errors import HeadraceError, ServiceError
from headrace.execution import FlowRun, NodeOutcome, Observer, Session, run_plan
from headrace.settings import settings

if TYPE_CHECKING:
    import prefect
    from prefect.client.schemas.objects import State

    from flows.tracking import MlflowRunLog
    from headrace.plan import Node
    from headrace.workflow import Flow

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
    flow.plan_with(arguments).require_sound()
    require_servers()
    apply_client_environment()
    from prefect.settings import get_current_settings

    # the heartbeat's thread is waited for in steps of a second at the end of each flow run; here
    # the caller watches, and sees a crash itself
    get_current_settings().flows.heartbeat_frequency = None
    _quiet_console()
    finished: list[FlowRun] = []
    wrapped = prefect_flow(flow, observers=observers, origin=origin, done=finished.append)
    state: State[Any] = wrapped(parameters=flow.parameters.model(**checked), return_state=True)  # type: ignore[assignment]  # Prefect types it by the body's None
    if finished:
        return finished[0]
    state.result(raise_on_failure=True)
    raise ServiceError(
        f"Prefect ended the run of '{flow.name}' as {state.name}: {state.message}",
        remedy="Look at the run in the Prefect UI.",
    )


def _quiet_console() -> None:
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
    observers: tuple[Observer, ...] = (),
    origin: str = "prefect",
    done: Callable[[FlowRun], None] = lambda run: None,
) -> prefect.Flow[..., Any]:
    """Return a flow as Prefect knows it: one parameter, a model that forbids unknown names.

    Args:
        flow: The flow.
        observers: Who watches.
        origin: How runs are started.
        done: Is given the finished run.
    """
    import prefect

    model = flow.parameters.model
    required = any(f.is_required() for f in model.model_fields.values())

    def body(parameters: Any) -> State[Any]:
        return _run(flow, dict(parameters), observers=observers, origin=origin, done=done)

    body.__name__ = body.__qualname__ = flow.name
    body.__module__ = flow.module
    body.__doc__ = flow.body.__doc__
    body.__annotations__ = {"parameters": model}
    if not required:
        body.__defaults__ = (model(),)
    return prefect.flow(
        name=flow.name, description=flow.body.__doc__, flow_run_name=None, persist_result=False
    )(body)


def _run(
    flow: Flow[..., Any],
    arguments: Mapping[str, Any],
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
        plan = flow.plan_with(arguments).require_sound()
        log = MlflowRunLog()
        session = Session.of_settings(
            run_id=run_id.replace("-", ""),
            prefect_run_id=run_id,
            origin=origin,
            runner=_TaskRuns(),
            observers=observers,
            log=log,
            links={"Prefect run": f"{settings().prefect_url}/runs/flow-run/{run_id}"},
        )
        finished = _with_links(run_plan(plan, session), log)
    except HeadraceError as error:
        if origin != "prefect":
            raise
        return Failed(message=str(error))
    done(finished)
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


def _with_links(run: FlowRun, log: MlflowRunLog) -> FlowRun:
    """Return the run with the addresses of its records, and join the two records to each other."""
    from prefect.artifacts import create_link_artifact

    links = log.links(run.id)
    create_link_artifact(
        link=links.run, link_text="MLflow run", description=f"Headrace run:{run.id}"
    )
    added = {"MLflow run": links.run, "MLflow comparison": links.experiment}
    return replace(run, links={**run.links, **added})


class _TaskRuns:
    """This runs each node as a Prefect task run, joined to those it waited for."""

    def __init__(self) -> None:
        self._states: dict[str, State[Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, node: Node, work: Callable[[], NodeOutcome]) -> NodeOutcome:
        import prefect
        from prefect.cache_policies import NO_CACHE
        from prefect.states import Completed, Failed

        outcomes: list[NodeOutcome] = []

        def body() -> State[Any]:
            outcome = work()
            outcomes.append(outcome)
            if outcome.state == "failed":
                return Failed(message=outcome.message)
            name = _STATE_NAMES.get(outcome.state)
            return Completed(name=name, message=outcome.message)

        operator = node.operator
        body.__name__ = body.__qualname__ = "handed_in" if operator is None else operator.name
        task = prefect.task(
            name=body.__name__,
            description=None if operator is None else operator.body.__doc__,
            task_run_name=node.path,
            cache_policy=NO_CACHE,
            persist_result=False,
            tags=["effect"] if node.effect else [],
        )(body)
        with self._lock:
            # Prefect draws its graph from these; it would not run a task behind a failed one
            before = [
                self._states[path]
                for path in node.upstream()
                if path in self._states and self._states[path].is_completed()
            ]
        state = task(wait_for=before, return_state=True)
        with self._lock:
            self._states[node.path] = state
        if not outcomes:  # Prefect did not come to the body, or lost its server on the way
            raise ServiceError(
                f"Prefect ended the task run '{node.path}' as {state.name}: {state.message}",
                remedy="Look at the run in the Prefect UI and run it again; what is done is kept.",
            )
        return outcomes[0]
