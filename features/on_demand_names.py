"""This module lets a parameter take an on-demand view, or any view, by its name."""

from __future__ import annotations

from typing import Annotated, Any

from features.catalog import catalog
from features.on_demand import OnDemandView
from features.view import FeatureView
from headrace.errors import DefinitionError, UnknownNameError, did_you_mean


def on_demand_view(name: str) -> OnDemandView:
    """Return an on-demand view by name.

    Raises:
        UnknownNameError: There is no such view; the message offers the nearest.
    """
    found = _view(name)
    if isinstance(found, OnDemandView):
        return found
    views = [view.name for view in catalog().on_demand]
    raise UnknownNameError(
        f"There is no on-demand view '{name}'"
        + (": it is a feature view." if found else f".{did_you_mean(name, views)}"),
        remedy="Use the name of an on-demand view in a `features` folder under one of the roots "
        "in headrace.toml.",
    )


class _ByName:
    """This lets a parameter take a view or its name; pydantic asks it when the call is bound."""

    def __init__(self, *kinds: type) -> None:
        self._kinds = kinds

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import PydanticCustomError, core_schema

        what = "a view" if len(self._kinds) > 1 else "an on-demand view"

        def view_of(value: object) -> Any:
            if isinstance(value, self._kinds):
                return value
            if not isinstance(value, str):
                raise PydanticCustomError("view", "{what} or its name is needed", {"what": what})
            try:
                found = _view(value) if len(self._kinds) > 1 else on_demand_view(value)
                return catalog().view(value) if found is None else found
            except DefinitionError as error:
                reason = error.problem.rstrip(".")
                raise PydanticCustomError("view", "{reason}", {"reason": reason}) from error

        return core_schema.no_info_plain_validator_function(view_of)


# an operator that declares this receives the view itself, so that its code is part of the key
OnDemandOrName = Annotated[OnDemandView | str, _ByName(OnDemandView)]
AnyViewOrName = Annotated[FeatureView | OnDemandView | str, _ByName(FeatureView, OnDemandView)]


def _view(name: str) -> FeatureView | OnDemandView | None:
    found = catalog()
    every: list[FeatureView | OnDemandView] = [*found.views, *found.on_demand]
    return next((view for view in every if view.name == name), None)
