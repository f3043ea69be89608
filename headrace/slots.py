"""This module reads type hints: which are artifacts, of which kinds, with which columns."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, Union

from headrace.artifacts import Artifact, Document, Model, Partitions, Tabular, kind_named
from headrace.errors import DefinitionError
from headrace.schemas import TableSchema, schema_of


@dataclass(frozen=True, kw_only=True)
class Slot:
    """This is an input or output of an operator: a kind, and what is declared of its columns.

    Args:
        name: Argument name, or the name of the output.
        kinds: The artifact kinds allowed; exactly one for an output.
        schema: The declared schema, None when any.
        variable: Name of the schema's type variable, which carries all columns through.
        many: A list of artifacts.
        partitioned: Partitions, whose number only the data knows.
        optional: May be None.
    """

    name: str
    kinds: tuple[str, ...]
    schema: TableSchema | None = None
    variable: str | None = None
    many: bool = False
    partitioned: bool = False
    optional: bool = False

    @property
    def accepts(self) -> tuple[type[Artifact], ...]:
        """The artifact classes allowed."""
        return tuple(kind_named(k) for k in self.kinds)

    def type_name(self) -> str:
        """Return the slot's type as a reader would write it."""
        inner = f"[{self.schema.name}]" if self.schema else ""
        kinds = [k for k in self.kinds if k != "SelectedModel" or "Model" not in self.kinds]
        kind = " | ".join(f"{k}{inner}" for k in kinds)
        if self.partitioned:
            return f"Partitions[{kind}]"
        return f"list[{kind}]" if self.many else kind


def slot_of(name: str, hint: Any) -> Slot | None:
    """Return the slot that a type hint declares, None when it is a plain value.

    Raises:
        DefinitionError: The hint mixes artifacts in a way that no plan can follow.
    """
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (Union, types.UnionType):
        return _slot_of_union(name, hint)
    origin = typing.get_origin(hint) or hint
    if origin in (list, Sequence) and typing.get_args(hint):
        inner = slot_of(name, typing.get_args(hint)[0])
        if inner is not None and (inner.many or inner.partitioned or inner.optional):
            raise _unreadable(name, hint)
        return None if inner is None else replace(inner, many=True)
    if not (isinstance(origin, type) and issubclass(origin, Artifact)):
        if any(_mentions_artifact(argument) for argument in typing.get_args(hint)):
            raise _unreadable(name, hint)
        return None
    if origin is Partitions:
        inner = slot_of(name, (*typing.get_args(hint), Artifact)[0])
        if inner is None or inner.many or inner.partitioned or inner.optional:
            raise _unreadable(name, hint)
        return replace(inner, partitioned=True)
    schema, variable = None, None
    if issubclass(origin, Tabular) and typing.get_args(hint):
        declared = typing.get_args(hint)[0]
        if isinstance(declared, TypeVar):
            variable = declared.__name__
            declared = declared.__bound__ or Any
        schema = schema_of(declared)
    return Slot(name=name, kinds=_kinds(origin), schema=schema, variable=variable)


def _slot_of_union(name: str, hint: Any) -> Slot | None:
    options = [o for o in typing.get_args(hint) if o is not type(None)]
    optional = len(options) < len(typing.get_args(hint))
    found = [slot_of(name, option) for option in options]
    slots = [s for s in found if s is not None]
    if not slots:
        return None
    kinds = tuple(dict.fromkeys(k for s in slots for k in s.kinds))
    first = replace(slots[0], kinds=kinds, optional=optional)
    if len(slots) < len(found) or any(
        replace(s, kinds=kinds, optional=optional) != first for s in slots
    ):
        raise _unreadable(name, hint)
    return first


def _mentions_artifact(hint: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and issubclass(origin, Artifact):
        return True
    return any(_mentions_artifact(argument) for argument in typing.get_args(hint))


def _unreadable(name: str, hint: Any) -> DefinitionError:
    about = f"Argument '{name}'" if name else "An output"
    return DefinitionError(
        f"{about} has type {hint!r}, which holds artifacts in a way that no plan can follow.",
        remedy="Declare one artifact, `list[Table[...]]`, `Partitions[Table[...]]`, a union of "
        "kinds with one schema, or any of these `| None`.",
    )


def _kinds(origin: type[Artifact]) -> tuple[str, ...]:
    if origin is Model:
        return ("Model", "SelectedModel")  # the selected model is a model
    if origin in (Tabular, Document, Artifact):
        return tuple(k.__name__ for k in _concrete(origin))
    return (origin.__name__,)


def _concrete(kind: type[Artifact]) -> list[type[Artifact]]:
    below = [k for k in kind.__subclasses__() if k is not Partitions]
    return [k for b in below for k in (b, *_concrete(b)) if not k.__subclasses__() or k is Model]


def output_slots(operator: str, hint: Any) -> tuple[tuple[Slot, ...], bool]:
    """Return the outputs that a return type declares, and whether it is one alone or none.

    Raises:
        DefinitionError: It is no artifact, and no tuple of artifacts.
    """
    if hint is type(None):
        return (), True
    parts = typing.get_args(hint) if typing.get_origin(hint) is tuple else (hint,)
    slots = []
    for part in parts:
        slot = None if part is ... or part is None else slot_of("", part)
        one_kind = slot is not None and (len(slot.kinds) == 1 or slot.kinds[0] == "Model")
        if slot is None or slot.many or slot.optional or not one_kind:
            raise DefinitionError(
                f"Operator '{operator}' returns {_shown(hint)}, which is no artifact of one kind.",
                remedy="Return one artifact or a tuple of artifacts, such as Table[Flights].",
            )
        slots.append(replace(slot, kinds=slot.kinds[:1]))
    if typing.get_origin(hint) is not tuple:
        return (replace(slots[0], name="result"),), True
    kinds = [_snake(s.kinds[0]) for s in slots]
    names = [k if kinds.count(k) == 1 else f"{k}_{i + 1}" for i, k in enumerate(kinds)]
    return tuple(replace(s, name=n) for s, n in zip(slots, names, strict=True)), False


def _shown(hint: Any) -> str:
    return getattr(hint, "__name__", None) or repr(hint)


def _snake(kind: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
