"""This module says what is computed of a request, without the view: so that it travels as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features._on_demand_values import ReadyFunction
from headrace.schemas import Column, TableSchema

if TYPE_CHECKING:
    from features.on_demand import OnDemandView


@dataclass(frozen=True, kw_only=True)
class Argument:
    """This is one list that the function of an on-demand view is given.

    Args:
        name: Its name among the lists: the column's, or "view__column" where two views have it.
        column: The value of the request, or the feature, that it holds.
        view: The feature view; None for a value of the request.
        dtype: Its type; None where it is whatever the feature view has.
        is_moment: Whether it is the moment of the decision, which no request has to give.
    """

    name: str
    column: str
    view: str | None = None
    dtype: str | None = None
    is_moment: bool = False


@dataclass(frozen=True, kw_only=True)
class OnDemandCall:
    """This is what to call for an on-demand view: plain values, so that it travels as JSON.

    Args:
        view: Name of the view.
        module: Module of its function.
        function: The function's name there.
        code: Digest of the function and all that it reaches, as it was at deploy.
        arguments: What the function is given.
        columns: What it computes.
    """

    view: str
    module: str
    function: str
    code: str
    arguments: tuple[Argument, ...]
    columns: tuple[Column, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """The names of what it computes."""
        return tuple(column.name for column in self.columns)

    def to_json(self) -> dict[str, Any]:
        """Return the call as JSON-like data."""
        return {
            "view": self.view,
            "module": self.module,
            "function": self.function,
            "code": self.code,
            "arguments": [asdict(argument) for argument in self.arguments],
            "columns": [
                {name: list(v) if isinstance(v, tuple) else v for name, v in column.items()}
                for column in TableSchema(name="", columns=self.columns).to_json()["columns"]
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> OnDemandCall:
        """Return the call that `to_json` wrote."""
        columns = {"name": document["view"], "columns": document["columns"]}
        return cls(
            view=document["view"],
            module=document["module"],
            function=document["function"],
            code=document["code"],
            arguments=tuple(Argument(**each) for each in document["arguments"]),
            columns=TableSchema.from_json(columns).columns,
        )


def call_of(view: OnDemandView, roots: Sequence[Path]) -> OnDemandCall:
    """Return what to call for a view, with the digest of its code as it is now.

    Args:
        view: The view.
        roots: Folders of first-party code.

    Raises:
        DefinitionError: Its function cannot be imported elsewhere, or not be seen through.
    """
    from features._on_demand_code import code_of, require_importable

    require_importable(view.name, view.compute, roots)
    return OnDemandCall(
        view=view.name,
        module=view.compute.__module__,
        function=view.compute.__qualname__,
        code=code_of(view.name, view.compute, roots),
        arguments=view.arguments,
        columns=view.columns,
    )


def ready_function(call: OnDemandCall, roots: Sequence[Path]) -> ReadyFunction:
    """Import the function of a call and return it, ready to be called for one request.

    Raises:
        DefinitionError: It cannot be imported, or is not what it was at deploy.
    """
    from features._on_demand_code import same_function

    function = same_function(call.view, call.module, call.function, call.code, roots)
    return ReadyFunction(call.view, call.columns, function)
