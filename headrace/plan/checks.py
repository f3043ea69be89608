"""This module checks a planned call edge by edge: kinds, columns, types, units, roles, grants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from headrace.calls import PlannedCall
from headrace.errors import HeadraceError
from headrace.grants import current_reader, refusals
from headrace.plan.columns import differing_columns, unfitting_columns
from headrace.plan.graph import Edge, Ref
from headrace.plan.outputs import failed
from headrace.signature import Wrong
from headrace.slots import Slot
from headrace.symbols import Symbol

if TYPE_CHECKING:
    from headrace.operation import Operator
    from headrace.schemas import TableSchema


def check_call(
    operator: Operator[..., Any],
    call: PlannedCall,
    *,
    inputs: Mapping[str, tuple[Ref, ...]],
    path: str,
    over: str | None,
    complete: bool = True,
) -> tuple[list[Wrong], list[str], list[Edge]]:
    """Return what is wrong with a call, what it is warned of, and its edges.

    What the flow is granted is that of `granting`, in which the plan is made.

    Args:
        operator: The operator.
        call: Parameters and input symbols.
        inputs: Where each input comes from.
        path: The node's path.
        over: The argument that `map_over` runs over, if only the data knows the partitions.
        complete: Whether all arguments are there and right, so that the operator's own check
            and grants can be asked.

    Returns:
        What is wrong, warnings, and one edge per input artifact.
    """
    found: list[Wrong] = []
    warnings: list[str] = []
    edges: list[Edge] = []
    for slot in operator.signature.inputs:
        for ref, symbol in zip(
            inputs.get(slot.name, ()), call.inputs.get(slot.name, ()), strict=True
        ):
            edge = f"'{ref}' → '{path}.{slot.name}'"
            wrong = list(_kind(slot, symbol, edge, over))
            checked = slot.schema is None or symbol.schema is not None
            if not wrong and slot.schema is not None and symbol.schema is not None:
                wrong = list(unfitting_columns(slot.schema, symbol.schema, edge))
            found.extend(wrong)
            edges.append(Edge(source=ref, target=path, input=slot.name, checked=checked))
    found.extend(_same_variable(operator, call, path))
    found.extend(_task(operator, call, path))
    if complete and not found:
        found.extend(_own_findings(operator, call, inputs, path, warnings))
    if complete:
        found.extend(_grants(operator, call, path))
    return found, warnings, edges


def _own_findings(
    operator: Operator[..., Any],
    call: PlannedCall,
    inputs: Mapping[str, tuple[Ref, ...]],
    path: str,
    warnings: list[str],
) -> Iterator[Wrong]:
    if operator.options.check is None:
        return
    try:
        findings = list(operator.options.check(call))
    except HeadraceError as error:
        yield Wrong("definition", f"'{path}': {error.problem}", error.remedy)
        return
    except Exception as error:  # the check is the user's code; a plan says so and goes on
        yield failed("check", operator.name, path, error)
        return
    for finding in findings:
        about = f"'{path}.{finding.input}'" if finding.input else f"'{path}'"
        source = inputs.get(finding.input or "", ())
        edge = f"'{source[0]}' → {about}" if source else about
        if finding.warning:
            warnings.append(f"{edge}: {finding.problem} {finding.remedy}")
        else:
            yield Wrong(finding.rule, f"{edge}: {finding.problem}", finding.remedy)


def _kind(slot: Slot, symbol: Symbol, edge: str, over: str | None) -> Iterator[Wrong]:
    takes_partitions = slot.many or slot.partitioned or slot.name == over
    if symbol.partitioned and not takes_partitions:
        yield Wrong(
            "wrong kind",
            f"{edge}: the input takes one {slot.type_name()}, but partitions arrive.",
            "Call it with `map_over(operator, partitions)`, or let the operator take a list.",
        )
    elif slot.partitioned and not symbol.partitioned:
        yield Wrong(
            "wrong kind",
            f"{edge}: the input takes {slot.type_name()}, got one {symbol.kind}.",
            "Pass what an operator returns as Partitions.",
        )
    elif symbol.kind not in slot.kinds:
        yield Wrong(
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


def _same_variable(operator: Operator[..., Any], call: PlannedCall, path: str) -> Iterator[Wrong]:
    bound: dict[str, tuple[str, TableSchema]] = {}
    for slot in operator.signature.inputs:
        for symbol in call.inputs.get(slot.name, ()):
            if slot.variable is None or symbol.schema is None:
                continue
            other, first = bound.setdefault(slot.variable, (slot.name, symbol.schema))
            differing = differing_columns(first, symbol.schema)
            if differing:
                names = f"'{other}' and '{slot.name}'" if other != slot.name else f"of '{other}'"
                yield Wrong(
                    "different columns",
                    f"'{path}': inputs {names} must have the same columns, "
                    f"but differ in {', '.join(repr(n) for n in differing[:5])}.",
                    "Take both from the same split.",
                )


def _task(operator: Operator[..., Any], call: PlannedCall, path: str) -> Iterator[Wrong]:
    tasks = {s.task for group in call.inputs.values() for s in group if s.task}
    if operator.options.task:
        tasks.add(operator.options.task)
    if len(tasks) > 1:
        yield Wrong(
            "wrong task",
            f"'{path}': {' and '.join(sorted(tasks))} meet in one call.",
            "Use models and operators of one task together.",
        )


def _grants(operator: Operator[..., Any], call: PlannedCall, path: str) -> Iterator[Wrong]:
    reader = current_reader()
    if operator.options.reads is None or reader is None:
        return
    try:
        externals = operator.options.reads(call.parameters)
    except HeadraceError as error:
        yield Wrong("definition", f"'{path}': {error.problem}", error.remedy)
        return
    except Exception as error:  # `reads` is the user's code; a plan says so and goes on
        yield failed("reads", operator.name, path, error)
        return
    yield from (Wrong(*each) for each in refusals(externals, reader, subject=f"'{path}'"))


def check_machine(operator: Operator[..., Any]) -> Iterator[Wrong]:
    """Yield what the operator needs and this machine does not have, or does not give to flows."""
    from headrace.capacity import capacity_of, unknown_limit
    from headrace.machine import parsed_bytes
    from headrace.settings import settings

    options, here = operator.options, capacity_of(settings())
    for what, needed, has in (
        ("cores", options.cpu, here.cores),
        ("GPUs", options.gpu, here.gpus),
    ):
        if needed > has:
            yield Wrong(
                "hardware",
                f"Operator '{operator.name}' needs {needed:g} {what}; this machine has {has}.",
                "Lower what the decorator declares, or run it where there is more.",
            )
    if options.memory is not None and parsed_bytes(options.memory) > here.memory:
        yield Wrong(
            "hardware",
            f"Operator '{operator.name}' needs {options.memory} of memory; this machine has "
            f"{here.memory / 1e9:.1f}GB.",
            "Lower what the decorator declares, or run it where there is more.",
        )
    for name in options.limits:
        if name not in here.limits:
            error = unknown_limit(f"operator '{operator.name}'", name, here)
            yield Wrong("unknown limit", error.problem, error.remedy)
