"""A lane whose models are scored in processes of their own answers as one that scores itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serving._request_errors import RequestError
from serving.lane.far_scorer import FarScorer, UnreachableError
from serving.lane.loading import load_model
from serving.lane.scorer import ScorerReplica
from serving.lane.table import Hop, LaneTable, Served
from serving.traffic import Traffic, redealt

CHAMPION, CHALLENGER = "flight_delay/1", "flight_delay/2"
TAILS = [f"N{number}" for number in range(1, 6)]


class Handle:
    """This asks a scoring process as a handle does: in some time, or not at all for a while."""

    def __init__(self) -> None:
        self.scorer = ScorerReplica()
        self.away = 0
        self.rows: list[int] = []

    async def ask(self, ref: str, folder: str, matrix: Any) -> Mapping[str, Any]:
        if matrix is not None:
            self.rows.append(len(matrix))
            await asyncio.sleep(0.01)
        if matrix is not None and self.away:
            self.away -= 1
            raise UnreachableError("ActorDiedError: the process was killed")
        return await self.scorer.ask(ref, folder, matrix)


@pytest.fixture
def handle() -> Handle:
    return Handle()


@pytest.fixture
def far(table: Callable[..., LaneTable], start_lane: Callable[..., Any], handle: Handle) -> Any:
    """A lane that asks elsewhere, and never gives up on a tail that it does not know."""
    return start_lane(table(hop=Hop(), may_lack=frozenset({"tails"})), handle.ask)


def score_here(served: Served, *rows: list[Any]) -> list[float]:
    return load_model(served).score(list(rows))


def test_the_answer_is_the_one_that_the_lane_would_have_given_itself(far, table, start_lane):
    own = start_lane(replace(table(), log=table().log.parent / "own"))

    elsewhere, here = far.decide(), own.decide()

    assert elsewhere.status == 200
    assert elsewhere.document["answer"] == pytest.approx(here.document["answer"])
    runtime = far.ask("/v1/flight_delay").document["runtime"]
    assert runtime == own.ask("/v1/flight_delay").document["runtime"]


def test_what_is_answered_is_in_the_log(far, table, logged):
    answer = far.decide(id="UA1")

    record = logged(table(), "UA1")

    assert record["answer"] == answer.document["answer"]
    assert record["model"] == CHAMPION
    assert far.decide(id="UA1").document["repeated"] is True


def test_what_comes_while_a_call_is_under_way_goes_into_one_call(far, handle):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: far.decide(), range(64)))

    assert {answer.status for answer in answers} == {200}
    assert sum(handle.rows) == 64
    assert len(handle.rows) < 40


def test_a_batch_of_floats_is_sent_as_it_came(far, table, handle):
    layout = far.ask("/v1/flight_delay").document["matrix"]["layout"]
    matrix = np.array([[0, 719, 12.5, 1], [np.nan, 2475, 3, 2]], dtype="<f4")

    answer = far.ask(
        f"/v1/flight_delay/decide-batch?layout={layout}",
        matrix.tobytes(),
        headers={"content-type": "application/octet-stream", "accept": "application/json"},
    )

    assert answer.status == 200, answer.document
    assert handle.rows == [2]


def test_a_list_is_ranked(far, handle):
    items = [{"features": {"carrier": "UA", "distance": miles}} for miles in (200, 719, 2475)]

    answer = far.ask(
        "/v1/flight_delay/rank", {"entity": {"origin": "EWR", "tail": "N1"}, "items": items}
    )

    assert answer.status == 200, answer.document
    assert handle.rows == [3]


def test_one_process_that_dies_costs_no_answer(far, handle):
    handle.away = 1

    answer = far.decide()

    assert answer.status == 200
    assert handle.rows == [1, 1]


def test_without_any_process_the_request_is_refused_and_not_logged(far, table, handle):
    handle.away = 2

    refused = far.decide(id="UA7")

    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.document["error"] == {
        "code": "model_unreachable",
        "message": "The process that scores with 'flight_delay/1' could not be asked: "
        "ActorDiedError: the process was killed. Nothing was decided.",
        "remedy": "send the request again in a second, with the same id; if it lasts, run "
        "`headrace endpoint show` and give the endpoint more `scorers`.",
    }
    again = far.decide(id="UA7")
    assert (again.status, again.document["repeated"]) == (200, False)


def test_what_is_too_much_is_refused_at_once_and_the_rest_is_answered(far, handle, monkeypatch):
    monkeypatch.setattr("serving.lane.far._MOST_WAITING", 3)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: far.decide(), range(64)))

    refused = [each for each in answers if each.status == 503]
    assert {each.status for each in answers} == {200, 503}
    assert {each.document["error"]["code"] for each in refused} == {"model_unreachable"}
    assert "rows wait for it already" in refused[0].document["error"]["message"]
    assert far.ask("/v1/flight_delay").document["log"]["decisions"] == 64 - len(refused)


def test_a_process_that_hangs_is_not_waited_for(table, handle, monkeypatch):
    monkeypatch.setattr("serving.lane.far_scorer._SECONDS", 0.05)

    async def hang(ref: str, folder: str, matrix: Any) -> Mapping[str, Any]:
        if matrix is not None:
            await asyncio.sleep(60)
        return await handle.ask(ref, folder, matrix)

    async def ask() -> None:
        scorer = FarScorer(table().champion, hang)
        await scorer.ready()
        await scorer.score_rows([["UA", 719.0, 12.5, 1]])

    with pytest.raises(RequestError) as raised:
        asyncio.run(ask())

    assert raised.value.code == "model_unreachable"
    assert "no answer within 0.1 s" in raised.value.problem


def test_a_challenger_answers_from_there_and_the_champion_when_it_cannot(
    table, start_lane, handle, logged
):
    made = table(challenger=CHALLENGER, hop=Hop(), may_lack=frozenset({"tails"}))
    traffic = Traffic(design="ab", unit=("tail",), salt="s", patience_ms=2_000)
    made = replace(made, traffic=redealt(traffic, {CHALLENGER: 1.0}))
    lane = start_lane(made, handle.ask)
    features = {"carrier": "UA", "distance": 719, "hour": 12}

    theirs = lane.decide(id="1", features=features)
    handle.away = 2
    fallen = lane.decide(id="2", features=features)

    assert theirs.document["model"] == CHALLENGER
    assert fallen.document["model"] == CHAMPION
    assert logged(made, "2")["fallback"] == "error"


def test_a_new_champion_is_loaded_before_it_answers(far, table, handle):
    far.take(table(CHALLENGER, generation=2, hop=Hop()))

    answer = far.decide(features={"carrier": "UA", "hour": 12})

    assert (answer.status, answer.document["model"]) == (200, CHALLENGER)
    assert far.ask("/v1/flight_delay").document["generation"] == 2


def test_a_champion_that_cannot_be_loaded_there_leaves_the_one_before(far, table, tmp_path):
    broken = Served(ref="flight_delay/3", folder=tmp_path / "nothing")

    notice = far.take(replace(table(), generation=2, champion=broken, hop=Hop()))

    assert notice.failed == 2
    assert far.decide().document["model"] == CHAMPION


def test_a_row_that_the_model_fails_on_costs_the_others_nothing(table, handle):
    async def ask() -> list[Any]:
        scorer = FarScorer(table().champion, handle.ask)
        await scorer.ready()
        good = scorer.loaded.encode([["UA", 719.0, 12.5, 1]])
        bad = np.zeros((1, 9), dtype=np.float32)
        return await asyncio.gather(
            *(scorer.score_matrix(each) for each in (good, bad, good)), return_exceptions=True
        )

    first, failed, last = asyncio.run(ask())

    assert first == last == pytest.approx(score_here(table().champion, ["UA", 719.0, 12.5, 1]))
    assert isinstance(failed, RuntimeError)


def test_a_lane_whose_models_are_elsewhere_imports_none_of_their_libraries(table):
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from serving.lane.far_scorer import FarScorer\n"
        "from serving.lane.table import Served\n"
        "async def told(ref, folder, matrix):\n"
        "    return {'runtime': 'told'}\n"
        "scorer = FarScorer(Served(ref='a/1', folder=Path(sys.argv[1])), told)\n"
        "asyncio.run(scorer.ready())\n"
        "import serving.lane.replica\n"
        "heavy = {'onnxruntime', 'sklearn', 'torch', 'xgboost'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script, str(table().champion.folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_scoring_process_keeps_what_no_table_names_any_more_for_a_while(
    table, handle, monkeypatch
):
    monkeypatch.setattr("serving.lane.scorer._KEPT_SECONDS", 0.05)
    scorer = handle.scorer

    async def main() -> tuple[set[str], set[str]]:
        await scorer.take(table(CHAMPION, hop=Hop()).to_json())
        await scorer.take(table(CHALLENGER, hop=Hop(), generation=2).to_json())
        at_once = {served.ref for served in scorer._models}
        await asyncio.sleep(0.2)
        return at_once, {served.ref for served in scorer._models}

    assert asyncio.run(main()) == ({CHAMPION, CHALLENGER}, {CHALLENGER})
