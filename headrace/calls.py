"""This module holds what a decorator declares, and a call as the plan sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.schemas import Column, TableSchema
from headrace.symbols import Symbol

if TYPE_CHECKING:
    from headrace.grants import External


@dataclass(frozen=True, kw_only=True)
class PlannedCall:
    """This is a call as the plan sees it: parameters are values, inputs are symbols.

    Args:
        operator: Name of the operator.
        parameters: Parameter values, defaults filled in.
        inputs: Input name to its symbols (one, or as many as the list that was given).
    """

    operator: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, tuple[Symbol, ...]]

    def schema(self, name: str) -> TableSchema | None:
        """Return the schema of an input, None when it is not known or the input not given."""
        symbols = self.inputs.get(name, ())
        return symbols[0].schema if symbols else None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """This is a problem that an operator's own check found in a planned call.

    Args:
        problem: What is wrong, as whole sentences.
        remedy: What to do about it.
        rule: Short name of the rule, such as "leak" or "unknown view".
        input: The input it is about, None for the call as a whole.
        warning: Whether the plan only says so, and runs all the same.
    """

    problem: str
    remedy: str
    rule: str
    input: str | None = None
    warning: bool = False


Check = Callable[[PlannedCall], Sequence[Finding]]
Needs = Callable[[Mapping[str, Any]], Finding | None]
Produces = Callable[[PlannedCall], "TableSchema | Mapping[str, TableSchema | None] | None"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """This is what the decorator declares beside the signature; see `operator`."""

    effect: bool = False
    deterministic: bool = True
    always: bool = False
    cpu: float = 1.0
    gpu: float = 0.0
    memory: str | None = None
    limits: tuple[str, ...] = ()
    retries: int = 0
    timeout: float | None = None
    reads: Callable[[Mapping[str, Any]], Sequence[External]] | None = None
    keeps: tuple[str, ...] | None = None
    adds: tuple[Column, ...] = ()
    drops: tuple[str, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    produces: Produces | None = None
    check: Check | None = None
    task: str | None = None
    infer: bool = False
    named_by: str | None = None
    needs: Needs | None = None
