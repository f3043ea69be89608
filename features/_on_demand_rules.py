"""This module holds what an on-demand view must be, so that one that exists is valid."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from features._view_rules import _wrong_stage
from headrace.errors import DefinitionError
from headrace.schemas import Column, DType, TableSchema, schema_of

if TYPE_CHECKING:
    from features.on_demand import OnDemandView

_COMPUTED: tuple[DType, ...] = ("bool", "int", "float", "string", "category")
_ASKED_ROLES = (None, "feature", "decision_time")


def request_schema(view: OnDemandView) -> TableSchema:
    """Return the values of the request as a schema: all nullable, with no columns for None."""
    given = view.request
    if given is None:
        return TableSchema(name="nothing", columns=())
    schema = given if isinstance(given, TableSchema) else schema_of(given)
    if schema is None:
        raise _wrong(view, "has a request without columns", "Give a schema class, or None.")
    # what a request does not know is null, whatever the schema says
    return replace(
        schema, columns=tuple(replace(c, nullable=True, known_at=None) for c in schema.columns)
    )


def needs_of(view: OnDemandView) -> list[dict[str, Any]]:
    """Return the features that a view needs, as the fields of `Needed`, in the order given."""
    return list(_needs(view))


def output_columns(view: OnDemandView) -> tuple[Column, ...]:
    """Return what a view computes, as the columns of examples have it."""
    given = view.features
    schema = None if isinstance(given, tuple) else schema_of(given)
    columns = given if isinstance(given, tuple) else schema.columns if schema else ()
    return tuple(
        replace(c, role="feature", nullable=True, source=view.name, known_at=None) for c in columns
    )


def check_on_demand(view: OnDemandView) -> None:
    """Refuse a view whose parts contradict each other.

    Raises:
        DefinitionError: They do; the message says which.
    """
    wrong = _wrong_inputs(view) or _wrong_outputs(view)
    if wrong is None:
        missing = "" if view.owner.strip() else "owner"
        missing = missing or ("" if view.description.strip() else "description")
        if missing:
            wrong = (
                f"has no {missing}",
                "Say who answers for it and what it is, for those who search.",
            )
    staged: Any = view  # it has the stages of a feature view
    wrong = wrong or _wrong_stage(staged)
    if wrong is not None:
        raise _wrong(view, *wrong)
    _check_compute(view)


def _needs(view: OnDemandView) -> Iterator[dict[str, Any]]:
    given: Any = view.views
    if isinstance(given, Mapping):
        for name, columns in given.items():
            schema = schema_of(columns) if isinstance(columns, type) else None
            if schema is not None:
                for c in schema.columns:
                    yield {"view": name, "column": c.name, "dtype": c.dtype, "unit": c.unit}
            elif isinstance(columns, str | type):
                raise _wrong(
                    view,
                    f"names {columns!r} as columns of view '{name}'",
                    'Give a list of columns, as in {"airport_weather": ["wind_speed"]}, or a '
                    "schema class.",
                )
            else:
                yield from ({"view": name, "column": str(column)} for column in columns)
        return
    if isinstance(given, str):
        raise _wrong(view, f"names the single text {given!r} as its views", f"Write ({given!r},).")
    for each in given:
        if not isinstance(each, str):  # what was worked out before, as `replace` gives it again
            yield {k: getattr(each, k) for k in ("view", "column", "dtype", "unit")}
            continue
        name, separator, column = each.partition(":")
        if not (name and separator and column):
            raise _wrong(view, f"needs '{each}', which names no feature", 'Write "view:column".')
        yield {"view": name, "column": column}


def _wrong_inputs(view: OnDemandView) -> tuple[str, str] | None:
    asked = [c.name for c in view.request_columns]
    features = [each.reference for each in view.needs]
    doubled = [name for name in features if features.count(name) > 1]
    roles = [c for c in view.request_columns if c.role not in _ASKED_ROLES]
    shared = [each for each in view.needs if each.column in asked]
    moments = [c.name for c in view.request_columns if c.role == "decision_time"]
    if not asked and not features:
        return "is computed from nothing", "Give `request`, `views` or both."
    if doubled:
        return f"needs '{doubled[0]}' twice", "Name each feature once."
    if any(each.view == view.name for each in view.needs):
        return "needs a feature of itself", "Compute it from the request and from other views."
    if roles:
        name, role = roles[0].name, roles[0].role
        return (
            f"takes '{name}' with role '{role}' from the request",
            'Leave the role out; only "decision_time" means something here.',
        )
    if shared:
        return (
            f"has two inputs '{shared[0].column}': of the request, and of view '{shared[0].view}'",
            "Rename the one of the request.",
        )
    if len(moments) > 1:
        return (
            f"takes the moment of the decision twice, as '{moments[0]}' and '{moments[1]}'",
            'Give one column the role "decision_time".',
        )
    return None


def _wrong_outputs(view: OnDemandView) -> tuple[str, str] | None:
    names = [c.name for c in view.columns]
    inputs = {argument.name for argument in view.arguments}
    doubled = [name for name in names if names.count(name) > 1]
    unfit = [c for c in view.columns if c.dtype not in _COMPUTED]
    if not names:
        return "computes no features", "Give a schema class with one annotated column a line."
    if doubled:
        return f"computes '{doubled[0]}' twice", "Name each feature once."
    if unfit:
        return (
            f"computes '{unfit[0].name}' as {unfit[0].dtype}, which no model takes",
            "Compute a number of it, such as the hours between two instants.",
        )
    if inputs & set(names):
        name = next(n for n in names if n in inputs)
        return f"computes '{name}' from an input of that name", "Rename what it computes."
    return None


def _check_compute(view: OnDemandView) -> None:
    compute: object = view.compute
    shown = getattr(compute, "__qualname__", None) or repr(compute)
    if not isinstance(compute, types.FunctionType) or not compute.__qualname__.isidentifier():
        raise _wrong(
            view,
            f"computes with {shown}, which is not a function of a module",
            "Write `def compute(values): ...` at the top level of the view's file: its code is "
            "checked where an endpoint runs it, and other processes find it by name.",
        )
    if (
        inspect.iscoroutinefunction(compute)
        or inspect.isgeneratorfunction(compute)
        or inspect.isasyncgenfunction(compute)
    ):
        raise _wrong(
            view,
            f"computes with {shown}, which does not return its values when it is called",
            "Write an ordinary function that returns a dict of lists.",
        )


def _wrong(view: OnDemandView, problem: str, remedy: str) -> DefinitionError:
    return DefinitionError(f"On-demand view '{view.name}' {problem}.", remedy=remedy)
