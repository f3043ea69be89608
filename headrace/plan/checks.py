"""This module checks a planned call edge by edge: kinds, columns, types, units, roles, grants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError, did_you_mean
from headrace.grants import covers
from headrace.operation import PlannedCall
from headrace.plan.graph import Edge, Ref
from headrace.schemas import TIME_ROLES, Column, TableSchema
from headrace.signature import Slot
from headrace.symbols import Symbol

if TYPE_CHECKING:
    from headrace.operation import Operator

Found = tuple[str, str, str]  # rule, problem, remedy


def check_call(
    operator: Operator[..., Any],
    call: PlannedCall,
    *,
    inputs: Mapping[str, tuple[Ref, ...]],
    path: str,
    grants: Sequence[str],
    over: str | None,
) -> tuple[list[Found], list[Edge]]:
    """Return what is wrong with a call, and its edges.

    Args:
        operator: The operator.
        call: Parameters and input symbols.
        inputs: Where each input comes from.
        path: The node's path.
        grants: What external data the flow may read.
        over: The argument that `map` runs over, if only the data knows the partitions.

    Returns:
        Findings as (rule, problem, remedy), and one edge per input artifact.
    """
    found: list[Found] = []
    edges: list[Edge] = []
    for slot in operator.signature.inputs:
        for ref, symbol in zip(
            inputs.get(slot.name, ()), call.inputs.get(slot.name, ()), strict=True
        ):
            edge = f"'{ref}' → '{path}.{slot.name}'"
            wrong = list(_kind(slot, symbol, edge, over))
            checked = slot.schema is None or symbol.schema is not None
            if not wrong and slot.schema is not None and symbol.schema is not None:
                wrong = list(_columns(slot.schema, symbol.schema, edge))
            found.extend(wrong)
            edges.append(Edge(source=ref, target=path, input=slot.name, checked=checked))
    found.extend(_same_variable(operator, call, path))
    found.extend(_task(operator, call, path))
    if not found and operator.options.check is not None:
        for finding in operator.options.check(call):
            about = f"'{path}.{finding.input}'" if finding.input else f"'{path}'"
            source = inputs.get(finding.input or "", ())
            edge = f"'{source[0]}' → {about}" if source else about
            found.append((finding.rule, f"{edge}: {finding.problem}", finding.remedy))
    found.extend(_grants(operator, call, path, grants))
    return found, edges


def _kind(slot: Slot, symbol: Symbol, edge: str, over: str | None) -> Iterator[Found]:
    if symbol.partitioned and not (slot.many or slot.partitioned or slot.name == over):
        yield (
            "wrong kind",
            f"{edge}: the input takes one {slot.type_name()}, but partitions arrive.",
            "Call it with `.map(over=...)`, or let the operator take a list.",
        )
    elif symbol.kind not in slot.kinds:
        yield (
            "wrong kind",
            f"{edge}: the input takes {slot.type_name()}, got {symbol.kind}.",
            _kind_remedy(slot, symbol),
        )


def _kind_remedy(slot: Slot, symbol: Symbol) -> str:
    if symbol.kind == "TestSet":
        return (
            "Pass the training or validation set; the test set is opened only by `evaluate`, "
            "for the selected model."
        )
    if slot.kinds == ("SelectedModel",):
        return "Pass the model that `select` returned; only it may be tested and registered."
    return f"Pass what an operator returns as {' or '.join(slot.kinds)}."


def _columns(wanted: TableSchema, has: TableSchema, edge: str) -> Iterator[Found]:
    for column in wanted.columns:
        if column.name not in has:
            yield (
                "missing column",
                f"{edge}: column '{column.name}' of schema '{wanted.name}' is missing from "
                f"'{has.name}'.{did_you_mean(column.name, has.names)}",
                "Add the column upstream, or take it out of the schema.",
            )
        else:
            yield from _column(column, has.column(column.name), wanted, has, edge)


def _column(
    column: Column, given: Column, wanted: TableSchema, has: TableSchema, edge: str
) -> Iterator[Found]:
    about = f"{edge}: column '{column.name}'"
    widened = (given.dtype, column.dtype) in {("int", "float"), ("category", "string")}
    if given.dtype != column.dtype and not widened:
        yield (
            "wrong dtype",
            f"{about} is {given.type_name()} in '{has.name}' but {column.type_name()} "
            f"in '{wanted.name}'.",
            "Convert it in an operator, or declare what the data is.",
        )
        return
    if given.nullable and not column.nullable:
        yield (
            "nulls",
            f"{about} may be null in '{has.name}' but not in '{wanted.name}'.",
            f"Fill or drop the nulls upstream, or declare `{column.name}: ... | None`.",
        )
    if column.unit is not None and given.unit != column.unit:
        yield (
            "wrong unit",
            f"{about} is in {_unit(given)} in '{has.name}' but in '{column.unit}' "
            f"in '{wanted.name}'.",
            "Convert it in an operator that declares the new unit.",
        )
    timed = column.role in TIME_ROLES or given.role in TIME_ROLES
    if timed and column.role is not None and given.role != column.role:
        yield (
            "wrong time",
            f"{about} is the {given.role or 'plain'} column in '{has.name}' but has role "
            f"'{column.role}' in '{wanted.name}'.",
            "Pass the table whose column has that meaning.",
        )
    if column.role == "label" and given.role not in ("label", None):
        yield (
            "wrong role",
            f"{about} has role '{given.role}' in '{has.name}' but is the label in '{wanted.name}'.",
            "Pass the table that carries the label.",
        )


def _unit(column: Column) -> str:
    return f"'{column.unit}'" if column.unit else "no declared unit"


def _same_variable(operator: Operator[..., Any], call: PlannedCall, path: str) -> Iterator[Found]:
    bound: dict[str, tuple[str, TableSchema]] = {}
    for slot in operator.signature.inputs:
        schema = call.schema(slot.name)
        if slot.variable is None or schema is None:
            continue
        if slot.variable not in bound:
            bound[slot.variable] = slot.name, schema
            continue
        other, first = bound[slot.variable]
        differing = _differing(first, schema)
        if differing:
            yield (
                "different columns",
                f"'{path}': inputs '{other}' and '{slot.name}' must have the same columns, "
                f"but differ in {', '.join(repr(n) for n in differing[:5])}.",
                "Take both from the same split.",
            )


def _differing(one: TableSchema, two: TableSchema) -> list[str]:
    types = [{c.name: (c.dtype, c.unit, c.role) for c in s.columns} for s in (one, two)]
    names = sorted(types[0].keys() | types[1].keys())
    return [n for n in names if types[0].get(n) != types[1].get(n)]


def _task(operator: Operator[..., Any], call: PlannedCall, path: str) -> Iterator[Found]:
    tasks = {s.task for group in call.inputs.values() for s in group if s.task}
    if operator.options.task:
        tasks.add(operator.options.task)
    if len(tasks) > 1:
        yield (
            "wrong task",
            f"'{path}': {' and '.join(sorted(tasks))} meet in one call.",
            "Use models and operators of one task together.",
        )


def _grants(
    operator: Operator[..., Any], call: PlannedCall, path: str, grants: Sequence[str]
) -> Iterator[Found]:
    if operator.options.reads is None:
        return
    try:
        externals = operator.options.reads(call.parameters)
    except HeadraceError as error:
        yield "definition", f"'{path}': {error.problem}", error.remedy
        return
    except (KeyError, TypeError):  # a parameter is missing or wrong, and was reported as that
        return
    for external in externals:
        if not covers(grants, external.name):
            has = ", ".join(f"'{g}'" for g in grants) or "nothing"
            yield (
                "missing grant",
                f"'{path}' reads '{external.name}', but the flow is granted {has}.",
                f"Add it to the flow: `@flow(grants=['{external.name}'])`.",
            )


def check_machine(operator: Operator[..., Any]) -> Iterator[Found]:
    """Yield what the operator needs and this machine does not have."""
    from headrace.machine import machine, parsed_bytes

    options, here = operator.options, machine()
    for what, needed, has in (
        ("cores", options.cpu, here.cores),
        ("GPUs", options.gpu, here.gpus),
    ):
        if needed > has:
            yield (
                "hardware",
                f"Operator '{operator.name}' needs {needed:g} {what}; this machine has {has}.",
                "Lower what the decorator declares, or run it where there is more.",
            )
    if options.memory is not None and parsed_bytes(options.memory) > here.memory:
        yield (
            "hardware",
            f"Operator '{operator.name}' needs {options.memory} of memory; this machine has "
            f"{here.memory / 1e9:.1f}GB.",
            "Lower what the decorator declares, or run it where there is more.",
        )
