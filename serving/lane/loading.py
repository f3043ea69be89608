"""This module loads what a routing table names, off the event loop, before it is switched to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from features.online_lookup import Lookup
from headrace.decisions import DecisionLog
from headrace.errors import DataError, did_you_mean
from headrace.models import ModelCard
from operators.bundle import load_bundle, read_card
from operators.encoder import compile_encoder
from serving._requests import Input
from serving.lane.deciding import Decider, Loaded
from serving.lane.table import LaneTable, Served


def load_model(served: Served) -> Loaded:
    """Return a model that has answered once: the first call of a runtime is slow.

    Raises:
        DamagedArtifactError: The bundle is not what was written.
    """
    scorer = load_bundle(served.folder)
    loaded = Loaded(ref=served.ref, scorer=scorer, encode=compile_encoder(scorer.card))
    loaded.score([[None] * len(scorer.card.features)])
    return loaded


def inputs_of(table: LaneTable, champion: ModelCard) -> tuple[Input, ...]:
    """Return what the models of a table take, the champion's first, then what only others do.

    Raises:
        DataError: Champion and challenger read one name from different views, or as other types.
    """
    inputs = {f.name: _input(f) for f in champion.features}
    if table.challenger is not None:
        for feature in read_card(table.challenger.folder).features:
            same = inputs.setdefault(feature.name, _input(feature))
            if same != _input(feature):
                raise DataError(
                    f"Input '{feature.name}' is {same.dtype} from {same.source or 'the request'} "
                    f"for {table.champion.ref} and {feature.dtype} from "
                    f"{feature.source or 'the request'} for {table.challenger.ref}.",
                    remedy="Give one of them another name; an endpoint reads each input once.",
                )
    return tuple(inputs.values())


def require_lookups(table: LaneTable, inputs: tuple[Input, ...]) -> None:
    """Refuse a table whose models take features that it does not look up.

    Raises:
        DataError: A feature's view is not among the lookups.
    """
    known = {(lookup.view, name) for lookup in table.lookups for name in lookup.features}
    for each in inputs:
        if each.source is not None and (each.source, each.name) not in known:
            views = [lookup.view for lookup in table.lookups]
            raise DataError(
                f"Endpoint '{table.endpoint}' looks up no feature '{each.name}' of view "
                f"'{each.source}'.{did_you_mean(each.source, views)}",
                remedy="Deploy the endpoint with all views that its models were trained on.",
            )


def used_lookups(table: LaneTable, inputs: tuple[Input, ...]) -> tuple[Lookup, ...]:
    """Return what is looked up of each view: the features that a model of the table takes."""
    wanted = {(each.source, each.name) for each in inputs}
    found = []
    for lookup in table.lookups:
        kept = [
            (name, dtype)
            for name, dtype in zip(lookup.features, lookup.dtypes, strict=True)
            if (lookup.view, name) in wanted
        ]
        if kept:
            names, dtypes = zip(*kept, strict=True)
            found.append(replace(lookup, features=names, dtypes=dtypes))
    return tuple(found)


async def load_decider(
    table: LaneTable, log: DecisionLog, pending: dict[str, asyncio.Future[dict[str, Any]]]
) -> Decider:
    """Return what answers with a table.

    Raises:
        HeadraceError: A bundle is damaged, or the table contradicts itself.
    """
    champion = await asyncio.to_thread(load_model, table.champion)
    inputs = inputs_of(table, champion.scorer.card)
    require_lookups(table, inputs)
    return Decider(
        table,
        champion=champion,
        inputs=inputs,
        lookups=used_lookups(table, inputs),
        log=log,
        pending=pending,
    )


def _input(feature: Any) -> Input:
    return Input(name=feature.name, dtype=feature.dtype, source=feature.source)
