"""This module starts each node as soon as its inputs exist and the machine has room for it."""

from __future__ import annotations

import contextvars
import uuid
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Report
from headrace.capacity import capacity_of
from headrace.clock import current_clock
from headrace.errors import UnknownNameError
from headrace.execution.abandoned import close_abandoned, this_process
from headrace.execution.keys import Keys
from headrace.execution.needs import require_needs
from headrace.execution.node_run import NodeRun
from headrace.execution.outcome import FlowRun, NodeOutcome
from headrace.execution.session import Session
from headrace.lineage.records import RunRecord
from headrace.machine import machine
from headrace.settings import settings

if TYPE_CHECKING:
    from headrace.plan import Node, Plan


def run_plan(plan: Plan, session: Session) -> FlowRun:
    """Run a plan and return what came of it; a failing node stops only what needs it.

    Args:
        plan: A plan without problems.
        session: Store, lineage, logs and who watches.

    Raises:
        PlanError: The plan has problems.
        ServiceError: Lineage, the run log or a service that a node needs cannot be reached;
            nothing has run.

    Returns:
        The run; its state is "completed", "failed", or "paused" when a node waits for a person.
    """
    plan.require_sound()
    require_needs(plan)
    close_abandoned(session.lineage)
    with session.store.in_use():  # `store gc` removes nothing meanwhile
        return _carried_out(plan, session)


def _carried_out(plan: Plan, session: Session) -> FlowRun:
    run = _recorded(plan, session)
    mlflow_run_id = None
    try:
        if session.log is not None:
            mlflow_run_id = session.log.run_started(run, plan.to_json())
            if mlflow_run_id is not None:
                session.lineage.update_run(run.id, mlflow_run_id=mlflow_run_id)
        for observer in session.observers:
            observer.run_started(run.id, plan)
        node_run = NodeRun(
            plan=plan,
            session=session,
            run_id=run.id,
            mlflow_run_id=mlflow_run_id,
            keys=Keys(session.roots, run.id),
        )
        outcomes = _Queue(plan, session, node_run, run).drained()
    except BaseException as error:
        ended = "failed" if isinstance(error, Exception) else "cancelled"
        _finish(run, session, ended, f"{type(error).__name__}: {error}".removesuffix(": "), {})
        raise
    state, message = _ended(outcomes)
    _finish(run, session, state, message, _summary(outcomes))
    return FlowRun(
        id=run.id,
        plan=plan,
        state=state,
        outcomes={n.path: outcomes[n.path] for n in plan.nodes},
        mlflow_run_id=mlflow_run_id,
    )


def _recorded(plan: Plan, session: Session) -> RunRecord:
    """Record a new run, or that one is taken up again, and return it."""
    here = {**machine().to_json(), **this_process()}
    if session.run_id is not None:
        try:
            known = session.lineage.run(session.run_id)
        except UnknownNameError:
            pass
        else:
            session.lineage.take_up_run(known.id, here)
            in_prefect = session.prefect_run_id or known.prefect_run_id
            if in_prefect != known.prefect_run_id:
                session.lineage.update_run(known.id, prefect_run_id=in_prefect)
            return replace(
                known,
                state="running",
                message="",
                ended_at=None,
                machine=here,
                prefect_run_id=in_prefect,
            )
    run = RunRecord(
        id=session.run_id or uuid.uuid4().hex,
        flow=plan.flow,
        parameters=dict(plan.parameters),
        started_at=current_clock().now(),
        origin=session.origin,
        actor=session.actor,
        seed=plan.seed,
        prefect_run_id=session.prefect_run_id,
        machine=here,
    )
    session.lineage.start_run(run)
    return run


def _ended(outcomes: Mapping[str, NodeOutcome]) -> tuple[str, str]:
    """Return a run's state and why; what failed comes before what waits."""
    failed = [o for o in outcomes.values() if o.state == "failed"]
    asking = [o for o in outcomes.values() if o.state == "waiting" and o.invocation is not None]
    told = "; ".join(f"{o.path}: {o.message}" for o in failed or asking)
    if failed:
        return "failed", told
    if asking:
        return "paused", told
    return "completed", ""


def _finish(
    run: RunRecord, session: Session, state: str, message: str, summary: Mapping[str, Any]
) -> None:
    session.lineage.finish_run(run.id, state, message, current_clock().now())
    if session.log is not None:
        session.log.run_finished(run, state, message, summary)


def _summary(outcomes: Mapping[str, NodeOutcome]) -> dict[str, Any]:
    states = [o.state for o in outcomes.values()]
    counted = ("executed", "cached", "failed", "skipped", "waiting")
    return {state: states.count(state) for state in counted}


class _Queue:
    """This keeps the nodes that wait, run and are done."""

    def __init__(self, plan: Plan, session: Session, node_run: NodeRun, run: RunRecord) -> None:
        self._plan, self._session, self._node_run, self._run = plan, session, node_run, run
        self._waiting = {n.path: n for n in plan.nodes}
        self._running: dict[Future[NodeOutcome], Node] = {}
        self._outcomes: dict[str, NodeOutcome] = {}
        capacity = capacity_of(settings())
        self._free_cores, self._free_gpus = float(capacity.cores), float(capacity.gpus)

    def drained(self) -> dict[str, NodeOutcome]:
        """Run everything and return the outcomes by path."""
        pool = ThreadPoolExecutor(self._session.threads, thread_name_prefix="headrace")
        try:
            while self._waiting or self._running:
                self._start_ready(pool)
                if not self._running:
                    continue  # what was left was skipped, or waits for a person
                done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                for future in done:
                    self._done(self._running.pop(future), future.result())
        except BaseException:  # an interrupt does not wait for bodies that cannot be stopped
            self._node_run.stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
        return self._outcomes

    def _start_ready(self, pool: ThreadPoolExecutor) -> None:
        for node in list(self._waiting.values()):
            if not all(path in self._outcomes for path in node.upstream()):
                continue
            reason = self._skip_reason(node)
            if reason is not None:
                del self._waiting[node.path]
                self._skip(node, reason)
            elif (asking := self._asking(node)) is not None:
                del self._waiting[node.path]
                self._outcomes[node.path] = NodeOutcome(
                    path=node.path, state="waiting", message=f"waits for '{asking}'"
                )
            elif len(self._running) < self._session.threads and self._fits(node):
                del self._waiting[node.path]
                self._take(node, -1)
                context = contextvars.copy_context()
                self._running[pool.submit(context.run, self._work, node)] = node

    def _fits(self, node: Node) -> bool:
        if node.operator is None or not self._running:
            return True
        options = node.operator.options
        return options.cpu <= self._free_cores and options.gpu <= self._free_gpus

    def _take(self, node: Node, sign: int) -> None:
        if node.operator is not None:
            self._free_cores += sign * node.operator.options.cpu
            self._free_gpus += sign * node.operator.options.gpu

    def _work(self, node: Node) -> NodeOutcome:
        for observer in self._session.observers:
            observer.node_started(node)
        inputs = self._inputs(node)
        outcome = self._session.runner(node, lambda: self._node_run(node, inputs))
        log = self._session.log
        if log is not None and outcome.invocation is not None:
            log.node_finished(self._run, outcome.invocation, outcome.outputs, inputs)
        return outcome

    def _done(self, node: Node, outcome: NodeOutcome) -> None:
        self._take(node, +1)
        self._outcomes[node.path] = outcome
        for observer in self._session.observers:
            observer.node_finished(node, outcome)

    def _skip(self, node: Node, reason: str) -> None:
        def skipped() -> NodeOutcome:
            return self._node_run.skipped(node, reason)

        self._take(node, -1)
        self._done(node, self._session.runner(node, skipped))

    def _asking(self, node: Node) -> str | None:
        """Return the node before this one that waits for a person; None when there is none."""
        return next((p for p in node.upstream() if self._outcomes[p].state == "waiting"), None)

    def _skip_reason(self, node: Node) -> str | None:
        for path in node.upstream():
            state = self._outcomes[path].state
            if state in ("failed", "skipped"):
                return f"'{path}' {'has failed' if state == 'failed' else 'was skipped'}"
        for condition in node.conditions:
            if self._outcomes[condition.ref.node].state == "waiting":
                return None
            report = self._outcomes[condition.ref.node].outputs[condition.ref.slot]
            passed = isinstance(report, Report) and report.passed
            if passed is not condition.expected:
                return f"'{condition.ref}' {'passed' if passed else 'did not pass'}"
        return None

    def _inputs(self, node: Node) -> dict[str, Artifact | list[Artifact]]:
        inputs: dict[str, Artifact | list[Artifact]] = {}
        for name, refs in node.inputs.items():
            artifacts = [self._outcomes[r.node].outputs[r.slot] for r in refs]
            slots = () if node.operator is None else node.operator.signature.inputs
            many = any(s.name == name and s.many for s in slots)
            single = len(artifacts) == 1 and (not many or artifacts[0].kind == "Partitions")
            inputs[name] = artifacts[0] if single else artifacts
        return inputs
