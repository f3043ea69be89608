"""This module is the door to Prefect for runs: a flow run, and one task run for each node."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows._orchestration import asking
from flows._orchestration.asking import collect_answers, unanswered, wait_for_answer
from flows._orchestration.presence import answer_at, is_absence, server_lost
from flows._orchestration.task_runs import TaskRuns
from flows._orchestration.watching import PrefectObserver, emit
from flows._services.environment import apply_client_environment
from headrace.errors import HeadraceError, ServiceError
from headrace.execution import FlowRun, Observer, Session, run_plan
from headrace.execution.needs import require_needs
from headrace.settings import settings

if TYPE_CHECKING:
    import prefect
    from prefect.client.schemas.objects import FlowRun as PrefectRun
    from prefect.client.schemas.objects import State

    from headrace.lineage import Approval, RunRecord
    from headrace.plan import Plan
    from headrace.workflow import Flow


TAG = "headrace"
"""The tag by which our runs and deployments are known in Prefect."""


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """This is how a run is carried out: from where, watched by whom, and as which run."""

    origin: str = "prefect"
    observers: tuple[Observer, ...] = ()
    plan: Plan | None = None
    run_id: str | None = None
    done: Callable[[FlowRun], None] = lambda run: None


def run_flow(
    flow: Flow[..., Any],
    arguments: Mapping[str, Any],
    *,
    observers: tuple[Observer, ...] = (),
    origin: str = "command line",
    seed: int | None = None,
) -> FlowRun:
    """Run a flow in this process, seen in Prefect and logged in MLflow.

    What is wrong with its parameters or its plan is refused before a run exists.

    Args:
        flow: The flow.
        arguments: Its parameters by name.
        observers: Who watches.
        origin: How it was started.
        seed: The seed of the run; None takes the parameter `seed`, or 0.

    Raises:
        ParameterError: A parameter is unknown, missing or wrong.
        PlanError: The flow does not fit together.
        ServiceError: A server does not answer.
    """
    return _carried_out(flow, arguments, observers=observers, origin=origin, seed=seed)


def resume_flow(
    flow: Flow[..., Any], run: RunRecord, *, observers: tuple[Observer, ...] = ()
) -> FlowRun:
    """Take a run up again in this process, as the same run everywhere.

    What is done is reused, in Prefect and MLflow it goes on where it stopped, and effects look
    whether all is as it should be.

    Args:
        flow: The flow as it is now.
        run: The run, which is not running.
        observers: Who watches.

    Raises:
        ParameterError: The flow does not take the run's parameters any more.
        PlanError: The flow does not fit together.
        ServiceError: A server does not answer.
    """
    return _carried_out(
        flow,
        run.parameters,
        observers=observers,
        origin="command line",
        seed=run.seed,
        taken_up=run,
    )


def _carried_out(
    flow: Flow[..., Any],
    arguments: Mapping[str, Any],
    *,
    observers: tuple[Observer, ...],
    origin: str,
    seed: int | None,
    taken_up: RunRecord | None = None,
) -> FlowRun:
    checked = flow.parameters.check(arguments)
    plan = flow.plan_with(checked, seed=seed).require_sound()
    require_servers()
    require_needs(plan)  # before Prefect knows of a run
    apply_client_environment()
    from prefect.flow_engine import run_flow as run_in_prefect
    from prefect.settings import get_current_settings

    # the heartbeat's thread is waited for in steps of a second at the end of each flow run; here
    # the keeper notices a process that is gone (flows/_orchestration/keeping.py)
    get_current_settings().flows.heartbeat_frequency = None
    quiet_console()
    finished: list[FlowRun] = []
    attempt = _Attempt(
        origin=origin,
        observers=observers,
        plan=plan,
        run_id=None if taken_up is None else taken_up.id,
        done=finished.append,
    )
    known = _prefect_flow(flow, attempt)
    parameters = {"parameters": flow.parameters.model(**checked)}
    try:
        in_prefect = (taken_up and _made_ready(taken_up)) or _created(known, parameters)
        state: State[Any] = run_in_prefect(  # type: ignore[assignment]  # typed by the body's None
            known, flow_run=in_prefect, parameters=parameters, return_type="state"
        )
    except Exception as error:
        if not is_absence(error):
            raise
        server_lost.set()
        if finished:  # it could not be told the end; the keeper will
            return finished[0]
        raise ServiceError(
            "The Prefect server went away.",
            remedy="Start it with `headrace up`, then `headrace resume latest:"
            f"{flow.name}`; what is done is kept.",
        ) from error
    if finished:
        return finished[0]
    state.result(raise_on_failure=True)
    raise ServiceError(
        f"Prefect ended the run of '{flow.name}' as {state.name}: {state.message}",
        remedy="Look at the run in the Prefect UI.",
    )


def _created(known: prefect.Flow[..., Any], parameters: dict[str, Any]) -> PrefectRun:
    """Return a new flow run; its tag is on it alone, because tags of task runs cost requests."""
    from prefect.client.orchestration import get_client
    from prefect.states import Pending

    # as Prefect would write them, whose way to do so imports FastAPI
    plain = {name: value.model_dump(mode="json") for name, value in parameters.items()}
    with get_client(sync_client=True) as client:
        return client.create_flow_run(
            known,
            parameters=plain,
            tags=[TAG],
            state=Pending(),
        )


def resume_waiting(prefect_run_id: str, answered: Approval, *, has_process: bool) -> bool:
    """Fill in the form of a run that waits in Prefect; see `asking.resume_waiting`."""
    apply_client_environment()
    return asking.resume_waiting(prefect_run_id, answered, has_process=has_process)


def _made_ready(run: RunRecord) -> PrefectRun | None:
    """Return the run in Prefect, ready to be run here; None when Prefect has it no more."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Pending

    if run.prefect_run_id is None:
        return None
    found = UUID(run.prefect_run_id)
    with get_client(sync_client=True) as client:
        try:
            # Scheduled would be taken by the runner; forced, because the run may have ended
            client.set_flow_run_state(found, Pending(name="Resuming"), force=True)
            return client.read_flow_run(found)
        except ObjectNotFound:
            return None


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
    # what its background threads say of a server that is away; `presence` has it
    for handler in logging.getLogger("prefect._internal").handlers:
        handler.setLevel(logging.CRITICAL)


def require_servers() -> None:
    """Refuse to go on unless Prefect and MLflow answer.

    Raises:
        ServiceError: One of them does not.
    """
    configured = settings()
    for title, address in (
        ("Prefect", f"{configured.prefect_api_url}/health"),
        ("MLflow", f"{configured.mlflow_url}/health"),
    ):
        answer = answer_at(address)
        if answer != "200":
            raise ServiceError(
                f"The {title} server at {address.rsplit('/', 1)[0]} does not answer ({answer}).",
                remedy="Start it with `headrace up`, or run without servers: "
                "`headrace run --local ...`.",
            )


def prefect_flow(flow: Flow[..., Any]) -> prefect.Flow[..., Any]:
    """Return a flow as Prefect knows it: one parameter, a model that forbids unknown names."""
    return _prefect_flow(flow, _Attempt())


def _prefect_flow(flow: Flow[..., Any], attempt: _Attempt) -> prefect.Flow[..., Any]:
    import prefect
    from prefect.states import Failed

    model = flow.parameters.model
    required = any(f.is_required() for f in model.model_fields.values())

    def body(parameters: Any) -> State[Any]:
        try:
            plan = attempt.plan or flow.plan_with(dict(parameters)).require_sound()
        except HeadraceError as error:  # what the launch form could not see, said in the same words
            return Failed(message=str(error))
        return _run(plan, attempt)

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


def _run(plan: Plan, attempt: _Attempt) -> State[Any]:
    from prefect.context import FlowRunContext
    from prefect.states import Failed

    from flows.tracking import MlflowRunLog

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise ServiceError("Prefect started no flow run.", remedy="Run it through Prefect.")
    in_prefect = str(context.flow_run.id)
    # a run that the runner started can be started by it again; any other has only this process
    in_place = attempt.origin != "prefect" or context.flow_run.deployment_id is None
    try:
        log = MlflowRunLog()
        session = Session.of_settings(
            run_id=attempt.run_id or in_prefect.replace("-", ""),
            prefect_run_id=in_prefect,
            origin=attempt.origin,
            runner=TaskRuns(),
            observers=(PrefectObserver(log), *attempt.observers),
            announce=emit,
            log=log,
        )
        finished = _finished(plan, session, in_place=in_place)
    except HeadraceError as error:
        if attempt.origin != "prefect":
            raise
        return Failed(message=str(error))
    _let_go_of_lost_server()
    links = log.links(finished.id)
    addresses = {
        "Prefect run": f"{settings().prefect_url}/runs/flow-run/{in_prefect}",
        "MLflow run": links.run,
        "MLflow comparison": links.experiment,
    }
    attempt.done(replace(finished, links=addresses))
    return _state_of(finished)


def _let_go_of_lost_server() -> None:
    """Let Prefect's client not wait a minute and a half to say the end to a server that is away."""
    from prefect.settings import get_current_settings

    if answer_at(f"{settings().prefect_api_url}/health") != "200":
        server_lost.set()
        get_current_settings().client.max_retries = 0


def _finished(plan: Plan, session: Session, *, in_place: bool) -> FlowRun:
    """Run a plan until nothing in it waits for a person."""
    run_id, in_prefect = str(session.run_id), str(session.prefect_run_id)
    while True:
        collect_answers(session.lineage, run_id, in_prefect)
        finished = run_plan(plan, session)
        if finished.state != "paused":
            return finished
        question = unanswered(session.lineage, run_id)[0]
        for observer in session.observers:
            observer.node_says(
                plan.node(question.node.partition("[")[0]),
                f"waits for an answer at {settings().prefect_url}/runs/flow-run/{in_prefect} "
                f"(Resume) or by `headrace approve run:{run_id[:12]}`",
            )
        wait_for_answer(session.lineage, question, in_place=in_place)


def _state_of(finished: FlowRun) -> State[Any]:
    from prefect.states import Completed, Failed

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
