"""A lane changes its table while it answers: whole, at once, or not at all."""

from __future__ import annotations

import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.decisions import Tail
from operators.bundle import load_bundle
from serving.lane.notices import LaneNotice, read_lane
from serving.lane.table import LaneTable, Served


def test_under_requests_every_answer_is_wholly_of_one_table(start_lane, table, bundles):
    ones = table(challenger="flight_delay/2")
    twos = table("flight_delay/2", challenger="flight_delay/1")
    lane = start_lane(ones)
    features = {"carrier": "UA", "distance": 719, "hour": 7}
    row = {"carrier": ["UA"], "distance": [719.0], "hour": [7], "wind": [12.5], "landings": [1],
           "last_delay": [-2.5]}  # fmt: skip
    expected = {}
    for ref in ("flight_delay/1", "flight_delay/2"):
        scorer = load_bundle(bundles[ref])
        names = [feature.name for feature in scorer.card.features]
        expected[ref] = float(scorer.score({name: row[name] for name in names})[0])
    ended = threading.Event()
    answers = []

    def ask() -> None:
        while not ended.is_set():
            answers.append(lane.decide(features=features))

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        for generation in range(2, 12):
            lane.take(replace(ones if generation % 2 else twos, generation=generation))
        ended.set()
        for each in asking:
            each.result()

    assert {answer.status for answer in answers} == {200}
    models = {answer.document["model"] for answer in answers}
    assert models == set(expected)
    for answer in answers:
        wanted = expected[answer.document["model"]]
        assert answer.document["answer"]["probability"] == pytest.approx(wanted, abs=1e-6)
    tail = Tail.open(ones.log)
    logged = [document for _, document in tail.poll(100_000)]
    tail.close()
    assert len(logged) == len(answers)
    for document in logged:
        odd = document["generation"] % 2
        assert document["model"] == f"flight_delay/{1 if odd else 2}"
        assert document["experiment"] == ("1-against-2" if odd else "2-against-1")


def test_a_table_that_cannot_be_loaded_leaves_the_old_one_answering_and_is_told(
    lane, table, bundles, tmp_path: Path
):
    damaged = tmp_path / "damaged"
    shutil.copytree(bundles["flight_delay/2"], damaged)
    (damaged / "card.json").write_bytes(b"{}")
    served = Served(ref="flight_delay/2", folder=damaged)
    before = lane.url

    notice = lane.take(replace(table(), generation=2, champion=served))

    answer = lane.decide()
    assert (answer.status, answer.document["model"]) == (200, "flight_delay/1")
    assert notice == LaneNotice(
        generation=1,
        url=before,
        pid=notice.pid,
        started=notice.started,
        failed=2,
        message=f"The bundle '{damaged}' is damaged: its file 'card.json' was changed.\n"
        "  Fix: Write it again with `write_bundle(folder, model)`, which replaces a damaged one.",
    )


def test_what_is_wrong_beyond_expectation_leaves_the_old_one_answering_too(
    lane, table, bundles, tmp_path: Path
):
    """A folder where a file should be is no fault that the reader of bundles knows."""
    odd = tmp_path / "odd"
    shutil.copytree(bundles["flight_delay/2"], odd)
    (odd / "card.json").unlink()
    (odd / "card.json").mkdir()

    notice = lane.take(replace(table(), generation=2, champion=Served(ref="x/1", folder=odd)))

    assert (notice.generation, notice.failed) == (1, 2)
    assert notice.message == f"IsADirectoryError: [Errno 21] Is a directory: '{odd / 'card.json'}'"
    assert lane.decide().document["model"] == "flight_delay/1"


def test_models_that_read_features_that_are_not_looked_up_are_refused(lane, table):
    only_weather = table().lookups[:1]

    notice = lane.take(replace(table(), generation=2, lookups=only_weather))

    assert (notice.generation, notice.failed) == (1, 2)
    assert notice.message == (
        "Endpoint 'flight_delay' looks up no feature 'landings' of view 'tails'. Known: 'weather'."
        "\n  Fix: Deploy the endpoint with all views that its models were trained on."
    )


def test_a_good_table_after_a_bad_one_is_taken_and_the_failure_forgotten(lane, table, tmp_path):
    lane.take(replace(table(), generation=2, champion=Served(ref="x/1", folder=tmp_path)))

    notice = lane.take(table(generation=3))

    assert (notice.generation, notice.failed, notice.message) == (3, 0, "")


def test_a_lane_takes_the_port_that_its_clients_know(start_lane, table):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]

    lane = start_lane(table(port=port))

    assert lane.url == f"http://127.0.0.1:{port}"
    assert lane.decide().status == 200


def test_a_lane_whose_port_is_taken_takes_another_and_says_which(start_lane, table):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]

        lane = start_lane(table(port=port))

    told = read_lane(table().notices, "flight_delay")
    assert told is not None
    assert told.url == lane.url != f"http://127.0.0.1:{port}"
    assert lane.decide().status == 200


def test_a_lane_listens_on_loopback_only(start_lane, table):
    import psutil

    lane = start_lane(table())
    port = int(lane.url.rpartition(":")[2])

    bound = [c.laddr.ip for c in psutil.Process().net_connections("tcp") if c.laddr.port == port
             and c.status == psutil.CONN_LISTEN]  # fmt: skip

    assert bound == ["127.0.0.1"]


def test_a_table_travels_as_json_and_is_the_same(table):
    first = table(challenger="flight_delay/2", port=4711, may_lack=frozenset({"tails"}))

    assert LaneTable.from_json(first.to_json()) == first
