"""A lane whose challengers answer a share: by known chances, and at no client's risk."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.content import document_digest
from headrace.decisions import Tail
from operators.bundle import load_bundle
from serving.lane.breaker import FIRST_IN_FLIGHT
from serving.lane.table import Compared, LaneTable, Served
from serving.traffic import Traffic, redealt

CHAMPION, CHALLENGER, BROKEN = "flight_delay/1", "flight_delay/2", "broken/1"
NEAR = {"carrier": "UA", "distance": 719}
FAR = NEAR | {"distance": 2475}
TAILS = [f"N{number}" for number in range(1, 31)]


def dealing(
    table: LaneTable, patience_ms: float = 5_000, unit: tuple[str, ...] = ("tail",), **shares: float
) -> LaneTable:
    """The table with a share for its first challenger, and for its second if it has one."""
    named = dict(zip((each.model.ref for each in table.compared), shares.values(), strict=False))
    traffic = Traffic(design="ab", unit=unit, salt="salt", patience_ms=patience_ms)
    return replace(table, traffic=redealt(traffic, named), may_lack=frozenset({"tails"}))


def owner(table: LaneTable, unit: str) -> str:
    assert table.traffic is not None
    bucket = table.traffic.bucket_of(unit)
    spans = table.traffic.spans
    return next((s.model for s in spans if s.start <= bucket < s.end), table.champion.ref)


def decisions(table: LaneTable) -> list[dict[str, Any]]:
    tail = Tail.open(table.log)
    found = [document for _, document in tail.poll(100_000)]
    tail.close()
    return found


@pytest.fixture
def broken(
    tmp_path: Path, bundles: dict[str, Path], fail_beyond: Callable[..., None]
) -> Callable[[Callable[[Path], None] | None], Served]:
    """Make a model that answers 0.25, and fails on flights of more than 1,000 miles."""

    def make(change: Callable[[Path], None] | None = None) -> Served:
        folder = tmp_path / "broken"
        shutil.copytree(bundles[CHAMPION], folder)
        (change or (lambda to: fail_beyond(to, miles=1000.0)))(folder)
        return Served(ref=BROKEN, folder=folder)

    return make


@pytest.fixture
def ask(start_lane: Callable[..., Any]) -> Callable[..., Any]:
    """Start a lane, and ask it about tails."""

    def start(table: LaneTable) -> Any:
        lane = start_lane(table)
        takes_hour = CHALLENGER in [each.model.ref for each in table.compared]
        hour = {"hour": 7} if takes_hour else {}

        def decide(tail: str | None = "N1", features: Any = NEAR, **more: Any) -> dict[str, Any]:
            entity = {"origin": "EWR", "tail": tail}
            answer = lane.decide(entity=entity, features={**features, **hour}, **more)
            assert answer.status == 200, answer.document
            document: dict[str, Any] = answer.document
            return document

        decide.lane = lane  # type: ignore[attr-defined]
        return decide

    return start


def test_each_unit_meets_the_model_of_its_bucket_on_every_replica_and_after_restarts(
    ask, table, bundles
):
    chosen = dealing(table(challenger=CHALLENGER), first=0.5)
    expected = {}
    for ref in (CHAMPION, CHALLENGER):
        scorer = load_bundle(bundles[ref])
        row = {"carrier": ["UA"], "distance": [719.0], "hour": [7], "wind": [12.5],
               "landings": [1], "last_delay": [-2.5]}  # fmt: skip
        names = [feature.name for feature in scorer.card.features]
        expected[ref] = float(scorer.score({name: row[name] for name in names})[0])
    first = ask(chosen)
    second = ask(chosen)

    met = [[decide(tail)["model"] for tail in TAILS] for decide in (first, second)]
    second.lane.take(replace(chosen, generation=2))
    met.append([second(tail)["model"] for tail in TAILS])

    assert met == 3 * [[owner(chosen, tail) for tail in TAILS]]
    assert set(met[0]) == {CHAMPION, CHALLENGER}
    answer = first("N1")
    assert answer["answer"]["probability"] == pytest.approx(expected[answer["model"]], abs=1e-6)


def test_the_log_has_whose_a_decision_was_and_by_which_chance(ask, table, logged):
    chosen = dealing(table(challenger=CHALLENGER), first=0.25)
    decide = ask(chosen)
    tail = next(each for each in TAILS if owner(chosen, each) == CHALLENGER)

    answer = decide(tail, id="theirs")
    decide(None, id="nobody's")

    theirs, nobodys = logged(chosen, "theirs"), logged(chosen, "nobody's")
    fields = ("model", "assigned", "unit", "candidates", "propensities", "experiment", "fallback")
    assert {name: theirs[name] for name in fields if name in theirs} == {
        "model": CHALLENGER,
        "assigned": CHALLENGER,
        "unit": tail,
        "candidates": [CHAMPION, CHALLENGER],
        "propensities": [0.75, 0.25],
        "experiment": "1-against-2",
    }
    assert {name: nobodys[name] for name in fields if name in nobodys} == {
        "model": CHAMPION,
        "unit": None,
        "candidates": [CHAMPION],
        "propensities": [1.0],
        "experiment": "1-against-2",
    }
    assert theirs["score"] == answer["answer"]["probability"]
    assert theirs["columns"] == nobodys["columns"]
    assert theirs["named"].keys() == {
        "carrier", "distance", "wind", "landings", "last_delay", "hour"
    }  # fmt: skip


def test_without_columns_of_a_unit_each_decision_is_dealt_by_its_id(ask, table):
    chosen = dealing(table(challenger=CHALLENGER), unit=(), first=0.5)
    decide = ask(chosen)

    answers = [decide(id=f"UA{n}" if n % 2 else None) for n in range(30)]

    assert [each["model"] for each in answers] == [owner(chosen, each["id"]) for each in answers]
    assert {each["model"] for each in answers} == {CHAMPION, CHALLENGER}
    assert {each["assigned"] == each["model"] for each in decisions(chosen)} == {True}


def test_several_challengers_answer_their_shares_and_each_reads_its_own_inputs(ask, table, bundles):
    second = Compared(
        model=Served(ref="minutes/1", folder=bundles["minutes/1"]), experiment="1-against-minutes"
    )
    chosen = dealing(table(challenger=CHALLENGER, also=(second,)), first=0.4, second=0.3)
    decide = ask(chosen)

    answers = {tail: decide(tail) for tail in TAILS}

    assert {tail: each["model"] for tail, each in answers.items()} == {
        tail: owner(chosen, tail) for tail in TAILS
    }
    assert {(each["model"], *each["answer"]) for each in answers.values()} == {
        (CHAMPION, "probability"),
        (CHALLENGER, "probability"),
        ("minutes/1", "estimate"),
    }
    record = decisions(chosen)[0]
    assert record["experiments"] == ["1-against-2", "1-against-minutes"]
    assert record["candidates"] == [CHAMPION, CHALLENGER, "minutes/1"]
    assert record["propensities"] == [0.3, 0.4, 0.3]


def test_a_challenger_that_fails_is_answered_for_and_soon_not_asked_any_more(ask, table, broken):
    chosen = dealing(replace(table(), challenger=broken(), experiment="e"), first=1.0)
    decide = ask(chosen)

    answers = [decide(tail, FAR) for tail in TAILS]

    assert {each["model"] for each in answers} == {CHAMPION}
    records = decisions(chosen)
    assert [each["fallback"] for each in records] == 4 * ["error"] + 26 * ["out"]
    assert {each["assigned"] for each in records} == {BROKEN}
    notice = decide.lane.replica._arms.out
    assert [(each.model, each.experiment) for each in notice] == [(BROKEN, "e")]
    assert notice[0].reason.startswith(
        "of its answers 4 failed and 0 did not; the last: InvalidArgument: [ONNXRuntimeError]"
    )


def test_a_table_with_the_same_experiment_keeps_it_out_and_another_asks_anew(ask, table, broken):
    chosen = dealing(replace(table(), challenger=broken(), experiment="e"), first=1.0)
    decide = ask(chosen)
    for tail in TAILS[:5]:
        decide(tail, FAR)

    decide.lane.take(replace(chosen, generation=2))
    same = decide("N1")["model"]
    decide.lane.take(replace(chosen, generation=3, experiment="other"))
    other = decide("N1")

    assert (same, other["model"]) == (CHAMPION, BROKEN)
    assert other["answer"] == {"probability": 0.25}


def test_a_row_that_it_fails_on_costs_no_other_row_of_the_batch_its_answer(ask, table, broken):
    chosen = dealing(replace(table(), challenger=broken(), experiment="e"), first=1.0)
    decide = ask(chosen)
    for tail in TAILS:  # it may have more at once now
        decide(tail)
    miles = [NEAR, FAR, NEAR, NEAR, FAR, NEAR]

    with ThreadPoolExecutor(len(miles)) as pool:
        answers = list(pool.map(lambda features: decide("N1", features), miles))

    assert [each["model"] == BROKEN for each in answers] == [f is NEAR for f in miles]
    assert Counter(each.get("fallback") for each in decisions(chosen)) == {None: 34, "error": 2}


def slow(folder: Path) -> None:
    """Put a model into a bundle that turns in a loop for a second or less, and answers 0.25."""
    from onnx import TensorProto, helper, numpy_helper

    def tensor(name: str, kind: int, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    card = json.loads((folder / "card.json").read_bytes())
    turn = helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "half"], ["after"]),
            helper.make_node("Identity", ["goes on"], ["goes on then"]),
        ],
        "turn",
        [
            tensor("turn", TensorProto.INT64, []),
            tensor("goes on", TensorProto.BOOL, []),
            tensor("before", TensorProto.FLOAT, [64, 64]),
        ],
        [
            tensor("goes on then", TensorProto.BOOL, []),
            tensor("after", TensorProto.FLOAT, [64, 64]),
        ],
        [numpy_helper.from_array(np.eye(64, dtype=np.float32), "half")],
    )
    constants = {
        "turns": np.array(40_000, np.int64),
        "yes": np.array(True),
        "begin": np.eye(64, dtype=np.float32),
        "corner": np.array([0], np.int64),
        "quarter": np.array([[0.25]], np.float32),
        "nothing": np.array([[0.0]], np.float32),
        "first": np.array([0], np.int64),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["turns", "yes", "begin"], ["end"], body=turn),
            helper.make_node("Gather", ["end", "corner"], ["line"], axis=0),
            helper.make_node("Gather", ["line", "corner"], ["one"], axis=1),
            helper.make_node("Mul", ["one", "quarter"], ["answer"]),
            helper.make_node("Gather", ["rows", "first"], ["any"], axis=1),
            helper.make_node("IsNaN", ["any"], ["is null"]),
            helper.make_node("Cast", ["is null"], ["flag"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["flag", "nothing"], ["zeros"]),
            helper.make_node("Add", ["zeros", "answer"], ["score"]),
        ],
        "turns",
        [tensor("rows", TensorProto.FLOAT, [None, len(card["features"])])],
        [tensor("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    content = model.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    manifest = json.loads((folder / "runtime.json").read_bytes())
    del manifest["checksum"]
    manifest["files"]["model.onnx"] = hashlib.sha256(content).hexdigest()
    manifest["choice"] |= {"small": "onnxruntime", "large": "onnxruntime", "switch_at": None}
    manifest["checksum"] = document_digest(manifest)
    (folder / "runtime.json").write_text(json.dumps(manifest))


def test_a_slow_challenger_is_not_waited_for_and_delays_no_request_of_the_champion(
    ask, table, broken
):
    served = broken(slow)
    chosen = dealing(replace(table(), challenger=served, experiment="e"), patience_ms=40, first=0.5)
    decide = ask(chosen)
    theirs = [tail for tail in TAILS if owner(chosen, tail) == BROKEN]
    own = [tail for tail in TAILS if owner(chosen, tail) == CHAMPION][:6]

    def timed(tail: str) -> tuple[str, float]:
        begun = time.monotonic()
        return decide(tail)["model"], time.monotonic() - begun

    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(timed, theirs[0])
        meanwhile = [timed(tail) for tail in own]
        late.result()
        busy = timed(theirs[1])

    by_tail = {each["unit"]: each for each in decisions(chosen)}
    assert late.result()[0] == CHAMPION
    assert late.result()[1] >= 0.04
    assert {model for model, _ in meanwhile} == {CHAMPION}
    assert sorted(seconds for _, seconds in meanwhile)[len(own) // 2] < 0.3
    assert busy[0] == CHAMPION
    assert by_tail[theirs[0]]["fallback"] == "timeout"
    assert by_tail[theirs[1]]["fallback"] == "busy"
    assert all("fallback" not in by_tail[tail] for tail in own)


def test_a_repeat_that_comes_while_a_challenger_is_asked_shares_its_answer(ask, table, broken):
    chosen = dealing(replace(table(), challenger=broken(slow), experiment="e"), first=1.0)
    decide = ask(chosen)
    together = threading.Barrier(FIRST_IN_FLIGHT)

    def twin(_: int) -> dict[str, Any]:
        together.wait()
        return decide("N1", id="UA1")  # type: ignore[no-any-return]

    with ThreadPoolExecutor(FIRST_IN_FLIGHT) as pool:
        answers = list(pool.map(twin, range(FIRST_IN_FLIGHT)))

    assert sorted(each.pop("repeated") for each in answers) == [False] + 3 * [True]
    assert all(each == answers[0] for each in answers)
    assert (answers[0]["model"], answers[0]["answer"]) == (BROKEN, {"probability": 0.25})
    assert len(decisions(chosen)) == 1


def test_what_a_challenger_answers_is_not_sent_when_it_cannot_be_logged(
    start_process, table, broken
):
    chosen = dealing(replace(table(), challenger=broken(), experiment="e"), first=1.0)
    process = start_process(chosen)
    before = process.decide(id="before", features=NEAR)
    process.tell_it("leave room", 0)

    full = [process.decide(id=f"UA{n}", features=FAR if n % 2 else NEAR) for n in range(4)]
    process.tell_it("leave room", None)
    after = [process.decide(id=f"UA{n}", features=NEAR) for n in range(4)]

    assert before.document["model"] == BROKEN
    assert {(each.status, each.document["error"]["code"]) for each in full} == {
        (503, "log_unwritable")
    }
    assert {(each.status, each.document["repeated"]) for each in after} == {(200, False)}
    assert [each["id"] for each in decisions(chosen)] == ["before", "UA0", "UA1", "UA2", "UA3"]


def test_a_challenger_that_cannot_be_loaded_keeps_no_table_from_being_taken(ask, table, broken):
    served = broken()
    (served.folder / "model.onnx").write_bytes(b"damaged")
    chosen = dealing(replace(table(), challenger=served, experiment="e"), first=1.0)

    decide = ask(chosen)

    assert decide("N1")["model"] == CHAMPION
    assert [each["fallback"] for each in decisions(chosen)] == ["out"]
    (out,) = decide.lane.replica._arms.out
    assert out.reason.startswith("it cannot be loaded: DamagedArtifactError: The bundle '")


def test_what_each_model_answered_and_why_not_is_counted(ask, table, broken):
    chosen = dealing(replace(table(), challenger=broken(), experiment="e"), first=1.0)
    decide = ask(chosen)
    for features in (NEAR, NEAR, FAR, NEAR):
        decide("N1", features)
    decide(None)

    meters = decide.lane.replica._app.meters

    assert dict(meters.answers) == {BROKEN: 3, CHAMPION: 2}
    assert dict(meters.fallbacks) == {(BROKEN, "error"): 1}
    assert meters.breakers == {BROKEN: "closed"}
