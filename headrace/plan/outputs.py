"""This module says what a planned call will make: a symbol for each output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from headrace.calls import PlannedCall
from headrace.errors import HeadraceError, UnknownNameError
from headrace.models import Task
from headrace.promise import promised_schemas
from headrace.signature import Wrong
from headrace.symbols import Symbol

if TYPE_CHECKING:
    from headrace.operation import Operator
    from headrace.schemas import TableSchema

MODELS = ("Model", "SelectedModel")


def planned_outputs(
    operator: Operator[..., Any], call: PlannedCall, *, path: str, over: str | None
) -> tuple[dict[str, Symbol], list[Wrong]]:
    """Return the outputs of a call, and what is wrong with how their columns are declared.

    Args:
        operator: The operator.
        call: Parameters and input symbols.
        path: The node's path.
        over: The argument that `map_over` runs over, if only the data knows the partitions.
    """
    schemas: dict[str, TableSchema | None] = {}
    wrong: list[Wrong] = []
    try:
        schemas = promised_schemas(operator, call)
    except HeadraceError as error:
        rule = "unknown column" if isinstance(error, UnknownNameError) else "definition"
        wrong.append(Wrong(rule, f"'{path}': {error.problem}", error.remedy))
    except Exception as error:  # `produces` is the user's code; a plan says so and goes on
        wrong.append(failed("produces", operator.name, path, error))
    if operator.options.infer:
        from headrace.plan.inference import inferred_outputs

        schemas = inferred_outputs(operator, call) | {k: v for k, v in schemas.items() if v}
    task = (
        operator.options.task
        or task_named(call)
        or next((s.task for group in call.inputs.values() for s in group if s.task), None)
    )
    outputs = {
        slot.name: Symbol(
            node=path,
            slot=slot.name,
            kind=slot.kinds[0],
            schema=schemas.get(slot.name),
            task=task if slot.kinds[0] in MODELS else None,
            partitioned=slot.partitioned or over is not None,
        )
        for slot in operator.signature.outputs
    }
    return outputs, wrong


def task_named(call: PlannedCall) -> str | None:
    """Return the task that a call names in its parameter `task`, as trainers take it."""
    named = call.parameters.get("task")
    return named if named in get_args(Task) else None


def failed(what: str, operator: str, path: str, error: Exception) -> Wrong:
    """Return the finding for a declaration of an operator that raised."""
    return Wrong(
        "definition",
        f"'{path}': `{what}` of operator '{operator}' raised {type(error).__name__}: {error}.",
        f"Correct the function that the operator declares as `{what}`.",
    )
