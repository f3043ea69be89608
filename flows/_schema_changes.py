"""This module says, before a run, which schemas changed since the last one and who is affected.

Comparing costs one query. Only when something changed are other flows planned, views read, and the
cards of registered models opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows._labeling.subjects import OF_LOOPS, loops_of
from flows._schema_affected import Affected, affected_by
from headrace.plan.evolution import NodeChange, plan_changes
from headrace.schemas import TableSchema

if TYPE_CHECKING:
    from headrace.execution import Session
    from headrace.lineage import Lineage
    from headrace.plan import Plan

_RUNS = 50  # how far back to look for a run that completed


@dataclass(frozen=True, kw_only=True)
class Changed:
    """This is one column that changed, and who meets it.

    Args:
        found: The change, and the nodes of the flow that meet it.
        affected: Who meets it outside of the flow.
    """

    found: NodeChange
    affected: Affected

    @property
    def breaking(self) -> bool:
        """Whether somebody who meets the column cannot take it as it is now."""
        return any(reader.breaks for reader in self.found.readers) or self.affected.breaking

    def said(self) -> str:
        """Return the change in one line."""
        verdict = "breaking" if self.breaking else "compatible"
        return f"{self.found.ref}: {self.found.change.said()} ({verdict})"

    def lines(self) -> Iterator[str]:
        """Yield who is affected, one line each."""
        readers = self.found.readers
        for reader in readers:
            if reader.breaks:
                yield f"'{reader.node}' cannot read it: {reader.breaks}"
        fits = [r.node for r in readers if r.how == "reads" and not r.breaks]
        carries = [r.node for r in readers if r.how == "carries"]
        for nodes, one, several in ((fits, "reads", "read"), (carries, "carries", "carry")):
            if nodes:
                yield f"{', '.join(nodes)} {one if len(nodes) == 1 else several} it"
        yield from self.affected.lines()

    def to_json(self) -> dict[str, Any]:
        """Return the change as JSON-like data."""
        change = self.found.change
        return {
            "output": str(self.found.ref),
            "schema": change.schema,
            "column": change.column,
            "sort": change.sort,
            "renamed": change.renamed,
            "was": _column(change.schema, change.was),
            "now": _column(change.schema, change.now),
            "said": change.said(),
            "breaking": self.breaking,
            "nodes": [
                {"node": r.node, "how": r.how, "breaks": r.breaks} for r in self.found.readers
            ],
            **self.affected.to_json(),
        }


@dataclass(frozen=True, kw_only=True)
class SchemaChanges:
    """These are the columns that changed since a run.

    Args:
        since: The id of the flow's last run that completed.
        changes: At least one.
    """

    since: str
    changes: tuple[Changed, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the changes as JSON-like data."""
        return {
            "since": f"run:{self.since}",
            "changes": [changed.to_json() for changed in self.changes],
        }


def changes_before(plan: Plan, session: Session) -> SchemaChanges | None:
    """Return what changed since the flow's last completed run; None when nothing did.

    Args:
        plan: The plan of what is about to run; problems are allowed.
        session: Where runs are recorded.
    """
    before = _before(plan, session.lineage)
    if before is None:
        return None
    since, schemas = before
    found = plan_changes(plan, schemas)
    if not found:
        return None
    affected = affected_by(plan, found)
    changes = [Changed(found=f, affected=a) for f, a in zip(found, affected, strict=True)]
    return SchemaChanges(since=since, changes=tuple(changes))


def describe(changes: SchemaChanges) -> list[str]:
    """Return one line a change, for the terminal before a run starts."""
    return [
        f"Schema changed since run:{changes.since[:8]}: {changed.said()}"
        for changed in changes.changes
    ]


def details(changes: SchemaChanges) -> str:
    """Return the changes with who is affected, for `headrace plan`."""
    lines = [f"Schema changes since run:{changes.since[:8]}"]
    for changed in changes.changes:
        lines.append(f"  {changed.said()}")
        lines += [f"    {line}" for line in changed.lines()]
    return "\n".join(lines)


def _before(plan: Plan, lineage: Lineage) -> tuple[str, dict[str, TableSchema]] | None:
    """Return the last completed run of the flow, and the schemas of its outputs."""
    runs = lineage.runs(limit=_RUNS, flow=plan.flow)
    completed = [run for run in runs if run.state == "completed"]
    if plan.flow in OF_LOOPS:  # the rows of another loop have other schemas, which changed nowhere
        loops = loops_of([plan.parameters, *(run.parameters for run in completed)])
        completed = [
            run for run, loop in zip(completed, loops[1:], strict=True) if loop == loops[0]
        ]
    last = next(iter(completed), None)
    if last is None:
        return None
    recorded = _recorded(lineage, last.id)
    return last.id, {name: TableSchema.from_json(schema) for name, schema in recorded.items()}


def _recorded(lineage: Lineage, run_id: str) -> dict[str, Mapping[str, Any]]:
    """Return what a run recorded of its outputs' schemas; of partitions, those of the first."""
    from sqlalchemy import select

    from headrace.lineage.tables import invocation

    # what keys were made of is most of a record, and is left where it lies
    query = select(invocation.c.node, invocation.c.attributes).where(invocation.c.run_id == run_id)
    found: dict[str, Mapping[str, Any]] = {}
    with lineage.database.reading() as connection:
        for row in connection.execute(query.order_by(invocation.c.started_at)):
            node = row.node.partition("[")[0]
            for name, schema in (row.attributes.get("schemas") or {}).items():
                slot = name.partition("[")[0]
                found.setdefault(node if slot == "result" else f"{node}.{slot}", schema)
    return found


def _column(schema: str, column: Any) -> dict[str, Any] | None:
    if column is None:
        return None
    described: dict[str, Any] = TableSchema(name=schema, columns=(column,)).to_json()["columns"][0]
    return described
