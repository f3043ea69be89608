"""This module runs a past run's flow again: as it was, or with some parameters changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from flows._command import _screen
from headrace.errors import ParameterError, UnknownNameError

if TYPE_CHECKING:
    from headrace.execution import FlowRun, NodeOutcome, Session
    from headrace.lineage import Lineage, RunRecord
    from headrace.plan import Node, Plan
    from headrace.workflow import Flow


def repeat(ref: str, *, flow: str | None, local: bool, as_json: bool) -> None:
    """Run a past run's flow again with its parameters and seed, tagged `rerun_of`.

    Args:
        ref: The run.
        flow: Where its flow is, if not under the roots.
        local: In this process, without servers.
        as_json: Print JSON at the end.

    Raises:
        ParameterError: The flow does not take these parameters any more.
        UnknownNameError: There is no such run or flow.
        Exit: With 1 unless the new run completes, or waits for a person.
    """
    from headrace.execution import Session
    from headrace.execution.again import planned_as

    session = Session.of_settings(origin="command line")
    run, found = _run_and_flow(session.lineage, ref, flow)
    plan = planned_as(run, found)
    _start(run, found, plan, run.parameters, tag="rerun_of", local=local, as_json=as_json)


def fork(
    ref: str,
    *,
    pairs: Sequence[str],
    without: Sequence[str],
    flow: str | None,
    local: bool,
    as_json: bool,
) -> None:
    """Run a past run's flow again with some parameters changed, tagged `forked_from`.

    Args:
        ref: The run.
        pairs: What changes, as name=value; dots reach into nested values.
        without: Parameters of the run that are left to their defaults.
        flow: Where its flow is, if not under the roots.
        local: In this process, without servers.
        as_json: Print JSON at the end.

    Raises:
        ParameterError: The flow does not take these parameters.
        UnknownNameError: There is no such run or flow, or the run had no such parameter.
        Exit: With 1 unless the new run completes, or waits for a person.
    """
    from headrace.execution import Session

    session = Session.of_settings(origin="command line")
    run, found = _run_and_flow(session.lineage, ref, flow)
    arguments = _changed(run, pairs, without)
    # whoever changes the seed means it; otherwise it is the run's, as with every other parameter
    seed = None if "seed" in _names(pairs) or "seed" in without else run.seed
    try:
        plan = found.plan_with(arguments, seed=seed)
    except ParameterError as error:
        raise ParameterError(
            error.problem,
            remedy="change it with `-p name=value`, leave out what the run had with "
            f"`--without name`; `headrace runs show run:{run.id[:12]}` shows what it had.",
        ) from error
    _start(run, found, plan, arguments, tag="forked_from", local=local, as_json=as_json)


def _run_and_flow(lineage: Lineage, ref: str, where: str | None) -> tuple[RunRecord, Any]:
    from flows._command._past import flow_of, run_named

    run = run_named(lineage, ref)
    return run, flow_of(run, where)


def _names(pairs: Sequence[str]) -> set[str]:
    return {pair.partition("=")[0] for pair in pairs}


def _changed(run: RunRecord, pairs: Sequence[str], without: Sequence[str]) -> dict[str, Any]:
    from flows._command._conditions import parameter_pairs

    changes = parameter_pairs(pairs)
    if not changes and not without:
        raise ParameterError(
            f"A fork of run:{run.id[:12]} without a change is the same run again.",
            remedy="say what changes, `-p name=value`; or repeat it: `headrace runs rerun "
            f"run:{run.id[:12]}`.",
        )
    arguments = copy.deepcopy(run.parameters)
    for name in without:
        if name not in arguments:
            raise UnknownNameError.of(
                f"parameter of run:{run.id[:12]}", name, arguments, remedy="leave out one it had."
            )
        del arguments[name]
    for name, value in changes.items():
        *folders, last = name.split(".")
        inside = arguments
        for folder in folders:
            below = inside.get(folder)
            inside[folder] = below if isinstance(below, dict) else {}
            inside = inside[folder]
        inside[last] = value
    return arguments


def _start(
    run: RunRecord,
    found: Flow[..., Any],
    plan: Plan,
    arguments: Mapping[str, Any],
    *,
    tag: str,
    local: bool,
    as_json: bool,
) -> None:
    from flows._command._compared import changed, compared, write_changed, write_compared
    from flows._command._outcome import outcome_as_json
    from flows._command._progress import Progress
    from flows._command._summary import write_summary
    from headrace.execution import Session

    plan.require_sound()
    if not as_json:
        write_changed(changed(run.parameters, plan.parameters), run.id)
    session = Session.of_settings(origin="command line")
    with _screen.activity() as shown:
        watching = Progress(shown, quiet=as_json), _Tagging(session.lineage, tag, f"run:{run.id}")
        finished = _finished(found, plan, arguments, watching, session=session, local=local)
    beside = compared(session.lineage, run, session.lineage.run(finished.id))
    if as_json:
        _screen.write_json({**outcome_as_json(finished), "compared": beside.to_json()})
    else:
        write_summary(finished)
        write_compared(beside)
    if finished.state not in ("completed", "paused"):
        raise typer.Exit(1)


def _finished(
    found: Flow[..., Any],
    plan: Plan,
    arguments: Mapping[str, Any],
    watching: tuple[Any, ...],
    *,
    session: Session,
    local: bool,
) -> FlowRun:
    from dataclasses import replace

    if local:
        from headrace.execution import run_plan

        return run_plan(plan, replace(session, observers=watching))
    from flows.runtime import run_flow

    return run_flow(found, arguments, observers=watching, seed=plan.seed)


class _Tagging:
    """This gives a run its tag as soon as it exists, so that it has it whatever becomes of it."""

    def __init__(self, lineage: Lineage, name: str, value: str) -> None:
        self._lineage, self._name, self._value = lineage, name, value

    def run_started(self, run_id: str, plan: Plan) -> None:
        """Tag the run here, and in MLflow when it is there."""
        from flows._tracking.tags import tag_in_mlflow

        run = self._lineage.run(run_id)
        self._lineage.tag_run(run_id, self._name, self._value, actor=run.actor)
        tag_in_mlflow(run, self._name, self._value)

    def node_started(self, node: Node) -> None:
        """Nothing to tag."""

    def node_says(self, node: Node, text: str) -> None:
        """Nothing to tag."""

    def node_finished(self, node: Node, outcome: NodeOutcome) -> None:
        """Nothing to tag."""
