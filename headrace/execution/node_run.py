"""This module runs one node: reuse what is known, else call the body, store, and record."""

from __future__ import annotations

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Partitions, Tabular
from headrace.clock import current_clock
from headrace.errors import HeadraceError, StoreError
from headrace.execution.bodies import call_body
from headrace.execution.keys import Keys, parts_as_json, parts_from_json
from headrace.execution.ledger import Demand
from headrace.execution.outcome import NodeOutcome
from headrace.execution.plain import plain
from headrace.execution.reuse import remember_reuse
from headrace.execution.room import room_of
from headrace.execution.stored import edges_of, flattened, outputs_of, put
from headrace.identity import Key, difference
from headrace.lineage.records import Approval, ArtifactRecord, InvocationRecord
from headrace.recording import Invocation, WaitsForPerson
from headrace.settings import settings

if TYPE_CHECKING:
    from headrace.execution.session import Session
    from headrace.operation import Operator
    from headrace.plan import Node, Plan

Inputs = Mapping[str, Artifact | list[Artifact]]
_NO_KEY = Key(digest=None, parts=(), unresolved=())


class Locks:
    """These are locks by cache key."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    def of(self, key: str) -> threading.Lock:
        """Return the lock of a key."""
        with self._guard:
            return self._locks[key]


@dataclass(frozen=True, kw_only=True)
class NodeRun:
    """This runs the nodes of one flow run.

    Args:
        plan: The plan.
        session: Store, lineage and the like.
        run_id: The flow run.
        mlflow_run_id: The run in MLflow, None when nothing is logged.
        keys: Works out cache keys, reading code once per plan.
        one_at_a_time: Lets equal nodes of the run wait for one another, so that one is reused.
        stopping: Set when the run is interrupted; nodes that wait for room then give up.
    """

    plan: Plan
    session: Session
    run_id: str
    mlflow_run_id: str | None
    keys: Keys
    one_at_a_time: Locks = field(default_factory=Locks)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __call__(self, node: Node, inputs: Inputs) -> NodeOutcome:
        """Run a node on its inputs and return what came of it; it never raises.

        Args:
            node: The node.
            inputs: Input name to the artifact, or the list of them.
        """
        if node.given is not None:
            return self._given(node, node.given)
        if node.operator is None:
            raise ValueError(node.path)
        if node.over is not None:
            return self._mapped(node, node.operator, inputs)
        return self._one(node, node.operator, inputs)

    def skipped(self, node: Node, reason: str) -> NodeOutcome:
        """Record that a node does not run, and why."""
        record = replace(self._blank(node, "skipped"), message=f"skipped: {reason}")
        self.session.lineage.record(record)
        return NodeOutcome(
            path=node.path, state="skipped", message=record.message, invocation=record
        )

    def _given(self, node: Node, given: Artifact) -> NodeOutcome:
        try:
            stored, record = put(given, self.session.store)
        except HeadraceError as error:
            return NodeOutcome(path=node.path, state="failed", message=str(error), error=error)
        invocation = replace(
            self._blank(node, "executed"), operator="given", outputs=edges_of({"result": stored})
        )
        self.session.lineage.record(invocation, [record])
        return NodeOutcome(
            path=node.path, state="executed", outputs={"result": stored}, message="handed in"
        )

    def _one(
        self, node: Node, operator: Operator[..., Any], inputs: Inputs, partition: str = ""
    ) -> NodeOutcome:
        started = time.monotonic()
        labelled = {name: _labelled(value) for name, value in inputs.items()}
        record = self._blank(node, "failed", inputs=inputs, partition=partition)
        try:
            # An effect is never reused, and reading its code would import the engine it acts on.
            key = _NO_KEY if operator.options.effect else self.keys.of(node, labelled)
            record = replace(
                record,
                key=key.digest,
                key_parts=parts_as_json(key.parts),
                uncached_because=list(key.unresolved),
            )
            if key.digest is None or operator.options.always:
                return self._made(node, operator, inputs, record=record, key=key, started=started)
            with self.one_at_a_time.of(key.digest):
                reused = self._reused(node, record, key.digest, started)
                return reused or self._made(
                    node, operator, inputs, record=record, key=key, started=started
                )
        except WaitsForPerson as waits:
            return self._waiting(record, waits, started)
        except (Exception, SystemExit) as error:  # whatever a body raises is the node's outcome
            return self._failed(record, error, started)

    def _made(
        self,
        node: Node,
        operator: Operator[..., Any],
        inputs: Inputs,
        *,
        record: InvocationRecord,
        key: Key,
        started: float,
    ) -> NodeOutcome:
        here = replace(node, path=record.node)  # of a mapped node, this partition
        why = why_not_cached(here, operator, key, self.plan.flow, self.session)
        invocation = Invocation(
            run_id=self.run_id,
            node=record.node,
            flow=self.plan.flow,
            mlflow_run_id=self.mlflow_run_id,
            prefect_run_id=self.session.prefect_run_id,
            tell=lambda text: self._tell(node, text),
            announce=self.session.announce,
            ask=lambda question, about: self._ask(record, question, about),
        )
        with room_of(settings()).taken(
            Demand.of(operator.options),
            run_id=self.run_id,
            flow=self.plan.flow,
            node=record.node,
            tell=invocation.tell,
            stop=self.stopping,
        ) as waited:
            if waited and key.digest is not None and not operator.options.always:
                # another run may have made the same while this one waited for room
                reused = self._reused(node, record, key.digest, started)
                if reused is not None:
                    return reused
            made = call_body(
                node,
                operator,
                inputs,
                grants=self.plan.grants,
                invocation=invocation,
                session=self.session,
            )
            # recorded before the room is given back: the next one then finds it
            return self._executed(record, made, why, started)

    def _ask(self, record: InvocationRecord, question: str, about: Mapping[str, str]) -> Approval:
        asked = Approval(
            run_id=self.run_id,
            node=record.node,
            question=question,
            about=dict(about),
            asked_at=current_clock().now(),
        )
        return self.session.lineage.ask(asked)

    def _tell(self, node: Node, text: str) -> None:
        for observer in self.session.observers:
            observer.node_says(node, text)

    def _reused(
        self, node: Node, record: InvocationRecord, key: str, started: float
    ) -> NodeOutcome | None:
        found = self.session.lineage.reusable(key)
        if found is None or not all(self.session.store.has(e.digest) for e in found.outputs):
            return None  # collected, or damaged: a new copy takes its place
        remember_reuse(node, flow=self.plan.flow, run_id=self.run_id, session=self.session)
        outputs = outputs_of(found, self.session.lineage, self.session.store)
        message = f"made by run {found.run_id[:8]}"
        record = replace(
            record,
            state="cached",
            reused_from=found.id,
            outputs=found.outputs,
            seconds=time.monotonic() - started,
            message=message,
            attributes={
                k: v
                for k, v in found.attributes.items()
                if k in ("schemas", "partitions", "mlflow_run_id")
            },
        )
        self.session.lineage.record(record)
        return NodeOutcome(
            path=record.node,
            state="cached",
            outputs=outputs,
            seconds=record.seconds,
            message=message,
            invocation=record,
        )

    def _executed(
        self,
        record: InvocationRecord,
        made: Mapping[str, Artifact],
        why: str,
        started: float,
    ) -> NodeOutcome:
        outputs: dict[str, Artifact] = {}
        records: list[ArtifactRecord] = []
        for name, artifact in made.items():
            if isinstance(artifact, Partitions):
                stored = {k: put(v, self.session.store) for k, v in artifact.items.items()}
                outputs[name] = Partitions.of({k: v for k, (v, _) in stored.items()})
                records += [r for _, r in stored.values()]
            else:
                outputs[name], written = put(artifact, self.session.store)
                records.append(written)
        schemas = {
            name: artifact.schema.to_json()
            for name, artifact in flattened(outputs).items()
            if isinstance(artifact, Tabular) and artifact.schema is not None
        }
        record = replace(
            record,
            state="executed",
            outputs=edges_of(outputs),
            seconds=time.monotonic() - started,
            message=why,
            attributes={
                "schemas": schemas,
                "partitions": [n for n, a in made.items() if isinstance(a, Partitions)],
            },
        )
        self.session.lineage.record(record, records)
        return NodeOutcome(
            path=record.node,
            state="executed",
            outputs=outputs,
            seconds=record.seconds,
            message=why,
            invocation=record,
        )

    def _failed(
        self, record: InvocationRecord, error: BaseException, started: float
    ) -> NodeOutcome:
        message = (
            str(error) if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
        )
        record = replace(
            record, state="failed", seconds=time.monotonic() - started, message=message
        )
        try:
            self.session.lineage.record(record)
        except StoreError as unrecorded:
            message = f"{message}\n(and it could not be recorded: {unrecorded.problem})"
        return NodeOutcome(
            path=record.node,
            state="failed",
            seconds=record.seconds,
            message=message,
            error=error,
            invocation=record,
        )

    def _waiting(
        self, record: InvocationRecord, waits: WaitsForPerson, started: float
    ) -> NodeOutcome:
        message = f"waits for a person: {waits.question.question.splitlines()[0]}"
        record = replace(
            record, state="waiting", seconds=time.monotonic() - started, message=message
        )
        self.session.lineage.record(record)
        return NodeOutcome(
            path=record.node,
            state="waiting",
            seconds=record.seconds,
            message=message,
            invocation=record,
        )

    def _mapped(self, node: Node, operator: Operator[..., Any], inputs: Inputs) -> NodeOutcome:
        started = time.monotonic()
        over = node.over or ""
        partitions = inputs[over]
        if not isinstance(partitions, Partitions):
            raise TypeError(over)
        outcomes = {
            name: self._one(node, operator, {**inputs, over: item}, name)
            for name, item in partitions.items.items()
        }
        failed = [o for o in outcomes.values() if o.state in ("failed", "waiting")]
        cached = sum(o.state == "cached" for o in outcomes.values())
        if failed:
            return replace(
                failed[0],
                path=node.path,
                message=f"{len(failed)} of {len(outcomes)} partitions {failed[0].state}; "
                f"{failed[0].path}: "
                f"{failed[0].message}",
            )
        outputs: dict[str, Artifact] = {
            slot.name: Partitions.of({k: o.outputs[slot.name] for k, o in outcomes.items()})
            for slot in operator.signature.outputs
        }
        return NodeOutcome(
            path=node.path,
            state="cached" if outcomes and cached == len(outcomes) else "executed",
            outputs=outputs,
            seconds=time.monotonic() - started,
            message=f"{len(outcomes)} partitions, {cached} of them cached",
        )

    def _blank(
        self, node: Node, state: str, *, inputs: Inputs | None = None, partition: str = ""
    ) -> InvocationRecord:
        operator = node.operator
        arriving = {
            f"{name}{label}": artifact
            for name, value in (inputs or {}).items()
            for label, artifact in _labelled(value)
        }
        return InvocationRecord(
            id=uuid.uuid4().hex,
            run_id=self.run_id,
            node=f"{node.path}[{partition}]" if partition else node.path,
            operator="" if operator is None else f"{operator.module}.{operator.name}",
            state=state,
            seed=node.seed,
            started_at=current_clock().now(),
            effect=node.effect,
            parameters={k: plain(v) for k, v in node.parameters.items()},
            inputs=edges_of(arriving),
        )


def why_not_cached(
    node: Node, operator: Operator[..., Any], key: Key, flow: str, session: Session
) -> str:
    """Return in a sentence why a node cannot be answered from the cache."""
    if operator.options.effect:
        return "an effect; it acts every time"
    if operator.options.always:
        return "it reads a world that leaves no trace; it runs every time"
    if key.digest is None:
        return f"not cached: {' '.join(key.unresolved)}"
    if session.lineage.reusable(key.digest) is not None:
        return "what was stored is gone or damaged, so it is made again"
    last = session.lineage.last_key_parts(flow, node.path)
    if last is None:
        return "it never ran with this flow"
    changes = difference(parts_from_json(last), key.parts)
    if not changes:
        return "what was stored is gone or damaged, so it is made again"
    shown = "; ".join(changes[:3])
    return shown if len(changes) <= 3 else f"{shown}; and {len(changes) - 3} more"


def _labelled(value: Artifact | list[Artifact]) -> list[tuple[str, Artifact]]:
    if isinstance(value, Partitions):
        return [(f"[{name}]", artifact) for name, artifact in value.items.items()]
    if isinstance(value, list):
        return [(f"[{i}]", artifact) for i, artifact in enumerate(value)]
    return [("", value)]
