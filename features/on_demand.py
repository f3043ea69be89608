"""This module says what an on-demand view is: features computed from the request itself.

A feature view holds what was known of an entity before. An on-demand view computes, when a decision
is asked for, from values of the request and from features of views: a ratio, an hour of the week.
It is one function from lists to lists, and the same one offline and online.
`features/flight_calendar.py` is a short one to copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from features._on_demand_rules import check_on_demand, needs_of, output_columns, request_schema
from features._view_rules import Stage, require_name
from features.on_demand_call import Argument
from headrace.schemas import Column, DType, TableSchema

if TYPE_CHECKING:
    Compute = Callable[[dict[str, list[Any]]], dict[str, list[Any]]]


@dataclass(frozen=True, kw_only=True)
class Needed:
    """This is a feature of a view that an on-demand view is computed from.

    Args:
        view: Name of the feature view.
        column: Name of the feature.
        dtype: The type that it must have; None where the on-demand view does not say.
        unit: The unit that it must have, likewise.
    """

    view: str
    column: str
    dtype: DType | None = None
    unit: str | None = None

    @property
    def reference(self) -> str:
        """How `build` and people name it."""
        return f"{self.view}:{self.column}"


@dataclass(frozen=True, kw_only=True)
class OnDemandView:
    """These are features that are computed when they are asked for, and how.

    Args:
        name: Lower-case name, unique among all views, of either sort.
        request: Schema class of the values of the request that it needs: columns of the labels,
            fields of a request to an endpoint. A column with the role "decision_time" is the moment
            of the decision, which a request need not give. Any of them may be null.
        views: The features that it needs, as "view:column", as {view: [columns]}, or as {view:
            schema class}, which also says the types and units that they must have.
        features: Schema class of what it computes, or the columns: numbers, truth values and text.
            Any value may be null.
        compute: A module-level pure function from lists to lists, one entry a row: it is given a
            list for each value of the request and each feature, by name (by "view__column" where
            two views have the name), and returns a list for each of `features`. A null is None, an
            instant a datetime in UTC. A row's result may depend on that row alone.
        owner: Who answers for it.
        description: One line for people who look for features.
        tags: Words to find it by.
        stage: "proposed" while it is tried out, "active", or "deprecated".
        replaced_by: The view to use instead of a deprecated one.
        readers: Names of the flows that its owner lets read it, as for a feature view.

    Raises:
        DefinitionError: A part contradicts another; the message says which.
    """

    name: str
    request: type | TableSchema | None = None
    views: Mapping[str, Sequence[str] | type] | Sequence[str] | tuple[Needed, ...] = ()
    features: type | tuple[Column, ...]
    compute: Compute
    owner: str
    description: str
    tags: tuple[str, ...] = ()
    stage: Stage = "active"
    replaced_by: str = ""
    readers: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        require_name("On-demand view", self.name)
        # schemas are kept as values, so that equal views are equal and pickles are self-contained
        object.__setattr__(self, "request", request_schema(self))
        object.__setattr__(self, "views", tuple(Needed(**each) for each in needs_of(self)))
        object.__setattr__(self, "features", output_columns(self))
        object.__setattr__(self, "tags", tuple(self.tags))
        object.__setattr__(self, "readers", tuple(self.readers))
        check_on_demand(self)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it computes: role "feature", nullable, with this view as their source."""
        return tuple(self.features) if isinstance(self.features, tuple) else ()

    @property
    def request_columns(self) -> tuple[Column, ...]:
        """The values of the request that it needs, nullable, the decision's moment included."""
        return self.request.columns if isinstance(self.request, TableSchema) else ()

    @property
    def needs(self) -> tuple[Needed, ...]:
        """The features of views that it needs."""
        return tuple(each for each in self.views if isinstance(each, Needed))

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The lists that `compute` is given."""
        names = [each.column for each in self.needs]
        asked = tuple(
            Argument(name=c.name, column=c.name, dtype=c.dtype, is_moment=c.role == "decision_time")
            for c in self.request_columns
        )
        return asked + tuple(
            Argument(
                name=n.column if names.count(n.column) == 1 else f"{n.view}__{n.column}",
                column=n.column,
                view=n.view,
                dtype=n.dtype,
            )
            for n in self.needs
        )

    def definition(self) -> dict[str, Any]:
        """Return what the view promises as JSON-like data; its code is not part of it."""
        return {
            "name": self.name,
            "request": TableSchema(name="request", columns=self.request_columns).to_json(),
            "views": [asdict(each) for each in self.needs],
            "schema": TableSchema(name=self.name, columns=self.columns).to_json(),
            "owner": self.owner,
            "description": self.description,
            "tags": list(self.tags),
            "stage": self.stage,
            "replaced_by": self.replaced_by,
            "readers": list(self.readers),
        }

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let a flow or operator parameter be a view: taken as it is, never rebuilt."""
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)
