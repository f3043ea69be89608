"""This module holds the laws that operators and stores keep, as tests for your own ones.

def test_label_late_keeps_the_contract():
    check_operator(label_late, flights, above=15.0)

class TestMyStore(StoreContract):
    def make_store(self, tmp_path):
        return MyStore(tmp_path)
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Artifact, Document, Partitions, Tabular
from headrace.errors import HeadraceError
from headrace.invoke import invoke
from headrace.operation import Operator
from headrace.plan import plan_flow

if TYPE_CHECKING:
    from headrace.signature import Bound
    from headrace.store.contract import StoreContract

__all__ = ["StoreContract", "check_operator"]


def check_operator(operator: Operator[..., Any], *args: Any, **kwargs: Any) -> None:
    """Call an operator on an example and check that it keeps what every operator promises.

    It has a one-line summary, can be pickled by name, makes what it declares, makes it again from
    the same inputs (unless `deterministic=False`), leaves its inputs alone, treats empty tables
    or refuses them with a remedy, and takes parameters that a plan can show. An effect is called
    once only, and not on empty tables.

    Args:
        operator: The operator.
        *args: Its arguments: artifacts and plain values, as in a call.
        **kwargs: Its arguments by name.

    Raises:
        AssertionError: It breaks a law; the message says which, and what to do.
        HeadraceError: The example itself is refused.
    """
    _check_summary(operator)
    _check_pickle(operator)
    bound = operator.signature.bind(args, kwargs)
    _check_parameters(operator, bound)
    _check_plan(operator, args, kwargs)
    before = _fingerprints(bound)
    first = _called(operator, bound)
    changed = [name for name, found in _fingerprints(bound).items() if found != before[name]]
    if changed:
        raise AssertionError(
            f"Operator '{operator.name}' changed its input '{changed[0]}'. Work on a copy: "
            "artifacts are shared by every operator that takes them."
        )
    if operator.options.effect:
        return
    if operator.options.deterministic:
        _check_repeats(operator, first, _called(operator, bound))
    _check_empty(operator, bound)


def __getattr__(name: str) -> Any:
    if name != "StoreContract":
        raise AttributeError(f"module 'headrace.testing' has no attribute '{name}'")
    from headrace.store.contract import StoreContract  # needs pytest, which only tests have

    return StoreContract


def _check_summary(operator: Operator[..., Any]) -> None:
    lines = (operator.body.__doc__ or "").strip().splitlines()
    if not lines or not lines[0].rstrip().endswith("."):
        raise AssertionError(
            f"Operator '{operator.name}' has no summary. Begin its docstring with one sentence on "
            "one line: people read it in plans and in the Prefect UI."
        )
    if len(lines) > 1 and lines[1].strip():
        raise AssertionError(
            f"The summary of operator '{operator.name}' goes on in its second line. Say it in one "
            "line and leave a blank line after it."
        )


def _check_pickle(operator: Operator[..., Any]) -> None:
    try:
        found = pickle.loads(pickle.dumps(operator))  # noqa: S301  it was made here
    except HeadraceError as error:
        raise AssertionError(
            f"Operator '{operator.name}' cannot be pickled by its name, so no other process can "
            f"run it. {error.remedy}"
        ) from error
    if found is not operator:
        raise AssertionError(
            f"The name '{operator.name}' of module '{operator.module}' stands for another operator."
            " Give each a name of its own."
        )


def _check_parameters(operator: Operator[..., Any], bound: Bound) -> None:
    from pydantic import TypeAdapter
    from pydantic_core import PydanticSerializationError

    for parameter in operator.signature.parameters:
        value = bound.parameters[parameter.name]
        try:
            json.dumps(TypeAdapter(Any).dump_python(value, mode="json"))
        except (PydanticSerializationError, TypeError, ValueError) as error:
            raise AssertionError(
                f"Parameter '{parameter.name}' of operator '{operator.name}' is "
                f"{type(value).__name__}, which no form and no plan can show. Take plain values, "
                "dates, Enum, Literal or pydantic models, and data as an artifact."
            ) from error


def _check_plan(
    operator: Operator[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    def body() -> object:
        return operator(*args, **kwargs)

    grants = ["*"]
    plan = plan_flow("check_operator", body, {}, parameters={}, grants=grants)
    problems = [p for p in plan.problems if p.rule != "hardware"]
    if problems:
        raise AssertionError(
            f"A plan refuses operator '{operator.name}' on this example: {problems[0].problem} "
            f"{problems[0].remedy}"
        )


def _called(operator: Operator[..., Any], bound: Bound) -> tuple[Artifact, ...]:
    made = invoke(operator, bound)  # holds the outputs to the declared kinds and schemas
    if operator.signature.single:
        return () if made is None else (made,)
    return tuple(made)


def _check_repeats(
    operator: Operator[..., Any], first: Sequence[Artifact], second: Sequence[Artifact]
) -> None:
    slots = operator.signature.outputs
    for slot, one, two in zip(slots, first, second, strict=True):
        if one.digest != two.digest:
            raise AssertionError(
                f"Operator '{operator.name}' made another '{slot.name}' from the same inputs. "
                "Take randomness from a parameter `seed: int | None = None` and sort what has no "
                "order, or declare `@operator(deterministic=False)`."
            )


def _check_empty(operator: Operator[..., Any], bound: Bound) -> None:
    inputs = {name: _emptied(value) for name, value in bound.inputs.items()}
    if all(inputs[name] is bound.inputs[name] for name in inputs):
        return
    empty = type(bound)(inputs=inputs, parameters=bound.parameters)
    try:
        _called(operator, empty)
    except HeadraceError as error:
        if not error.remedy.strip():
            raise AssertionError(
                f"Operator '{operator.name}' refuses empty tables without a remedy: "
                f"{error.problem} Say what to do in `remedy=`."
            ) from error
    except Exception as error:
        raise AssertionError(
            f"Operator '{operator.name}' fails on empty tables with {type(error).__name__}: "
            f"{error}. Treat no rows, or refuse them: "
            "`raise DataError('...', remedy='...')`."
        ) from error


def _emptied(value: Any) -> Any:
    if isinstance(value, Tabular):
        return type(value).of(value.arrow().slice(0, 0), schema=value.schema)
    if isinstance(value, list | tuple):
        return [_emptied(item) for item in value]
    if isinstance(value, Partitions):
        return Partitions.of({name: _emptied(item) for name, item in value.items.items()})
    return value


def _fingerprints(bound: Bound) -> dict[str, Any]:
    """Return what inputs and parameters hold now, read anew: a digest may have been remembered."""
    held = {name: _fingerprint(value) for name, value in bound.inputs.items()}
    return held | {name: repr(value) for name, value in bound.parameters.items()}


def _fingerprint(value: Any) -> Any:
    from headrace.content import bytes_digest, document_digest, table_digest

    if isinstance(value, Tabular):
        return table_digest(value.arrow())
    if isinstance(value, Document):
        return document_digest(value.document)
    if isinstance(value, Partitions):
        return _fingerprint(list(value.items.values()))
    if isinstance(value, list | tuple):
        return [_fingerprint(item) for item in value]
    content = value._content
    return bytes_digest({name: content.read(name) for name in content.names()})
