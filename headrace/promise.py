"""This module works out what an operator's outputs will hold, before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Partitions, Tabular, kind_named
from headrace.calls import Options, PlannedCall
from headrace.schemas import TableSchema
from headrace.signature import Bound, Signature, Slot
from headrace.symbols import Symbol

if TYPE_CHECKING:
    from headrace.operation import Operator


def promised_schemas(
    operator: Operator[..., Any], call: PlannedCall
) -> dict[str, TableSchema | None]:
    """Return each output's schema as far as it is known from the inputs' schemas.

    A `produces` function decides first; then keeps, drops, renames and adds, applied to the first
    tabular input; then the declared schema, or what its type variable is bound to.

    Args:
        operator: The operator.
        call: Parameters and input symbols.

    Returns:
        Output name to schema; None where nobody knows it until the run.
    """
    signature, options = operator.signature, operator.options
    given: Mapping[str, TableSchema | None] = {}
    if options.produces is not None:
        produced = options.produces(call)
        if isinstance(produced, Mapping):
            given = produced
        else:
            tabular = [s for s in signature.outputs if _is_tabular(s)]
            given = {s.name: produced for s in tabular[:1]}
    declared = {
        s.name: _declared(s, signature, call, options)
        for s in signature.outputs
        if s.name not in given
    }
    return {s.name: {**declared, **given}[s.name] for s in signature.outputs}


def _declared(
    slot: Slot, signature: Signature, call: PlannedCall, options: Options
) -> TableSchema | None:
    if not _is_tabular(slot):
        return _fitted_on(slot, signature, call)
    base = slot.schema if slot.variable is None else _binding(slot.variable, signature, call)
    if options.keeps is None and not (options.drops or options.renames or options.adds):
        return base
    if slot.variable is None and slot.schema is None:
        base = _first_tabular(signature, call)
    return None if base is None else transformed(base, options)


def transformed(base: TableSchema, options: Options) -> TableSchema:
    """Return a schema after keeps, drops, renames and adds, in this order."""
    schema = base
    if options.keeps is not None:
        schema = schema.keeping(options.keeps)
    if options.drops:
        schema = schema.dropping(options.drops)
    if options.renames:
        schema = schema.renaming(options.renames)
    return schema.adding(options.adds) if options.adds else schema


def _is_tabular(slot: Slot) -> bool:
    return issubclass(kind_named(slot.kinds[0]), Tabular)


def _binding(variable: str, signature: Signature, call: PlannedCall) -> TableSchema | None:
    for slot in signature.inputs:
        if slot.variable == variable and slot.name in call.inputs:
            given = call.schema(slot.name)
            if given is None or slot.schema is None:
                return given
            return given.received_as(slot.schema)
    return None


def _first_tabular(signature: Signature, call: PlannedCall) -> TableSchema | None:
    for slot in signature.inputs:
        if _is_tabular(slot):
            return call.schema(slot.name)
    return None


def _fitted_on(slot: Slot, signature: Signature, call: PlannedCall) -> TableSchema | None:
    """Return, for a model, the columns of the set it is fitted on or of the model it comes from."""
    if slot.kinds[0] not in ("Model", "SelectedModel"):
        return None
    for wanted in ("TrainSet", "Model"):
        for given in signature.inputs:
            if wanted in given.kinds and call.schema(given.name) is not None:
                return call.schema(given.name)
    return None


def call_of(operator: Operator[..., Any], bound: Bound) -> PlannedCall:
    """Return a call on real artifacts as the plan would see it."""
    inputs = {
        name: tuple(symbol_of(a) for a in _listed(value)) for name, value in bound.inputs.items()
    }
    return PlannedCall(operator=operator.name, parameters=bound.parameters, inputs=inputs)


def symbol_of(artifact: Artifact) -> Symbol:
    """Return what is known of an artifact without reading its data."""
    if artifact._symbol is not None:
        return artifact._symbol
    if isinstance(artifact, Partitions):
        return _symbol_of_partitions(artifact)
    schema = artifact.schema if isinstance(artifact, Tabular) else None
    return Symbol(node="given", slot="result", kind=artifact.kind, schema=schema)


def _symbol_of_partitions(partitions: Partitions[Any]) -> Symbol:
    symbols = [symbol_of(item) for item in partitions.items.values()]
    if not symbols:
        return Symbol(node="given", slot="result", kind="Artifact", partitioned=True)
    schemas = {s.schema for s in symbols}
    return replace(
        symbols[0], schema=schemas.pop() if len(schemas) == 1 else None, partitioned=True
    )


def _listed(value: Any) -> list[Artifact]:
    if isinstance(value, Partitions) and value._symbol is None:
        return list(value.items.values())
    return list(value) if isinstance(value, list | tuple) else [value]
