"""This module works out the inputs of a routing table: what its models take, and for that need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from features.on_demand_call import Argument, OnDemandCall
from features.online_lookup import Lookup
from headrace.errors import DataError, did_you_mean
from headrace.models import ModelCard
from operators.bundle import read_card
from serving._requests import Input
from serving.lane.table import LaneTable

_TEXT = ("string", "category")


@dataclass(frozen=True, kw_only=True)
class LaneInputs:
    """This is what a row of a lane holds.

    Args:
        inputs: The inputs: the champion's, then what only challengers take, then what no model
            takes but on-demand views need.
        lookups: What is looked up for them.
        calls: What is computed for them, each with the input that each of its arguments is.
        cards: The cards of the challengers, by their models.
    """

    inputs: tuple[Input, ...]
    lookups: tuple[Lookup, ...]
    calls: tuple[tuple[OnDemandCall, dict[str, str]], ...]
    cards: Mapping[str, ModelCard]


def inputs_of(table: LaneTable, champion: ModelCard) -> LaneInputs:
    """Return what the rows of a table hold.

    Raises:
        DataError: A feature's view is neither looked up nor computed, or two that are to be read
            under one name are not the same.
    """
    cards = {each.model.ref: read_card(each.model.folder) for each in table.compared}
    taken = _taken(table, {table.champion.ref: champion, **cards})
    _require_sources(table, taken.values())
    used = {each.source for each in taken.values() if each.computed}
    calls = [call for call in table.on_demand if call.view in used]
    inputs = dict(taken)
    named = [(call, _needed(table, call, inputs, taken)) for call in calls]
    own = {(each.source, each.name) for each in inputs.values()}
    found = []
    for lookup in table.lookups:
        kept = [
            (name, dtype)
            for name, dtype in zip(lookup.features, lookup.dtypes, strict=True)
            if (lookup.view, name) in own or (lookup.view, f"{lookup.view}__{name}") in own
        ]
        if kept:
            names, dtypes = zip(*kept, strict=True)
            found.append(replace(lookup, features=names, dtypes=dtypes))
    return LaneInputs(
        inputs=tuple(inputs.values()), lookups=tuple(found), calls=tuple(named), cards=cards
    )


def _taken(table: LaneTable, cards: Mapping[str, ModelCard]) -> dict[str, Input]:
    """Return what models take, the champion's first, then what only challengers do."""
    computed = {call.view for call in table.on_demand}
    inputs: dict[str, Input] = {}
    takes: dict[str, str] = {}  # input: the model that was the first to take it
    for ref, card in cards.items():
        for feature in card.features:
            wanted = _input(feature, computed)
            same = inputs.setdefault(feature.name, wanted)
            first = takes.setdefault(feature.name, ref)
            if same != wanted:
                raise DataError(
                    f"Input '{feature.name}' is {same.dtype} from {same.source or 'the request'} "
                    f"for {first} and {feature.dtype} from {feature.source or 'the request'} "
                    f"for {ref}.",
                    remedy="Give one of them another name; an endpoint reads each input once.",
                )
    return inputs


def _require_sources(table: LaneTable, inputs: Iterable[Input]) -> None:
    known = {(lookup.view, name) for lookup in table.lookups for name in lookup.features}
    known |= {(call.view, name) for call in table.on_demand for name in call.features}
    for each in inputs:
        if each.source is not None and (each.source, each.name) not in known:
            views = [lookup.view for lookup in table.lookups]
            views += [call.view for call in table.on_demand]
            raise DataError(
                f"Endpoint '{table.endpoint}' looks up no feature '{each.name}' of view "
                f"'{each.source}'.{did_you_mean(each.source, views)}",
                remedy="Deploy the endpoint with all views that its models were trained on.",
            )


def _needed(
    table: LaneTable, call: OnDemandCall, inputs: dict[str, Input], taken: dict[str, Input]
) -> dict[str, str]:
    """Add what an on-demand view needs to the inputs; return the input of each argument."""
    names = {}
    for argument in call.arguments:
        if argument.is_moment:
            continue
        wanted = _wanted(table, call, argument)
        other = inputs.get(wanted.name)
        if other is not None and other.source != wanted.source and argument.view is not None:
            wanted = replace(wanted, name=f"{argument.view}__{wanted.name}")
            other = inputs.get(wanted.name)
        if other is None:
            inputs[wanted.name] = wanted
        elif not _is_same(other, wanted, taken=wanted.name in taken):
            raise DataError(
                f"Input '{wanted.name}' is {other.dtype} from {other.source or 'the request'}, but "
                f"on-demand view '{call.view}' takes it as {wanted.dtype} from "
                f"{wanted.source or 'the request'}.",
                remedy="Give one of them another name; an endpoint reads each input once.",
            )
        elif wanted.name not in taken:
            narrow = wanted if other.dtype == "float" else other
            inputs[wanted.name] = replace(narrow, only_for=other.only_for | wanted.only_for)
        names[argument.name] = wanted.name
    return names


def _wanted(table: LaneTable, call: OnDemandCall, argument: Argument) -> Input:
    only_for = frozenset((call.view,))
    if argument.view is None:
        return Input(
            name=argument.column, dtype=str(argument.dtype), source=None, only_for=only_for
        )
    for lookup in table.lookups:
        if lookup.view == argument.view and argument.column in lookup.features:
            dtype = lookup.dtypes[lookup.features.index(argument.column)]
            return Input(name=argument.column, dtype=dtype, source=lookup.view, only_for=only_for)
    raise DataError(
        f"Endpoint '{table.endpoint}' looks up no feature '{argument.column}' of view "
        f"'{argument.view}', from which on-demand view '{call.view}' is computed."
        f"{did_you_mean(argument.view, [lookup.view for lookup in table.lookups])}",
        remedy="Deploy the endpoint with all views that its on-demand views need.",
    )


def _is_same(has: Input, wanted: Input, *, taken: bool) -> bool:
    """Return whether a value serves for both; a whole number does for either sort of number."""
    if has.source != wanted.source:
        return False
    return (
        has.dtype == wanted.dtype
        or (has.dtype == "int" and wanted.dtype == "float")
        or (has.dtype == "float" and wanted.dtype == "int" and not taken)
        or (has.dtype in _TEXT and wanted.dtype in _TEXT)
    )


def _input(feature: Any, computed: set[str]) -> Input:
    return Input(
        name=feature.name,
        dtype=feature.dtype,
        source=feature.source,
        computed=feature.source in computed,
    )
