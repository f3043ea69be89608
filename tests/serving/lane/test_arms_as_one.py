"""Rows that belong together are answered by one model, whole: the challenger's, or the champion."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.decisions import DecisionLog
from serving._request_errors import RequestError
from serving._requests import DecisionRequest
from serving.lane.arms import Arms
from serving.lane.deciding import Decider
from serving.lane.inputs import inputs_of
from serving.lane.loading import load_decider, load_model, load_reader, start_challenger
from serving.lane.table import LaneTable, Served
from serving.traffic import Traffic, redealt

CHAMPION, CHALLENGER = "flight_delay/1", "broken/1"
NEAR, FAR = ["UA", 719.0, 12.5, 1], ["UA", 2475.0, 12.5, 1]


@pytest.fixture
def whole(
    table: Callable[..., LaneTable],
    tmp_path: Path,
    bundles: dict[str, Path],
    fail_beyond: Callable[..., None],
) -> LaneTable:
    """A table whose challenger answers everything with 0.25, but fails on far flights."""
    shutil.copytree(bundles[CHAMPION], tmp_path / "broken")
    fail_beyond(tmp_path / "broken", miles=1000.0)
    traffic = Traffic(design="ab", unit=("tail",), salt="salt", patience_ms=5_000)
    return replace(
        table(),
        challenger=Served(ref=CHALLENGER, folder=tmp_path / "broken"),
        experiment="e",
        traffic=redealt(traffic, {CHALLENGER: 1.0}),
    )


@pytest.fixture
def decided(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Run something with a decider of a table."""
    log = DecisionLog.open(tmp_path / "log", writer="test")

    def run(table: LaneTable, work: Callable[[Decider], Any]) -> Any:
        async def main() -> Any:
            arms = Arms()
            decider = await load_decider(table, log, {}, arms=arms)
            try:
                return await work(decider)
            finally:
                arms.close()

        return asyncio.run(main())

    yield run
    log.close()


def test_a_challenger_answers_all_rows_of_what_is_dealt_to_it(whole, decided):
    async def work(decider: Decider) -> Any:
        return await decider.score_as_one("list 1", lambda: [NEAR] * 3)

    found = decided(whole, work)

    assert (found.model, found.scores) == (CHALLENGER, [0.25] * 3)
    assert found.card.feature_names == ("carrier", "distance", "wind", "landings")
    assert found.fields == {
        "generation": 1,
        "experiment": "e",
        "candidates": [CHAMPION, CHALLENGER],
        "propensities": [0.0, 1.0],
        "assigned": CHALLENGER,
        "unit": "list 1",
        "model": CHALLENGER,
    }


def test_one_row_that_it_fails_on_makes_all_of_them_the_champions(whole, decided):
    async def work(decider: Decider) -> Any:
        by_rows = await decider.score_as_one("list 1", lambda: [NEAR, FAR, NEAR])
        quicker = await decider.score_as_one("list 1", lambda: [FAR], lambda: [0.75])
        return by_rows, quicker, decider.champion.score([NEAR, FAR, NEAR])

    by_rows, quicker, expected = decided(whole, work)

    assert (by_rows.model, by_rows.scores) == (CHAMPION, expected)
    assert by_rows.fields["fallback"] == "error"
    assert by_rows.fields["assigned"] == CHALLENGER
    assert (quicker.model, quicker.scores) == (CHAMPION, [0.75])


def test_what_only_the_champion_can_answer_is_left_to_nobody_else(whole, decided):
    async def work(decider: Decider) -> Any:
        return await decider.score_as_one("list 1", lambda: [NEAR], only_champion=True)

    found = decided(whole, work)

    assert found.model == CHAMPION
    assert found.fields["candidates"] == [CHAMPION]
    assert found.fields["propensities"] == [1.0]
    assert "fallback" not in found.fields


def test_a_failure_of_the_champion_is_told(whole, decided):
    broken = replace(whole, champion=whole.challenger, challenger=None, experiment=None,
                     traffic=None)  # fmt: skip

    async def work(decider: Decider) -> Any:
        with pytest.raises(RequestError) as caught:
            await decider.score_as_one("list 1", lambda: [FAR])
        return caught.value

    error = decided(broken, work)

    assert (error.code, error.status) == ("model_failed", 500)


def test_requests_that_came_together_are_each_answered_or_refused(whole, decided):
    def request(tail: str | None, identity: str | None = None) -> DecisionRequest:
        entity = {"origin": "EWR", "tail": tail}
        return DecisionRequest(identity, entity, {"carrier": "UA", "distance": 719.0}, None)

    async def work(decider: Decider) -> Any:
        asked = [request("N1", "a"), request("N404"), request("N2"), request("N1", "a")]
        said = [{"batch": "b1"}] * 4
        return await decider.decide_all(asked, said)

    first, refused, other, again = decided(whole, work)

    assert isinstance(refused, RequestError)
    assert refused.code == "unknown_entity"
    assert (first["model"], other["model"]) == (CHALLENGER, CHALLENGER)
    assert again == first | {"repeated": True}


def test_a_champion_that_is_scored_elsewhere_answers_as_the_one_in_the_loop(whole, tmp_path):
    champion = load_model(whole.champion)
    broken = replace(whole.champion, folder=tmp_path / "broken")

    def request(tail: str, miles: float) -> DecisionRequest:
        entity = {"origin": "EWR", "tail": tail}
        return DecisionRequest(None, entity, {"carrier": "UA", "distance": miles}, None)

    async def main(log: DecisionLog, served: Served) -> Any:
        table = replace(whole, champion=served, challenger=None, experiment=None, traffic=None)
        found = inputs_of(table, champion.scorer.card)
        away = start_challenger(served)
        await away.ready()
        decider = Decider(
            table,
            champion=champion,
            inputs=found.inputs,
            lookups=found.lookups,
            reader=load_reader(table, found.lookups),
            log=log,
            pending={},
            away=away,
        )
        answers = await decider.decide_all([request("N1", 719.0), request("N1", 2475.0)])
        return answers, await decider.score_as_one("list", lambda: [NEAR])

    with DecisionLog.open(tmp_path / "away", writer="test") as log:
        (near, far), one = asyncio.run(main(log, whole.champion))
        (fine, failed), _ = asyncio.run(main(log, broken))

    assert [near["answer"]["probability"], far["answer"]["probability"]] == pytest.approx(
        champion.score([NEAR, FAR]), abs=1e-6
    )
    assert one.scores == pytest.approx(champion.score([NEAR]), abs=1e-6)
    assert fine["answer"] == {"probability": 0.25}
    assert isinstance(failed, RequestError)
    assert failed.code == "model_failed"
