"""What a lane decides, by which features, and that exactly this is what it logs."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from headrace.clock import as_us
from headrace.decisions import Tail
from operators.bundle import load_bundle
from serving.lane.table import Served


def test_a_decision_by_entity_is_the_models_score_of_what_is_known_of_it(lane, table, bundles):
    answer = lane.decide(id="UA1")

    expected = load_bundle(bundles["flight_delay/1"]).score(
        {"carrier": ["UA"], "distance": [719.0], "wind": [12.5], "landings": [1]}
    )
    at = datetime.fromisoformat(answer.document.pop("at"))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.document == {
        "id": "UA1",
        "endpoint": "flight_delay",
        "model": "flight_delay/1",
        "answer": {"probability": pytest.approx(float(expected[0]), abs=1e-6)},
        "repeated": False,
        "missing": [],
    }
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60


def test_what_is_logged_is_what_was_answered_and_by_which_features(lane, table, logged):
    answer = lane.decide(id="UA1").document

    found = logged(table(), "UA1")
    assert found.pop("named") == {"carrier": "UA", "distance": 719.0, "wind": 12.5, "landings": 1}
    assert abs(found.pop("logged") - found["at"]) < 60_000_000
    assert found == {
        "kind": "decision",
        "id": "UA1",
        "at": as_us(datetime.fromisoformat(answer["at"])),
        "entity": {"origin": "EWR", "tail": "N1"},
        "columns": found["columns"],
        "features": ["UA", 719.0, 12.5, 1],
        "overridden": [],
        "missing": [],
        "generation": 1,
        "experiment": None,
        "candidates": ["flight_delay/1"],
        "propensities": [1.0],
        "model": "flight_delay/1",
        "score": answer["answer"]["probability"],
        "answer": answer["answer"],
    }


def test_a_feature_that_the_request_gives_wins_and_is_logged_as_overridden(lane, table, logged):
    given = {"carrier": "UA", "distance": 719, "wind": 1.0}

    stormy, calm = lane.decide(id="stormy", features=given), lane.decide(id="calm")

    found = logged(table(), "stormy")
    assert found["overridden"] == ["wind"]
    assert found["named"] == {"carrier": "UA", "distance": 719.0, "wind": 1.0, "landings": 1}
    assert stormy.document["answer"] != calm.document["answer"]


def test_a_view_whose_features_are_all_given_is_not_asked_for_its_entity(lane, table, logged):
    given = {"carrier": "UA", "distance": 719, "landings": 4}

    answer = lane.decide(id="new", entity={"origin": "JFK", "tail": "N404"}, features=given)

    assert (answer.status, answer.document["missing"]) == (200, [])
    assert logged(table(), "new")["named"]["landings"] == 4


@pytest.mark.parametrize("tail", ["N404", None])
def test_an_entity_that_may_be_unknown_has_null_features_and_is_told_missing(
    start_lane, table, logged, bundles, tail
):
    chosen = table(may_lack=frozenset({"tails"}))
    lane = start_lane(chosen)

    answer = lane.decide(id="new", entity={"origin": "EWR", "tail": tail}).document

    expected = load_bundle(bundles["flight_delay/1"]).score(
        {"carrier": ["UA"], "distance": [719.0], "wind": [12.5], "landings": [None]}
    )
    found = logged(chosen, "new")
    assert answer["missing"] == found["missing"] == ["tails"]
    assert found["named"]["landings"] is None
    assert answer["answer"]["probability"] == pytest.approx(float(expected[0]), abs=1e-6)


def test_a_category_that_the_model_never_saw_is_logged_as_it_came(lane, table, logged):
    answer = lane.decide(id="new carrier", features={"carrier": "ZZ", "distance": None})

    assert answer.status == 200
    assert logged(table(), "new carrier")["features"][:2] == ["ZZ", None]


def test_an_estimate_is_answered_as_one(start_lane, table, bundles):
    lane = start_lane(table("minutes/1"))

    answer = lane.decide(features={"distance": 719}).document

    expected = load_bundle(bundles["minutes/1"]).score({"distance": [719.0], "wind": [12.5]})
    assert answer["answer"] == {"estimate": pytest.approx(float(expected[0]), rel=1e-6)}


def test_a_decision_that_was_given_no_id_is_given_one_of_its_own(lane, table, logged):
    ids = [lane.decide(id=given).document["id"] for given in (None, None, "UA1")]

    assert len(set(ids)) == 3
    assert [logged(table(), name)["id"] for name in ids] == ids


def test_a_replayed_decision_is_made_at_the_moment_that_it_says(start_lane, table, logged, noon):
    chosen = table(clock="replayed", space="replay")
    lane = start_lane(chosen)

    answer = lane.decide(id="UA1", at="2013-07-01T08:00:00-04:00").document

    assert datetime.fromisoformat(answer["at"]) == noon
    assert logged(chosen, "UA1")["at"] == as_us(noon)


def test_with_a_challenger_its_inputs_are_read_and_logged_too(start_lane, table, logged, bundles):
    chosen = table(challenger="flight_delay/2")
    lane = start_lane(chosen)
    given = {"carrier": "UA", "distance": 719, "hour": 7}

    answer = lane.decide(id="UA1", features=given).document

    expected = load_bundle(bundles["flight_delay/1"]).score(
        {"carrier": ["UA"], "distance": [719.0], "wind": [12.5], "landings": [1]}
    )
    found = logged(chosen, "UA1")
    assert answer["answer"]["probability"] == pytest.approx(float(expected[0]), abs=1e-6)
    assert found["named"] == {
        "carrier": "UA", "distance": 719.0, "wind": 12.5, "landings": 1,
        "last_delay": -2.5, "hour": 7,
    }  # fmt: skip
    assert found["experiment"] == "1-against-2"


def test_a_repeat_gets_the_logged_answer_whatever_it_asks(lane):
    first = lane.decide(id="UA1").document

    again = lane.decide(id="UA1", features={"carrier": "DL", "distance": 2475, "wind": 40.0})

    assert (again.status, again.document) == (200, first | {"repeated": True})


def test_a_repeat_that_comes_at_the_same_time_is_decided_once(lane, table):
    together = threading.Barrier(16)

    def ask(number: int) -> dict:
        together.wait()
        return lane.decide(id=f"UA{number // 8}").document

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))

    tail = Tail.open(table().log)
    assert sorted(document["id"] for _, document in tail.poll()) == ["UA0", "UA1"]
    tail.close()
    for number in (0, 1):
        same = answers[8 * number : 8 * number + 8]
        assert sorted(answer.pop("repeated") for answer in same) == [False] + 7 * [True]
        assert all(answer == same[0] for answer in same)


def test_a_repeat_after_the_champion_changed_gets_the_answer_of_the_old_one(lane, table):
    first = lane.decide(id="UA1").document
    lane.take(table("minutes/1", generation=2))
    asked = {"features": {"distance": 719}}

    again, other = (lane.decide(id=name, **asked).document for name in ("UA1", "UA2"))

    assert again == first | {"repeated": True}
    assert (again["model"], other["model"]) == ("flight_delay/1", "minutes/1")


def test_outcomes_are_recorded_once_and_a_request_is_recorded_whole(lane, table):
    for name in ("UA1", "UA2", "UA3"):
        lane.decide(id=name)

    first = lane.tell({"id": "UA1", "value": 1}, {"id": "UA2", "value": None})
    zero = {"id": "UA3", "value": 0}
    again = lane.tell({"id": "UA1", "value": 1.0}, zero, zero)

    others = {"corrected": 0, "late": 0}
    assert (first.status, first.document) == (200, {"recorded": 2, "repeated": 0} | others)
    assert (again.status, again.document) == (200, {"recorded": 1, "repeated": 2} | others)


def test_the_lane_says_what_it_answers_with_and_what_it_is_asked_with(start_lane, table):
    lane = start_lane(table(challenger="flight_delay/2", generation=7))

    about = lane.ask("/v1/flight_delay").document
    health = lane.ask("/healthz").document

    log = about.pop("log")
    assert about == {
        "endpoint": "flight_delay",
        "generation": 7,
        "model": "flight_delay/1",
        "runtime": about["runtime"],
        "challenger": "flight_delay/2",
        "experiment": "1-against-2",
        "clock": "live",
        "inputs": [
            {"name": "carrier", "dtype": "category", "source": None},
            {"name": "distance", "dtype": "float", "source": None},
            {"name": "wind", "dtype": "float", "source": "weather"},
            {"name": "landings", "dtype": "int", "source": "tails"},
            {"name": "last_delay", "dtype": "float", "source": "tails"},
            {"name": "hour", "dtype": "int", "source": None},
        ],
        "outputs": ["probability", "class"],
        "matrix": {
            "layout": about["matrix"]["layout"],
            "features": [
                {"name": "carrier", "dtype": "category", "categories": ["AA", "DL", "UA"]},
                {"name": "distance", "dtype": "float"},
                {"name": "wind", "dtype": "float"},
                {"name": "landings", "dtype": "int"},
            ],
        },
    }
    assert log["decisions"] == 0
    assert health == {"status": "ok"}


def test_its_openapi_document_allows_what_it_accepts_and_describes_what_it_answers(lane):
    document = lane.ask("/openapi.json").document
    asked = {"id": "UA1", "entity": {"origin": "EWR", "tail": "N1", "flight": "UA 1545"},
             "features": {"carrier": "UA", "distance": 719, "wind": None}}  # fmt: skip
    refused = asked | {"at": "2013-07-01T12:00:00Z"}
    told = {"outcomes": [{"id": "UA1", "value": 1, "known_at": None}]}

    accepted = lane.ask("/v1/flight_delay/decide", asked)
    no = lane.ask("/v1/flight_delay/decide", refused)
    recorded = lane.ask("/v1/flight_delay/outcomes", told)

    decide = document["paths"]["/v1/flight_delay/decide"]["post"]
    outcomes = document["paths"]["/v1/flight_delay/outcomes"]["post"]

    def fits(part: dict, instance: dict) -> bool:
        if "$ref" in part:
            part = document["components"]["responses"][part["$ref"].rpartition("/")[2]]
        schema = part["content"]["application/json"]["schema"]
        whole = {"components": document["components"], **schema}
        return Draft202012Validator(whole, format_checker=FormatChecker()).is_valid(instance)

    assert [accepted.status, no.status, recorded.status] == [200, 422, 200]
    assert fits(decide["requestBody"], asked)
    assert not fits(decide["requestBody"], refused)
    assert fits(outcomes["requestBody"], told)
    assert fits(decide["responses"]["200"], accepted.document)
    assert fits(decide["responses"]["422"], no.document)
    assert fits(outcomes["responses"]["200"], recorded.document)


def test_a_row_that_the_model_fails_on_costs_no_other_its_answer(
    start_lane, table, bundles, tmp_path, fail_beyond
):
    folder = tmp_path / "failing"
    shutil.copytree(bundles["flight_delay/1"], folder)
    fail_beyond(folder, miles=1000.0)
    champion = Served(ref="flight_delay/1", folder=folder)
    lane = start_lane(replace(table(), champion=champion))
    miles = [200, 2475, 719, 2475, 400]

    with ThreadPoolExecutor(len(miles)) as pool:
        answers = list(
            pool.map(lambda far: lane.decide(features={"carrier": "UA", "distance": far}), miles)
        )

    assert [answer.status for answer in answers] == [200, 500, 200, 500, 200]
    assert {a.document["error"]["code"] for a in answers if a.status == 500} == {"model_failed"}
    assert lane.ask("/v1/flight_delay").document["log"]["decisions"] == 3
