"""This module holds the rules by which an endpoint's requests are read, and what they say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from headrace.errors import ParameterError, did_you_mean
from serving._request_values import Kind, computed_from_kind, input_kind, key_kind

Clock = Literal["live", "replayed"]
FIELDS = ("id", "entity", "features", "at", "outputs", "explain")
MOST_OTHER_COLUMNS = 8


@dataclass(frozen=True, kw_only=True)
class Input:
    """This is one input of the models behind an endpoint.

    Args:
        name: Its name.
        dtype: "float", "int", "bool" or "category"; of what no model takes also "string",
            "timestamp" or "date".
        source: The feature view it is looked up in, or the on-demand view that it is computed by;
            None for a value of the request.
        computed: Whether it is computed by an on-demand view.
        only_for: The on-demand views that alone need it; none where a model takes it.
    """

    name: str
    dtype: str
    source: str | None
    computed: bool = False
    only_for: frozenset[str] = frozenset()


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
        computed: For each on-demand view: its name, and the inputs that it computes.
        only_for: For each input that no model takes: the on-demand views that need it.
        outputs: What every model that may answer can be asked for.
    """

    endpoint: str
    clock: Clock
    inputs: Mapping[str, Kind]
    own: tuple[str, ...]
    keys: Mapping[str, Kind]
    views: tuple[tuple[str, tuple[str, ...], frozenset[str]], ...]
    computed: tuple[tuple[str, frozenset[str]], ...] = ()
    only_for: Mapping[str, frozenset[str]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    def covered(self, given: Iterable[str]) -> frozenset[str]:
        """Return the inputs that need not be found: those given, and what nobody needs then.

        Whoever gives all that an on-demand view would compute need not give what it is computed
        from.
        """
        names = frozenset(given)
        done = {view for view, features in self.computed if features <= names}
        return names.union(name for name, views in self.only_for.items() if views <= done)


def rules_of(
    endpoint: str,
    inputs: Sequence[Input],
    lookups: Sequence[Lookup],
    clock: Clock,
    outputs: Sequence[str] = (),
) -> Rules:
    """Return the rules of an endpoint with these inputs, lookups and outputs.

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
    kinds = {
        each.name: (computed_from_kind if each.only_for else input_kind)(each.dtype)
        for each in inputs
    }
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
        computed=tuple(
            (view, frozenset(each.name for each in inputs if each.source == view))
            for view in dict.fromkeys(each.source for each in inputs if each.computed)
            if view is not None
        ),
        only_for={each.name: each.only_for for each in inputs if each.only_for},
        outputs=tuple(outputs),
    )


def _require_lookups(endpoint: str, inputs: Sequence[Input], views: Collection[str]) -> None:
    for each in inputs:
        if each.source is not None and not each.computed and each.source not in views:
            raise ParameterError(
                f"The endpoint '{endpoint}' has the input '{each.name}' of view '{each.source}', "
                f"which is not looked up.{did_you_mean(each.source, views)}",
                remedy="look the view up, or give the input no source: then requests hold it.",
            )
