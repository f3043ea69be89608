"""This module holds the rules by which an endpoint's requests are read, and what they say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from headrace.errors import ParameterError, did_you_mean
from serving._request_values import Kind, input_kind, key_kind

Clock = Literal["live", "replayed"]
FIELDS = ("id", "entity", "features", "at")
MOST_OTHER_COLUMNS = 8


@dataclass(frozen=True, kw_only=True)
class Input:
    """This is one input of the models behind an endpoint.

    Args:
        name: Its name.
        dtype: "float", "int", "bool" or "category".
        source: The feature view it is looked up in, None for a value of the request.
    """

    name: str
    dtype: str
    source: str | None


class Lookup(Protocol):
    """This is what a reader of requests needs to know of a feature view that is looked up."""

    @property
    def view(self) -> str:
        """The view's name."""

    @property
    def keys(self) -> Sequence[tuple[str, str]]:
        """Its key columns, each with its dtype: "string" or "int"."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """This is what an endpoint's requests may and must hold; `rules_of` makes it.

    Args:
        endpoint: Name of the endpoint.
        clock: "replayed" where a request may say `at`.
        inputs: What each input may be, by name.
        own: The inputs that are values of the request.
        keys: What each key column may be, by name.
        views: For each view looked up: its name, its key columns and its inputs.
    """

    endpoint: str
    clock: Clock
    inputs: Mapping[str, Kind]
    own: tuple[str, ...]
    keys: Mapping[str, Kind]
    views: tuple[tuple[str, tuple[str, ...], frozenset[str]], ...]


def rules_of(
    endpoint: str, inputs: Sequence[Input], lookups: Sequence[Lookup], clock: Clock
) -> Rules:
    """Return the rules of an endpoint with these inputs and lookups.

    Raises:
        ParameterError: A dtype is unknown, an input is named twice, a key column has two dtypes,
            or an input comes from a view that isn't looked up.
    """
    keys: dict[str, str] = {}
    for column, dtype in (key for lookup in lookups for key in lookup.keys):
        if keys.setdefault(column, dtype) != dtype:
            raise ParameterError(
                f"The key column '{column}' is '{keys[column]}' in one view and '{dtype}' in "
                "another.",
                remedy="give the entities of the views the same dtype.",
            )
    kinds = {each.name: input_kind(each.dtype) for each in inputs}
    if len(kinds) < len(inputs):
        names = [each.name for each in inputs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ParameterError(
            f"The endpoint '{endpoint}' has two inputs '{twice}'.", remedy="rename one of them."
        )
    _require_lookups(endpoint, inputs, {lookup.view for lookup in lookups})
    return Rules(
        endpoint=endpoint,
        clock=clock,
        inputs=kinds,
        own=tuple(each.name for each in inputs if each.source is None),
        keys={column: key_kind(dtype) for column, dtype in keys.items()},
        views=tuple(
            (
                lookup.view,
                tuple(column for column, _ in lookup.keys),
                frozenset(each.name for each in inputs if each.source == lookup.view),
            )
            for lookup in lookups
        ),
    )


def _require_lookups(endpoint: str, inputs: Sequence[Input], views: Collection[str]) -> None:
    for each in inputs:
        if each.source is not None and each.source not in views:
            raise ParameterError(
                f"The endpoint '{endpoint}' has the input '{each.name}' of view '{each.source}', "
                f"which is not looked up.{did_you_mean(each.source, views)}",
                remedy="look the view up, or give the input no source: then requests hold it.",
            )
