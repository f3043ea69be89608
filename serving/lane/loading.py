"""This module loads what a routing table names, off the event loop, before it is switched to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from features._online_place import Reader, open_reader
from features.on_demand_call import ready_function
from features.online_lookup import Lookup
from headrace.decisions import DecisionLog
from headrace.settings import settings
from operators.bundle import load_bundle
from operators.encoder import compile_encoder
from serving._endpoint_store import require_fast
from serving.lane.computing import Computing
from serving.lane.deciding import Decider, Loaded
from serving.lane.inputs import LaneInputs, inputs_of
from serving.lane.table import LaneTable, Served

# A lane has one event loop, which waits with its reads. A Redis that hangs may hold it up for half
# a second; then decisions are refused at once, so that all others and health checks are answered.
_PATIENCE_SECONDS = 0.5
_REST_SECONDS = 2.0


def load_model(served: Served) -> Loaded:
    """Return a model that has answered once: the first call of a runtime is slow.

    Raises:
        DamagedArtifactError: The bundle is not what was written.
    """
    scorer = load_bundle(served.folder)
    loaded = Loaded(ref=served.ref, scorer=scorer, encode=compile_encoder(scorer.card))
    loaded.score([[None] * len(scorer.card.features)])
    return loaded


def load_computing(inputs: LaneInputs) -> tuple[Computing, ...]:
    """Return the on-demand views of a table, each with its function as it was at deploy.

    Raises:
        DefinitionError: A function cannot be imported, or is not what it was at deploy.
    """
    if not inputs.calls:
        return ()
    roots = settings().roots
    return tuple(
        Computing(call, ready_function(call, roots), inputs.inputs, names)
        for call, names in inputs.calls
    )


def load_reader(table: LaneTable, lookups: Sequence[Lookup]) -> Reader:
    """Return who reads features: from SQLite, or, where the settings say so, from Redis.

    Raises:
        DefinitionError: The settings say PostgreSQL, which no decision waits for.
        StoreError: The client of Redis is not installed.
    """
    require_fast(table.endpoint, table.space, lookups)
    reader = open_reader(
        table.space, lookups, file=table.online, patience=_PATIENCE_SECONDS, rest=_REST_SECONDS
    )
    assert reader is not None  # noqa: S101  it would not be fast
    return reader


async def load_decider(
    table: LaneTable, log: DecisionLog, pending: dict[str, asyncio.Future[dict[str, Any]]]
) -> Decider:
    """Return what answers with a table.

    Raises:
        HeadraceError: A bundle is damaged, or the table contradicts itself.
    """
    champion = await asyncio.to_thread(load_model, table.champion)
    found = inputs_of(table, champion.scorer.card)
    return Decider(
        table,
        champion=champion,
        inputs=found.inputs,
        lookups=found.lookups,
        reader=await asyncio.to_thread(load_reader, table, found.lookups),
        computing=await asyncio.to_thread(load_computing, found),
        log=log,
        pending=pending,
    )
