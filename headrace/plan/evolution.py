"""This module says how schemas changed since a run, and which nodes of the plan meet the change.

It compares what a plan promises with what a run recorded; no data is read. A change is told once,
where it comes from, and not again at each node that carries the column on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from headrace.artifacts import Tabular, kind_named
from headrace.plan.columns import unfitting_columns
from headrace.plan.graph import Node, Plan, Ref
from headrace.schemas import Column, TableSchema
from headrace.slots import Slot

Sort = Literal["added", "removed", "changed"]

_WIDENED = {("int", "float"), ("category", "string")}


@dataclass(frozen=True, kw_only=True)
class ColumnChange:
    """This is one column that two versions of a schema do not have alike.

    Args:
        schema: Name of the later schema.
        was: The column before; None when it was added.
        now: The column since; None when it was removed.
        renamed: For a removed column the added one that may be it: the only one of its meaning.
    """

    schema: str
    was: Column | None
    now: Column | None
    renamed: str | None = None

    @property
    def column(self) -> str:
        """The column's name."""
        return (self.now or self.was or _NOBODY).name

    @property
    def sort(self) -> Sort:
        """What became of the column."""
        if self.was is None:
            return "added"
        return "removed" if self.now is None else "changed"

    def breaks_models(self) -> bool:
        """Return whether a model that was trained on the column before can't be asked with it."""
        if self.was is None or self.now is None:
            return self.now is None
        was, now = self.was, self.now
        narrowed = was.dtype != now.dtype and (was.dtype, now.dtype) not in _WIDENED
        return narrowed or (was.unit, was.role, was.known_at) != (now.unit, now.role, now.known_at)

    def said(self) -> str:
        """Return the change in words."""
        about = f"column '{self.column}' of '{self.schema}'"
        if self.was is None and self.now is not None:
            return f"{about} is new: {_described(self.now)}"
        if self.was is None or self.now is None:
            perhaps = f"; '{self.renamed}' may be its new name" if self.renamed else ""
            return f"{about} is gone{perhaps}"
        return f"{about} {' and '.join(_differences(self.was, self.now))}"


_NOBODY = Column(name="", dtype="bool")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """This is a node that meets a changed column.

    Args:
        node: Its path.
        how: It "reads" a column that its input declares, or "carries" all that arrive.
        breaks: What is wrong with the column now; None when it still fits.
    """

    node: str
    how: Literal["reads", "carries"]
    breaks: str | None = None


@dataclass(frozen=True, kw_only=True)
class NodeChange:
    """This is a change of a column where a plan first makes it.

    Args:
        ref: The output.
        change: What became of the column.
        readers: The nodes behind it that meet the column.
        before: The whole schema of the output as the run recorded it.
        now: The whole schema that the plan promises.
    """

    ref: Ref
    change: ColumnChange
    readers: tuple[Reader, ...]
    before: TableSchema
    now: TableSchema


def column_changes(before: TableSchema, now: TableSchema) -> tuple[ColumnChange, ...]:
    """Return what became of each column, removed ones first; nothing for equal columns.

    Order, descriptions and who may see a column are no change.
    """
    gone = [c for c in before.columns if c.name not in now]
    new = [c for c in now.columns if c.name not in before]
    changes = [
        ColumnChange(schema=now.name, was=c, now=None, renamed=_renamed(c, new)) for c in gone
    ]
    changes += [ColumnChange(schema=now.name, was=None, now=c) for c in new]
    changes += [
        ColumnChange(schema=now.name, was=before.column(c.name), now=c)
        for c in now.columns
        if c.name in before and _meaning(c) != _meaning(before.column(c.name))
    ]
    return tuple(changes)


def plan_changes(plan: Plan, before: Mapping[str, TableSchema]) -> tuple[NodeChange, ...]:
    """Return what changed since the outputs of a plan had other schemas.

    Args:
        plan: The plan; problems are allowed.
        before: The text of an output's `Ref` to its schema then. Outputs that are not here, or of
            which the plan knows no columns, are not compared.

    Returns:
        One entry a column and origin, in the order of the plan.
    """
    told: dict[Ref, set[ColumnChange]] = {}
    found: list[NodeChange] = []
    for node in plan.nodes:
        arriving = {
            _told(change)
            for refs in node.inputs.values()
            for ref in refs
            for change in told.get(ref, ())
        }
        for slot, symbol in node.outputs.items():
            ref = Ref(node=node.path, slot=slot)
            then, now = before.get(str(ref)), symbol.schema
            if then is None or now is None or not issubclass(kind_named(symbol.kind), Tabular):
                continue
            changes = column_changes(then, now)
            told[ref] = set(changes)
            found += [
                NodeChange(
                    ref=ref,
                    change=change,
                    readers=tuple(_readers(plan, ref, change, before)),
                    before=then,
                    now=now,
                )
                for change in changes
                if _told(change) not in arriving
            ]
    return _once(found)


def _once(found: list[NodeChange]) -> tuple[NodeChange, ...]:
    """Leave out what another output of the same node says too, as the sets of a split do."""
    seen: set[tuple[str, object]] = set()
    kept = []
    for entry in found:
        key = entry.ref.node, _told(entry.change)
        if key not in seen:
            seen.add(key)
            kept.append(entry)
    return tuple(kept)


def _readers(
    plan: Plan, origin: Ref, change: ColumnChange, before: Mapping[str, TableSchema]
) -> Iterator[Reader]:
    """Yield the nodes behind an output that meet the column, in the order of the plan."""
    carrying, name = {origin}, change.column
    made = {Ref(node=n.path, slot=s): y.schema for n in plan.nodes for s, y in n.outputs.items()}
    for node in plan.nodes:
        met = None
        for slot_name, refs in node.inputs.items():
            for ref in (r for r in refs if r in carrying):
                reader = _reader(node, slot_name, ref, made.get(ref), name)
                met = reader if met is None or (reader and reader.breaks) else met
        if met is None:
            continue
        yield met
        for slot in node.outputs:
            ref = Ref(node=node.path, slot=slot)
            schemas = (made.get(ref), before.get(str(ref)))
            if any(s is not None and name in s for s in schemas):
                carrying.add(ref)


def _reader(
    node: Node, slot_name: str, ref: Ref, arriving: TableSchema | None, column: str
) -> Reader | None:
    if node.operator is None:
        return None
    slots: dict[str, Slot] = {slot.name: slot for slot in node.operator.signature.inputs}
    slot = slots[slot_name]
    if not any(issubclass(kind, Tabular) for kind in slot.accepts):
        return None  # a model knows its columns but has no rows of them
    if slot.schema is None or column not in slot.schema:
        carries = slot.schema is None or slot.variable is not None
        return Reader(node=node.path, how="carries") if carries else None
    breaks = None
    if arriving is not None:
        wanted = slot.schema.keeping([column])
        wrong = unfitting_columns(
            replace(wanted, name=slot.schema.name), arriving, f"'{ref}' → '{node.path}.{slot_name}'"
        )
        breaks = next((found.problem for found in wrong), None)
    return Reader(node=node.path, how="reads", breaks=breaks)


def _told(change: ColumnChange) -> tuple[str, Sort, tuple[str, ...]]:
    """Return what makes two changes one: operators give schemas and roles names of their own."""
    both = change.was is not None and change.now is not None
    differences = _differences(change.was or _NOBODY, change.now or _NOBODY) if both else ()
    return change.column, change.sort, tuple(differences)


def _meaning(column: Column) -> Column:
    return replace(column, description="", sensitivity="internal")


def _renamed(gone: Column, new: list[Column]) -> str | None:
    same = [c for c in new if replace(_meaning(c), name="") == replace(_meaning(gone), name="")]
    return same[0].name if len(same) == 1 else None


def _described(column: Column) -> str:
    unit = f" in '{column.unit}'" if column.unit else ""
    return f"{column.type_name()}{unit}"


def _differences(was: Column, now: Column) -> Iterator[str]:
    if was.dtype != now.dtype:
        yield f"was {was.type_name()} and is {now.type_name()}"
    elif was.nullable != now.nullable:
        yield "may be null now" if now.nullable else "may not be null any more"
    if was.categories != now.categories:
        yield _categories(was, now)
    for what, then, since in (
        ("unit", was.unit, now.unit),
        ("role", was.role, now.role),
        ("known time", was.known_at, now.known_at),
        ("source", was.source, now.source),
    ):
        if then != since:
            yield f"had the {what} {_or_none(then)} and has {_or_none(since)}"


def _categories(was: Column, now: Column) -> str:
    more = [c for c in now.categories or () if c not in (was.categories or ())]
    fewer = [c for c in was.categories or () if c not in (now.categories or ())]
    if was.categories is None or now.categories is None:
        return "has open categories now" if now.categories is None else "has fixed categories now"
    said = [f"gained the category '{c}'" for c in more] + [
        f"lost the category '{c}'" for c in fewer
    ]
    return " and ".join(said) or "has its categories in another order"


def _or_none(value: str | None) -> str:
    return "none" if value is None else f"'{value}'"
