"""What is wrong with a request is told whole: which field, what was expected, what came, a remedy.

The reader of bodies has tests of its own, of every fault; here is one of each kind, over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.online import OnlineStore
from headrace.clock import VirtualClock, from_us, using_clock
from headrace.decisions import Tail
from serving.lane.table import Served

DECIDE, OUTCOMES = "/v1/flight_delay/decide", "/v1/flight_delay/outcomes"
ENTITY = {"origin": "EWR", "tail": "N1"}
FEATURES = {"carrier": "UA", "distance": 719}


def asking(entity: Any = ENTITY, features: Any = FEATURES, **fields: Any) -> dict[str, Any]:
    return {"entity": entity, "features": features, **fields}


def telling(decision_id: str, value: Any, **fields: Any) -> dict[str, Any]:
    return {"outcomes": [{"id": decision_id, "value": value, **fields}]}


# path and body, then the status and the error
CASES: dict[str, tuple[str, Any, int, dict[str, str]]] = {
    "unknown endpoint": (
        "/v1/flight_dleay/decide", asking(), 404,
        {
            "code": "unknown_endpoint", "field": "endpoint",
            "expected": "an endpoint that answers here", "got": "'flight_dleay' (text)",
            "message": "There is no endpoint 'flight_dleay' at this address. Did you mean "
            "'flight_delay'?",
            "remedy": "run `headrace endpoint list` to see those there are, and where.",
        },
    ),
    "unknown path": (
        "/v1/flight_delay/decid", asking(), 404,
        {
            "code": "unknown_endpoint", "field": "path",
            "expected": "a path of this endpoint", "got": "'/v1/flight_delay/decid' (text)",
            "message": "There is nothing at '/v1/flight_delay/decid'. Did you mean "
            "'/v1/flight_delay/decide', '/v1/flight_delay/decide-batch' or '/v1/flight_delay'?",
            "remedy": "send the request to a path of this endpoint; /openapi.json lists them.",
        },
    ),
    "wrong method": (
        DECIDE, None, 405,
        {
            "code": "method_not_allowed", "field": "method", "expected": "POST", "got": "GET",
            "message": "'/v1/flight_delay/decide' answers POST, got GET.",
            "remedy": "send the request as POST.",
        },
    ),
    "wrong method of a page": (
        "/openapi.json", {}, 405,
        {
            "code": "method_not_allowed", "field": "method", "expected": "GET", "got": "POST",
            "message": "'/openapi.json' answers GET, got POST.",
            "remedy": "send the request as GET.",
        },
    ),
    "entity without online features": (
        DECIDE, asking({"origin": "EWR", "tail": "N404"}), 404,
        {
            "code": "unknown_entity", "field": "entity.tail",
            "expected": "an entity of view 'tails'", "got": "'N404' (text)",
            "message": "There are no online features of view 'tails' for tail 'N404'.",
            "remedy": "correct the key, materialize 'tails', or give its features in 'features'.",
        },
    ),
    "missing field": (
        DECIDE, asking(features={"carrier": "UA"}), 422,
        {
            "code": "missing_field", "field": "features.distance",
            "expected": "a number or null", "got": "nothing",
            "message": "The field 'features.distance' is missing: expected a number or null, got "
            "nothing.",
            "remedy": "give null where it isn't known.",
        },
    ),
    "missing key": (
        DECIDE, asking({"origin": "EWR", "tial": "N1"}), 422,
        {
            "code": "missing_field", "field": "entity.tail",
            "expected": "text or null", "got": "nothing",
            "message": "The field 'entity.tail' is missing: expected text or null, got nothing. "
            "There is 'tial': did you mean 'tail'?",
            "remedy": "give the key of view 'tails', or null where there is none.",
        },
    ),
    "extra field": (
        DECIDE, asking(features=FEATURES | {"wnd": 3}), 422,
        {
            "code": "unknown_field", "field": "features.wnd",
            "expected": "the name of an input", "got": "'wnd' (text)",
            "message": "The endpoint 'flight_delay' has no input 'wnd'. Did you mean 'wind'?",
            "remedy": "correct the name or leave it out.",
        },
    ),
    "NaN": (
        DECIDE, b'{"entity": {"origin": "EWR", "tail": "N1"}, "features": {"distance": NaN}}', 400,
        {
            "code": "not_json", "expected": "a JSON object", "got": "NaN",
            "message": "The body isn't JSON: it has NaN at line 1, column 70, and JSON has no such "
            "number.",
            "remedy": "send null where a number isn't known.",
        },
    ),
    "wrong type": (
        DECIDE, asking(features=FEATURES | {"distance": "far"}), 422,
        {
            "code": "wrong_type", "field": "features.distance",
            "expected": "a number or null", "got": "'far' (text)",
            "message": "The field 'features.distance' must be a number or null, got 'far' (text).",
            "remedy": "send a number, or null where it isn't known.",
        },
    ),
    "a moment on a lane that decides by the present time": (
        DECIDE, asking(at="2013-07-01T12:00:00Z"), 422,
        {
            "code": "not_allowed", "field": "at", "expected": "nothing",
            "got": "'2013-07-01T12:00:00Z' (text)",
            "message": "The endpoint 'flight_delay' decides by the present time, so 'at' must not "
            "be given, got '2013-07-01T12:00:00Z' (text).",
            "remedy": "leave 'at' out; only an endpoint that a replay feeds accepts it.",
        },
    ),
    "oversized": (
        DECIDE, b" " * 65_537, 413,
        {
            "code": "too_large", "expected": "at most 65,536 bytes", "got": "65,537 bytes or more",
            "message": "The body has 65,537 bytes or more; at most 65,536 are read.",
            "remedy": "send less in one request.",
        },
    ),
    "outcome of an unknown decision": (
        OUTCOMES, telling("UA404", 1), 404,
        {
            "code": "unknown_decision", "field": "id",
            "expected": "the id of a decision of this endpoint", "got": "'UA404' (text)",
            "message": "There is no decision 'UA404' in the log of this endpoint, so no outcome "
            "of the request was recorded.",
            "remedy": "give the 'id' that the decision was answered with.",
        },
    ),
    "another outcome than the recorded one": (
        OUTCOMES, telling("UA1", 0), 409,
        {
            "code": "outcome_conflict", "field": "value", "expected": "1.0, as recorded",
            "got": "0.0",
            "message": "The outcome of decision 'UA1' has value 1.0, got 0.0; no outcome of the "
            "request was recorded.",
            "remedy": 'send it with "corrects": true if it takes the place of what was told '
            "before.",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_request_that_is_wrong_is_told_how(endpoint, case: str):
    path, body, status, error = CASES[case]

    answer = endpoint.ask(path, body)

    assert (answer.status, answer.document) == (status, {"error": error})


def test_a_body_that_grows_too_large_while_it_comes_is_refused(endpoint):
    pieces: Iterator[bytes] = (b" " * 50_000 for _ in range(200))

    answer = endpoint.ask(DECIDE, pieces)

    error = answer.document["error"]
    size = int(error["got"].split()[0].replace(",", ""))
    assert (answer.status, error["code"]) == (413, "too_large")
    assert 65_536 < size < 1_000_000  # what had come by then, and not ten million bytes


def test_a_body_that_comes_in_pieces_is_read_like_any_other(endpoint):
    whole = b'{"entity": {"origin": "EWR", "tail": "N1"}, "features": {"carrier": "UA", "distance":'
    pieces = iter([whole, b" 719}", b"}"])

    answer = endpoint.ask(DECIDE, pieces)

    assert answer.status == 200


def test_a_body_of_another_media_type_is_refused(endpoint):
    headers = {"content-type": "application/x-www-form-urlencoded"}

    answer = endpoint.ask(DECIDE, b"entity=EWR", headers=headers)

    assert (answer.status, answer.document["error"]) == (
        415,
        {
            "code": "unsupported_media_type",
            "field": "content-type",
            "expected": "application/json",
            "got": "'application/x-www-form-urlencoded' (text)",
            "message": "The body must be application/json, got "
            "'application/x-www-form-urlencoded'.",
            "remedy": "send JSON, with the header 'content-type: application/json'.",
        },
    )


def test_an_outcome_before_its_decision_is_refused(endpoint):
    at = endpoint.decide(id="UA2").document["at"]

    answer = endpoint.tell({"id": "UA2", "value": 1, "known_at": "2013-07-01T12:00:00Z"})

    assert (answer.status, answer.document["error"]) == (
        422,
        {
            "code": "out_of_range",
            "field": "known_at",
            "expected": f"a moment from {at} on",
            "got": "2013-07-01T12:00:00+00:00",
            "message": "The outcome of decision 'UA2' cannot have been known at "
            f"2013-07-01T12:00:00+00:00: it was decided at {at}.",
            "remedy": "give the moment when the outcome was known, or leave 'known_at' out for "
            "now.",
        },
    )


def test_of_outcomes_of_which_one_is_wrong_none_is_recorded(endpoint):
    assert endpoint.decide(id="UA3").status == 200

    refused = endpoint.tell({"id": "UA3", "value": 1}, {"id": "UA404", "value": 1})
    twice = endpoint.tell({"id": "UA3", "value": 1}, {"id": "UA3", "value": 0})
    after = endpoint.tell({"id": "UA3", "value": 0})

    assert (refused.status, twice.status) == (404, 409)
    assert after.document == {"recorded": 1, "repeated": 0, "corrected": 0, "late": 0}


def test_a_decision_before_what_the_store_knows_is_refused(start_lane, table):
    lane = start_lane(table(clock="replayed", space="replay"))

    answer = lane.decide(at="2013-07-01T11:59:59.999999Z")

    assert (answer.status, answer.document["error"]) == (
        422,
        {
            "code": "out_of_range",
            "field": "at",
            "expected": "a moment that no online feature is ahead of",
            "got": "an earlier one",
            "message": "The online store holds the future of view 'weather' for origin 'EWR': what "
            "it holds was known at 2013-07-01T12:00:00+00:00, after the decision at "
            "2013-07-01T11:59:59.999999+00:00.",
            "remedy": "Deliver rows in the order in which they became known, or begin the space "
            "again as of the decision.",
        },
    )


def test_on_a_live_lane_a_writer_whose_clock_is_ahead_is_no_fault_of_the_request(
    start_lane, table, online: Path, views
):
    chosen = table()
    ahead = from_us(4_000_000_000_000_000)  # 2096
    lane = start_lane(chosen)
    with using_clock(VirtualClock(ahead)), OnlineStore(online, "headrace") as store:
        store.push_rows(views[1], [("N2096", *2 * (4_000_000_000_000_000,), 1, 0.0)])

    answer = lane.decide(entity={"origin": "EWR", "tail": "N2096"})

    assert (answer.status, answer.document["error"]["code"]) == (503, "features_unreadable")
    assert answer.headers["retry-after"] == "1"


def test_a_view_that_is_not_materialized_is_told_with_what_brings_it_online(
    start_lane, table, tmp_path: Path
):
    lane = start_lane(table(online=tmp_path / "none.db"))
    live = lane.decide()
    lane.take(table(online=tmp_path / "none.db", space="fresh", generation=2))
    replayed = lane.decide()

    errors = [answer.document["error"] for answer in (live, replayed)]
    assert [(live.status, errors[0]["code"]), replayed.status] == [(404, "unknown_entity"), 404]
    assert [error["remedy"] for error in errors] == [
        "run `headrace features materialize weather@v0`, or give its features in 'features'.",
        "materialize 'weather' into space 'fresh', or give its features in 'features'.",
    ]


def test_an_online_store_that_cannot_be_read_is_told_and_a_repeat_needs_none(
    start_lane, table, tmp_path: Path
):
    lane = start_lane(table())
    first = lane.decide(id="UA1")
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database " * 1000)
    lane.take(table(online=broken, generation=2))

    answer, again = lane.decide(id="UA2"), lane.decide(id="UA1")

    error = answer.document["error"]
    assert (answer.status, error["code"]) == (503, "features_unreadable")
    assert error["message"] == (
        f"The online features cannot be read: The online store {broken} is damaged: file is not a "
        "database."
    )
    assert again.document == first.document | {"repeated": True}


def test_a_logged_answer_that_was_damaged_is_told_and_not_made_up_again(start_lane, table):
    chosen = table()
    lane = start_lane(chosen)
    assert lane.decide(id="UA1").status == 200
    [segment] = chosen.log.glob("segments/*.log")
    content = bytearray(segment.read_bytes())
    content[-20] ^= 1
    segment.write_bytes(content)

    answer = lane.decide(id="UA1")

    assert answer.status == 503
    assert f"The decision log '{segment}' is damaged" in answer.document["error"]["message"]


def test_nothing_that_was_refused_is_logged(start_lane, table):
    chosen = table()
    lane = start_lane(chosen)

    statuses = [lane.ask(path, body).status for path, body, _, _ in CASES.values()]

    tail = Tail.open(chosen.log)
    assert tail.poll() == []
    tail.close()
    assert min(statuses) == 400


def test_a_lane_without_a_model_says_that_it_starts(start_lane, table, tmp_path: Path):
    lane = start_lane(
        replace(table(), champion=Served(ref="flight_delay/9", folder=tmp_path / "none"))
    )

    answer = lane.decide()

    assert (answer.status, answer.document["error"]["message"]) == (
        503,
        "The endpoint 'flight_delay' is starting and has no model loaded yet.",
    )
