"""This module calls an operator's body: inputs are held to their schemas, outputs to theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Partitions, Tabular
from headrace.contents import TableContent
from headrace.errors import BoundaryError, DefinitionError
from headrace.promise import call_of, promised_schemas
from headrace.schemas import TableSchema
from headrace.signature import Bound, Slot
from headrace.tracing import tracing

if TYPE_CHECKING:
    from headrace.operation import Operator


def invoke(
    operator: Operator[..., Any],
    bound: Bound,
    *,
    promised: Mapping[str, TableSchema | None] | None = None,
) -> Any:
    """Run the body on the inputs it declared and return what it made, held to its promise.

    Args:
        operator: The operator.
        bound: The arguments.
        promised: Output name to the schema that the plan promised; None works it out from the
            inputs, and so does a None in it: what the plan could not know the run knows.

    Raises:
        BoundaryError: An input or output has the wrong kind or does not fit its schema.
    """
    signature = operator.signature
    arguments: dict[str, Any] = dict(bound.parameters)
    for slot in signature.inputs:
        value = bound.inputs.get(slot.name)
        if value is None:
            arguments[slot.name] = None
        elif slot.many:
            arguments[slot.name] = [
                received(operator.name, slot, item) for item in _listed(operator.name, slot, value)
            ]
        elif slot.partitioned and isinstance(value, Partitions) and value._symbol is None:
            arguments[slot.name] = Partitions.of(
                {name: received(operator.name, slot, item) for name, item in value.items.items()}
            )
        else:
            arguments[slot.name] = received(operator.name, slot, value)
    if promised is None or None in promised.values():
        known = promised_schemas(operator, call_of(operator, bound))
        promised = known | {k: v for k, v in (promised or {}).items() if v is not None}
    with tracing(None):
        made = operator.body(**arguments)
    return _checked_outputs(operator, made, promised)


def received(operator: str, slot: Slot, value: Any) -> Artifact:
    """Return an input as the body may see it: of a declared kind, with the declared columns."""
    if isinstance(value, Artifact) and value._symbol is not None:
        raise DefinitionError(
            f"Input '{slot.name}' of operator '{operator}' is {value!r}, which has no data outside "
            "the plan that it belongs to.",
            remedy="Run the flow and pass what it returned.",
        )
    if not isinstance(value, slot.accepts):
        raise _wrong_input(operator, slot, value)
    if not isinstance(value, Tabular) or slot.schema is None:
        return value
    where = f"Input '{slot.name}' of operator '{operator}'"
    wanted = slot.schema
    if slot.variable is not None and value.schema is not None:
        wanted = value.schema.received_as(wanted)
    content = value._content
    if not isinstance(content, TableContent):  # pragma: no cover - Tabular always holds a table
        raise TypeError(type(content).__name__)
    return type(value).holding(content.projected(wanted, where=where))


def _listed(operator: str, slot: Slot, value: Any) -> list[Any]:
    if isinstance(value, Partitions) and value._symbol is None:
        return list(value.items.values())
    if isinstance(value, list | tuple):
        return list(value)
    raise _wrong_input(operator, slot, value)


def _wrong_input(operator: str, slot: Slot, value: Any) -> BoundaryError:
    got = value.kind if isinstance(value, Artifact) else type(value).__name__
    return BoundaryError(
        f"Input '{slot.name}' of operator '{operator}' must be {slot.type_name()}, got {got}.",
        remedy="Pass an artifact of the kind that the operator declares.",
    )


def _checked_outputs(
    operator: Operator[..., Any], made: Any, promised: Mapping[str, TableSchema | None]
) -> Any:
    outputs = operator.signature.outputs
    if operator.signature.single:
        values = (made,) if outputs or made is not None else ()
    else:
        values = tuple(made) if isinstance(made, tuple) else (made,)
    if len(values) != len(outputs):
        raise BoundaryError(
            f"Operator '{operator.name}' declares {len(outputs)} outputs but returned "
            f"{len(values)}.",
            remedy="Return a tuple with one artifact for each declared output.",
        )
    checked = tuple(
        _checked_output(operator.name, slot, value, promised.get(slot.name))
        for slot, value in zip(outputs, values, strict=True)
    )
    if not operator.signature.single:
        return checked
    return checked[0] if checked else None


def _checked_output(
    operator: str, slot: Slot, value: Any, promised: TableSchema | None
) -> Artifact:
    if slot.partitioned:
        if not isinstance(value, Partitions):
            raise _wrong_kind(operator, slot, value)
        inner = Slot(name=slot.name, kinds=slot.kinds, schema=slot.schema, variable=slot.variable)
        return Partitions.of(
            {str(k): _checked_output(operator, inner, v, promised) for k, v in value.items.items()}
        )
    if not isinstance(value, slot.accepts):
        raise _wrong_kind(operator, slot, value)
    if not isinstance(value, Tabular):
        return value
    if promised is None:
        return value
    where = f"Output '{slot.name}' of operator '{operator}'"
    from headrace.conform import conform

    table = conform(value.arrow(), promised, where=where)
    content = TableContent(load=lambda: table, schema=promised, known_rows=table.num_rows)
    return type(value).holding(content)


def _wrong_kind(operator: str, slot: Slot, value: Any) -> DefinitionError:
    got = value.kind if isinstance(value, Artifact) else type(value).__name__
    return DefinitionError(
        f"Operator '{operator}' declares output '{slot.name}' as {slot.type_name()} "
        f"but returned {got}.",
        remedy="Return what the signature says, or change the signature.",
    )
