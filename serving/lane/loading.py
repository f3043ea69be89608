"""This module loads what a routing table names, off the event loop, before it is switched to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from features._online_place import Reader, open_reader
from features.on_demand_call import ready_function
from features.online_lookup import Lookup
from headrace.decisions import DecisionLog
from headrace.errors import ServiceError
from headrace.settings import settings
from operators.bundle import load_bundle
from operators.encoder import compile_encoder
from serving._endpoint_store import require_fast
from serving.lane.arms import Arms, RowScorer
from serving.lane.computing import Computing
from serving.lane.deciding import Decider
from serving.lane.far_scorer import Ask, FarScorer
from serving.lane.inputs import LaneInputs, inputs_of
from serving.lane.loaded import Loaded
from serving.lane.meters import Meters
from serving.lane.scoring_thread import Score, ThreadScorer
from serving.lane.table import LaneTable, Served
from serving.lane.warm import Warm

# A lane has one event loop, which waits with its reads. A Redis that hangs may hold it up for half
# a second; then decisions are refused at once, so that all others and health checks are answered.
_PATIENCE_SECONDS = 0.5
_REST_SECONDS = 2.0
# a large model is read and brought onto a GPU meanwhile
_FAR_SECONDS = 300.0


def load_model(served: Served) -> Loaded:
    """Return a model that has answered once: the first call of a runtime is slow.

    Raises:
        DamagedArtifactError: The bundle is not what was written.
    """
    loaded = _read_model(served)
    _warm_up(loaded)
    return loaded


def start_challenger(served: Served) -> ThreadScorer:
    """Start a thread that loads a challenger, and then scores with it."""

    def load() -> Score:
        loaded = _read_model(served)
        with contextlib.suppress(Exception):  # one that fails is found out by those who ask it
            _warm_up(loaded)
        return loaded.score

    return ThreadScorer(served.ref, load)


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
    table: LaneTable,
    log: DecisionLog,
    pending: dict[str, asyncio.Future[dict[str, Any]]],
    *,
    arms: Arms | None = None,
    meters: Meters | None = None,
    ask: Ask | None = None,
    warm: Warm | None = None,
) -> Decider:
    """Return what answers with a table.

    Args:
        table: The table.
        log: The endpoint's log.
        pending: Answers that are being made; see `Decider`.
        arms: The challengers that answered with the table before, and what is known of them.
        meters: Where is counted what the lane does.
        ask: Asks the processes that score, where the table has models scored in some.
        warm: Models that are in memory; none by default.

    Raises:
        HeadraceError: A bundle is damaged, or the table contradicts itself.
    """
    start: Callable[[Served], RowScorer] = start_challenger
    away = None
    if table.hop is not None and ask is not None:
        start, away = partial(FarScorer, ask=ask), FarScorer(table.champion, ask)
        champion = await _found(away)
    else:
        champion = await (warm or Warm(load_model)).loaded(table.champion)
    found = inputs_of(table, champion.scorer.card)
    reader = await asyncio.to_thread(load_reader, table, found.lookups)
    computing = await asyncio.to_thread(load_computing, found)
    return Decider(
        table,
        champion=champion,
        inputs=found.inputs,
        lookups=found.lookups,
        reader=reader,
        computing=computing,
        log=log,
        pending=pending,
        # last: a table that cannot be taken leaves challengers as they are
        arms=await (arms or Arms()).take(table, start, meters=meters),
        cards=found.cards,
        meters=meters,
        away=away,
    )


async def _found(away: FarScorer) -> Loaded:
    """Return a champion that a process is ready to score.

    Raises:
        ServiceError: None is, for long.
    """
    try:
        await asyncio.wait_for(away.ready(), _FAR_SECONDS)
    except TimeoutError:
        raise ServiceError(
            f"No process that is to score with '{away.ref}' has begun within {_FAR_SECONDS:g} s.",
            remedy="See what Ray says of it: `headrace endpoint show`. It may not have the GPUs or "
            "the memory that the endpoint's placement asks for.",
        ) from None
    return away.loaded


def _read_model(served: Served) -> Loaded:
    scorer = load_bundle(served.folder)
    return Loaded(ref=served.ref, scorer=scorer, encode=compile_encoder(scorer.card))


def _warm_up(loaded: Loaded) -> None:
    loaded.score([[None] * len(loaded.scorer.card.features)])
