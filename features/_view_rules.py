"""This module holds what a feature view must be, so that one that exists is valid."""

from __future__ import annotations

import re
import types
import typing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from features._view_rows import EXPIRES
from headrace.errors import DefinitionError, did_you_mean
from headrace.schemas import Column, TableSchema, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

    from features.view import FeatureView

Stage = typing.Literal["proposed", "active", "deprecated"]


@typing.runtime_checkable
class Computation(typing.Protocol):
    """This is a way to compute a view that names its own features, such as `Windows`.

    Its rows may be known after now where they say how a value changes by the passing of time alone.
    """

    def columns_of(self, source: TableSchema) -> tuple[Column, ...]:
        """Return the features."""
        ...

    def rows(self, source: pa.Table, view: FeatureView) -> pa.Table:
        """Compute the rows of a view from its source."""
        ...


_NAME = re.compile(r"[a-z][a-z0-9_]*")


def as_schema(view: str, part: str, given: type | TableSchema) -> TableSchema:
    """Return a schema class as a value; one without columns is refused."""
    schema = given if isinstance(given, TableSchema) else schema_of(given)
    if schema is None or not schema.columns:
        raise DefinitionError(
            f"Feature view '{view}' has a {part} without columns.",
            remedy="Give a schema class with one annotated column a line.",
        )
    return schema


def feature_columns(view: FeatureView) -> tuple[Column, ...]:
    """Return the feature columns as the view's rows have them."""
    given = view.features
    if isinstance(view.compute, Computation):
        if given is not None:
            raise DefinitionError(
                f"Feature view '{view.name}' declares features beside its windows.",
                remedy="Leave `features` out: the windows name them.",
            )
        columns = view.compute.columns_of(view.source_schema)
    elif given is None:
        raise DefinitionError(
            f"Feature view '{view.name}' declares no features.",
            remedy="Give a schema class with one annotated column a line, or compute `Windows`.",
        )
    elif isinstance(given, tuple):
        columns = given
    else:
        columns = as_schema(view.name, "features", given).columns
    return tuple(
        replace(c, role="feature", nullable=True, source=view.name, known_at=view.known_time)
        for c in columns
    )


def check_view(view: FeatureView) -> None:
    """Refuse a view whose parts contradict each other.

    Raises:
        DefinitionError: They do; the message says which.
    """
    _check_parts(view)
    _check_compute(view)


def _check_parts(view: FeatureView) -> None:
    wrong: tuple[str, str] | None = None
    reserved = (*view.keys, view.event_time, view.known_time, EXPIRES)
    names = [c.name for c in view.columns]
    taken = [n for n in names if n in reserved or names.count(n) > 1]
    if not names:
        wrong = "has no features", "Declare at least one feature column."
    elif len(set(reserved)) < len(reserved):
        doubled = next(n for n in reserved if reserved.count(n) > 1)
        wrong = f"uses column '{doubled}' for two purposes", "Give every key and time its own."
    elif taken:
        wrong = f"has a feature '{taken[0]}', a name that is already taken", "Rename the feature."
    elif view.ttl is not None and view.ttl <= timedelta(0):
        wrong = f"has a ttl of {view.ttl}", "Use more than zero, or None for no limit."
    elif not view.owner.strip() or not view.description.strip():
        missing = "owner" if not view.owner.strip() else "description"
        wrong = f"has no {missing}", "Say who answers for it and what it is, for those who search."
    elif view.freshness is not None and view.freshness <= timedelta(0):
        wrong = f"is to be {view.freshness} fresh", "Use more than zero, or None for no target."
    else:
        wrong = _wrong_stage(view)
    if wrong:
        raise DefinitionError(f"Feature view '{view.name}' {wrong[0]}.", remedy=wrong[1])


def _wrong_stage(view: FeatureView) -> tuple[str, str] | None:
    stages = typing.get_args(Stage)
    if view.stage not in stages:
        offer = did_you_mean(view.stage, stages)
        return f"is at the unknown stage '{view.stage}'", f"Use one of {', '.join(stages)}.{offer}"
    if view.stage != "deprecated" and view.replaced_by:
        return (
            f"is {view.stage}, but '{view.replaced_by}' replaces it",
            'Say stage="deprecated", or leave `replaced_by` out.',
        )
    if view.replaced_by == view.name:
        return "is replaced by itself", "Name another view, or leave `replaced_by` out."
    return None


def _check_compute(view: FeatureView) -> None:
    compute: object = view.compute
    if isinstance(compute, types.FunctionType) and compute.__qualname__.isidentifier():
        return
    if isinstance(compute, Computation) or (isinstance(compute, str) and compute.strip()):
        return
    shown = getattr(compute, "__qualname__", None) or repr(compute)
    raise DefinitionError(
        f"Feature view '{view.name}' computes with {shown}, which is not a function of a module.",
        remedy="Write `def compute(source): ...` at the top level of the view's file: "
        "its code is part of the cache key, and other processes find it by name. "
        "Or give one SELECT from the table `source`, or `Windows`.",
    )


def require_name(what: str, name: str) -> None:
    """Refuse a name that could not be a folder, a column prefix and a name in Feast."""
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{what} '{name}' has a name that is not lower-case letters, digits and underscores.",
            remedy="Name it like 'airport_weather'.",
        )
