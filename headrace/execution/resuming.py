"""This module takes up a run that stopped, as the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.errors import DefinitionError, ParameterError
from headrace.execution.abandoned import close_abandoned
from headrace.execution.executor import run_plan
from headrace.execution.session import Observer, Session
from headrace.lineage.records import RunRecord

if TYPE_CHECKING:
    from headrace.execution.outcome import FlowRun
    from headrace.lineage import Lineage
    from headrace.workflow import Flow


def resumable_run(lineage: Lineage, ref: str) -> RunRecord:
    """Return the run that a reference names, if it can be taken up.

    Args:
        lineage: Where runs are recorded; those whose process is gone are closed first.
        ref: `run:<id>`, `latest:<flow>`, or the beginning of an id.

    Raises:
        UnknownNameError: Nothing has this name.
        ParameterError: It is no run, it is complete, it runs at this moment, or it waits for an
            answer that nobody has given.
    """
    close_abandoned(lineage)
    found = lineage.resolve(ref)
    if not isinstance(found, RunRecord):
        raise ParameterError(f"'{ref}' is no run.", remedy="Name one, as `headrace runs` lists it.")
    name = f"run:{found.id[:12]}"
    if found.state == "completed":
        raise ParameterError(
            f"{name} is complete; there is nothing to take up.",
            remedy=f"Run it anew with `headrace runs rerun {name}`; what is known is reused.",
        )
    if found.state == "running":
        machine = found.machine
        raise ParameterError(
            f"{name} is running, in process {machine.get('pid')} on {machine.get('host')}.",
            remedy="Wait for it, or end that process first.",
        )
    asked = [a for a in lineage.approvals(found.id) if a.approved is None]
    if found.state == "paused" and asked and found.prefect_run_id is None:
        raise ParameterError(
            f"{name} waits for an answer at '{asked[0].node}': {asked[0].question.splitlines()[0]}",
            remedy=f"Answer with `headrace approve {name}`.",
        )
    return found


def resume_run(
    flow: Flow[..., Any], run: RunRecord, *, observers: tuple[Observer, ...] = ()
) -> FlowRun:
    """Take a run up again in this process, without a server, as the same run.

    Args:
        flow: The flow as it is now.
        run: The run; see `resumable_run`.
        observers: Who watches.

    Raises:
        ParameterError: The flow does not take the run's parameters any more.
        PlanError: The flow does not fit together.
        DefinitionError: The run was given artifacts, which are not kept with its parameters.
    """
    if flow.parameters.artifacts:
        raise DefinitionError(
            f"Flow '{flow.name}' takes artifacts, and a run does not record which it was given.",
            remedy="Run it again from where they came from; what is done is reused.",
        )
    plan = flow.plan_with(run.parameters, seed=run.seed).require_sound()
    session = Session.of_settings(run_id=run.id, origin=run.origin, observers=observers)
    return run_plan(plan, session)
