"""A shadow's replica: for each challenger a thread, none of which holds up another or the table."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import DecisionLog, open_view
from headrace.decisions.log_writer import LogWriter
from serving.lane.notices import ShadowFigures, ShadowNotice, read_shadow
from serving.lane.shadow import ShadowReplica
from serving.lane.shadow_step import Shadow
from serving.lane.shadow_thread import ShadowThread
from serving.lane.table import Compared, LaneTable, Served
from serving.traffic import Span, Traffic

NAMES = ["carrier", "distance", "wind", "landings", "last_delay", "hour"]
CHALLENGER, THIRD = "flight_delay/2", "flight_delay/3"


def with_third(table: LaneTable, folder: Path) -> LaneTable:
    """The table with one more challenger, first in the order."""
    third = Served(ref=THIRD, folder=folder)
    assert table.challenger is not None
    assert table.experiment is not None
    second = Compared(model=table.challenger, experiment=table.experiment)
    return replace(table, challenger=third, experiment="1-against-3", also=(second,))


def decided(table: LaneTable, name: str) -> None:
    """Log a decision of the champion, as a lane with this table does."""
    with DecisionLog.open(table.log, writer=f"lane-{name}") as log:
        decision = {
            "kind": "decision", "id": name, "at": 1, "logged": 1, "entity": {}, "overridden": [],
            "columns": log.columns(NAMES), "features": ["UA", 719, 12.5, 1, 2.5, 7], "missing": [],
            "generation": table.generation, "experiment": table.experiment,
            "experiments": [each.experiment for each in table.compared],
            "candidates": [table.champion.ref], "propensities": [1.0],
            "model": table.champion.ref, "score": 0.5, "answer": {"probability": 0.5},
        }  # fmt: skip
        log.append([decision])


async def told(table: LaneTable, when: Callable[[ShadowNotice], bool]) -> ShadowNotice:
    """Wait until the replica says something."""
    for _ in range(400):
        notice = read_shadow(table.notices, table.endpoint)
        if notice is not None and when(notice):
            return notice
        await asyncio.sleep(0.02)
    raise AssertionError(f"the shadow says {notice}")


def living(live: Callable[[ShadowReplica], Awaitable[Any]]) -> Any:
    """Run a replica's life in an event loop, to its end."""

    async def life() -> Any:
        replica = ShadowReplica()
        try:
            return await live(replica)
        finally:
            replica.require_alive()
            await replica.close(patience_seconds=0.5)

    return asyncio.run(life())


def scored_by(table: LaneTable) -> dict[str, list[str]]:
    """Which decisions each model has scored, by its reference."""
    with open_view(table.log) as connection:
        rows = connection.execute("SELECT model, id FROM shadows ORDER BY id").fetchall()
    found: dict[str, list[str]] = {}
    for model, name in rows:
        found.setdefault(model, []).append(name)
    return found


@pytest.fixture
def hanging(bundles: dict[str, Path], tmp_path: Path) -> Path:
    """A bundle on what reads like a network that hangs: opening one of its files never returns."""
    folder = tmp_path / "hanging"
    shutil.copytree(bundles[CHALLENGER], folder)
    (folder / "runtime.json").unlink()
    os.mkfifo(folder / "runtime.json")
    return folder


def test_it_follows_tables_and_tells_how_far_each_challenger_is(table, bundles):
    chosen = with_third(table(challenger=CHALLENGER), bundles["flight_delay/1"])
    decided(chosen, "UA1")

    async def live(replica: ShadowReplica) -> list[ShadowNotice]:
        found = []
        for each, wanted in [(table(), 0), (chosen, 1), (table(generation=2), 0)]:
            await replica.take(each.to_json())
            found.append(
                await told(
                    each,
                    lambda n, each=each, wanted=wanted: (
                        n.generation == each.generation
                        and len(n.figures) == 2 * wanted
                        and all(f.scored == wanted for f in n.figures)
                    ),
                )
            )
        return found

    none, scoring, none_again = living(live)

    assert (none.model, none_again.model) == (None, None)
    assert (scoring.model, scoring.scored, scoring.behind) == (THIRD, 1, 0)
    assert scoring.figures == (
        ShadowFigures(model=THIRD, experiment="1-against-3", scored=1),
        ShadowFigures(model=CHALLENGER, experiment="1-against-2", scored=1),
    )


def test_a_challenger_that_cannot_be_loaded_is_said_and_the_others_go_on(table, tmp_path):
    chosen = with_third(table(challenger=CHALLENGER), tmp_path / "gone")
    decided(chosen, "UA1")

    async def live(replica: ShadowReplica) -> ShadowNotice:
        await replica.take(chosen.to_json())
        return await told(chosen, lambda n: bool(n.message and n.also[0].scored))

    notice = living(live)

    assert (notice.model, notice.scored, notice.also[0].message) == (THIRD, 0, "")
    assert notice.message == (
        f"The bundle '{tmp_path / 'gone'}' is damaged: its file 'runtime.json' is gone.\n"
        "  Fix: Write it again with `write_bundle(folder, model)`, which replaces a damaged one."
    )


def test_a_challenger_that_hangs_holds_up_no_table_no_other_and_no_end(table, hanging):
    chosen = with_third(table(challenger=CHALLENGER), hanging)
    decided(chosen, "UA1")

    async def live(replica: ShadowReplica) -> tuple[ShadowNotice, ShadowNotice, bool]:
        await asyncio.wait_for(replica.take(chosen.to_json()), 2)
        others = await told(chosen, lambda n: n.also[0].scored == 1)
        withdrawn = table(challenger=CHALLENGER, generation=2)
        await asyncio.wait_for(replica.take(withdrawn.to_json()), 2)
        without = await told(withdrawn, lambda n: n.generation == 2)
        await asyncio.wait_for(replica.take(replace(chosen, generation=3).to_json()), 2)
        return others, without, await asyncio.wait_for(replica.close(patience_seconds=0.5), 2)

    others, without, has_ended = living(live)

    assert (others.model, others.scored) == (THIRD, 0)
    assert (without.model, without.scored) == (CHALLENGER, 1)
    assert has_ended is False
    assert scored_by(chosen) == {CHALLENGER: ["UA1"]}


def test_it_is_said_that_a_challenger_hangs_and_how_far_behind_it_is(table, hanging, tmp_path):
    chosen = with_third(table(challenger=CHALLENGER), hanging)
    thread = ShadowThread(chosen, chosen.compared[0], lambda: None, stuck_seconds=0.0)

    message = thread.figures.message
    thread.end()

    assert message.startswith("It has been loading since 20")
    assert message.endswith(" UTC and has not come back.")
    assert thread.join(0) is False


def test_a_table_with_other_shares_restarts_nothing_and_loses_nothing(table, bundles):
    spans = (Span(model=CHALLENGER, start=0, end=0),)
    traffic = Traffic(design="canary", salt="s", spans=spans)
    chosen = table(challenger=CHALLENGER, traffic=traffic)
    decided(chosen, "UA1")

    async def live(replica: ShadowReplica) -> tuple[ShadowNotice, bool]:
        await replica.take(chosen.to_json())
        await told(chosen, lambda n: n.scored == 1)
        [before] = replica._threads.values()
        spans = (Span(model=CHALLENGER, start=0, end=500),)
        more = replace(chosen, traffic=replace(traffic, spans=spans), generation=2)
        await replica.take(more.to_json())
        decided(more, "UA2")
        after = await told(chosen, lambda n: n.generation == 2 and n.scored == 2)
        return after, [before] == [*replica._threads.values()]

    notice, is_same = living(live)

    assert is_same
    assert (notice.generation, notice.scored, notice.dropped) == (2, 2, 0)
    assert scored_by(chosen) == {CHALLENGER: ["UA1", "UA2"]}


def test_a_step_that_ends_after_its_challenger_was_withdrawn_writes_nothing(table, tmp_path):
    chosen = table(challenger=CHALLENGER)
    decided(chosen, "UA1")
    log = LogWriter(chosen.log, "shadow")
    shadow = Shadow(chosen, chosen.compared[0], log)

    read = shadow.step(still=lambda: False)
    shadow.close()
    log.close()

    assert read == 0
    assert scored_by(chosen) == {}
    assert not list(chosen.log.glob("cursors/*"))
