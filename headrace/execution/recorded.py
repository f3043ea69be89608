"""This module finds a node of a past run and takes the inputs that it had out of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.artifacts import Artifact, Partitions
from headrace.errors import DataError, ParameterError, StoreError
from headrace.execution.stored import get
from headrace.lineage.records import EdgeRecord, InvocationRecord, RunRecord
from headrace.schemas import TableSchema

if TYPE_CHECKING:
    from headrace.lineage import Lineage
    from headrace.plan import Node
    from headrace.slots import Slot
    from headrace.store import Store

Inputs = dict[str, Artifact | list[Artifact]]


def recorded_node(lineage: Lineage, ref: str, *, flow: str | None = None) -> InvocationRecord:
    """Return the invocation that a reference names.

    Args:
        lineage: Where to look.
        ref: `run:<id>/<node>`, `<id>/<node>`, `latest:<flow>/<node>`: of the flow's newest run,
            whatever became of it; or a run alone if exactly one of its nodes has failed.
        flow: With it, `ref` may be a node alone: of the flow's newest run.

    Raises:
        UnknownNameError: Nothing has this name.
        ParameterError: It names something else than a node.
    """
    if flow is not None and not ref.startswith(("run:", "latest:")):
        ref = f"latest:{flow}/{ref}"
    if ref.startswith("latest:") and "/" in ref:
        # a node that failed is no "latest" result; here it is the one to look at
        latest, _, node = ref.partition("/")
        run = lineage.resolve(latest)
        ref = f"run:{run.id}/{node}" if isinstance(run, RunRecord) else ref
    found = lineage.resolve(ref)
    if isinstance(found, InvocationRecord):
        return found
    if isinstance(found, RunRecord):
        return _only_failed(found, lineage.invocations(found.id))
    raise ParameterError(
        f"'{ref}' names an artifact, not a node.",
        remedy="name the node that made it, as in run:<id>/<node>; "
        f"`headrace explain artifact:{found.digest[:12]}` shows it.",
    )


def _only_failed(run: RunRecord, invocations: Sequence[InvocationRecord]) -> InvocationRecord:
    last = {invocation.node: invocation for invocation in invocations}
    failed = [invocation for invocation in last.values() if invocation.state == "failed"]
    if len(failed) == 1:
        return failed[0]
    shown = ", ".join(f"'{each.node}'" for each in failed[:12])
    said = f"of its nodes failed {shown}" if failed else f"none of its {len(last)} nodes has failed"
    raise ParameterError(
        f"Which node of run:{run.id[:12]} is meant is not said: {said}.",
        remedy=f"name one, as in run:{run.id[:12]}/<node>; `headrace explain run:{run.id[:12]}` "
        "lists them.",
    )


def recorded_inputs(
    recorded: InvocationRecord,
    node: Node,
    *,
    others: Sequence[InvocationRecord],
    store: Store,
    lineage: Lineage,
) -> Inputs:
    """Return the artifacts that a recorded invocation read, by input; nothing is read yet.

    Args:
        recorded: The invocation.
        node: The same node in today's plan: it says which inputs are lists or partitions.
        others: All invocations of the run, which say with what schema each output was made.
        store: Where the artifacts lie.
        lineage: Where their records lie.

    Raises:
        StoreError: An artifact is not in the store any more, or damaged.
        DataError: The node takes an input today that was not recorded.
    """
    arrived: dict[str, dict[str, Artifact]] = {}
    for edge in recorded.inputs:
        makers = [i for i in others if any(_same(edge, made) for made in i.outputs)]
        if not store.has(edge.digest):
            raise _gone(edge, recorded, makers)
        name, _, item = edge.name.partition("[")
        record = lineage.artifact(edge.digest, kind=edge.kind)
        schema = _schema_of(edge, makers, [ref.node for ref in node.inputs.get(name, ())])
        artifact = get(store, record, schema=schema)
        arrived.setdefault(name, {})[item.removesuffix("]")] = artifact
    slots = {} if node.operator is None else {s.name: s for s in node.operator.signature.inputs}
    found: Inputs = {}
    for name in node.inputs:
        items = arrived.get(name, {})
        slot = slots[name]
        if not items and not (slot.many or slot.partitioned):
            known = ", ".join(f"'{each}'" for each in arrived) or "none"
            raise DataError(
                f"'{recorded.node}' takes '{name}' today; run:{recorded.run_id[:12]} recorded the "
                f"inputs: {known}.",
                remedy="run the flow again; what it knows is reused.",
            )
        found[name] = _put_together(slot, items)
    return found


def _put_together(slot: Slot, items: Mapping[str, Artifact]) -> Artifact | list[Artifact]:
    if list(items) == [""]:
        return [items[""]] if slot.many else items[""]
    numbered = list(items) == [str(i) for i in range(len(items))]
    if slot.many and numbered:
        return list(items.values())
    return Partitions.of(items)


def _schema_of(
    edge: EdgeRecord, makers: Sequence[InvocationRecord], wired: Sequence[str]
) -> TableSchema | None:
    """Return the schema with which an input was made; the same content may have several."""

    def is_wired(maker: InvocationRecord) -> bool:
        return maker.node in wired or maker.node.partition("[")[0] in wired

    for maker in sorted(makers, key=is_wired, reverse=True):
        schemas = maker.attributes.get("schemas", {})
        for made in maker.outputs:
            if _same(edge, made) and schemas.get(made.name):
                return TableSchema.from_json(schemas[made.name])
    return None


def _same(edge: EdgeRecord, made: EdgeRecord) -> bool:
    return (made.digest, made.kind) == (edge.digest, edge.kind)


def _gone(
    edge: EdgeRecord, recorded: InvocationRecord, makers: Sequence[InvocationRecord]
) -> StoreError:
    run = f"run:{recorded.run_id[:12]}"
    maker = f"; '{makers[0].node}' made it" if makers else ""
    return StoreError(
        f"Input '{edge.name}' of '{recorded.node}' ({edge.kind} artifact:{edge.digest[:12]}{maker})"
        " is not in the store any more, or damaged.",
        remedy=f"make it again: `headrace runs rerun {run}`, then name the node of that run.",
    )
