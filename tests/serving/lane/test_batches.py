"""Many decisions in one request: each as if it had come alone, or all as one matrix or table."""

from __future__ import annotations

import base64
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
import pyarrow as pa
import pytest

from headrace.decisions import DecisionLog, Tail
from serving.traffic import Span, Traffic

BATCH = "/v1/flight_delay/decide-batch"
FLOATS, ARROW = "application/octet-stream", "application/vnd.apache.arrow.stream"
ENTITY = {"origin": "EWR", "tail": "N1"}
# carrier as code of AA, DL, UA; distance, wind, landings
ROWS = np.array([[2, 719, 12.5, 1], [0, 200, np.nan, 5], [np.nan, 2475, 3.25, np.nan]], dtype="<f4")
TOLD = [
    {"carrier": "UA", "distance": 719, "wind": 12.5, "landings": 1},
    {"carrier": "AA", "distance": 200, "wind": None, "landings": 5},
    {"carrier": None, "distance": 2475, "wind": 3.25, "landings": None},
]


def sent(
    lane: Any, path: str, body: bytes, *, kind: str, accept: str = "application/json"
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(lane.url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request("POST", path, body, {"content-type": kind, "accept": accept})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read()
    finally:
        connection.close()


def layout_of(lane: Any) -> str:
    return str(lane.ask("/v1/flight_delay").document["matrix"]["layout"])


def asked(lane: Any, body: bytes, query: str, **how: Any) -> tuple[int, Any]:
    """Send a matrix in the endpoint's layout; returns what came back as JSON."""
    path = f"{BATCH}?layout={layout_of(lane)}&{query}"
    status, _, answer = sent(lane, path, body, kind=FLOATS, **how)
    return status, orjson.loads(answer)


def stream_of(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def table_of(rows: list[dict[str, Any]], **columns: Any) -> pa.Table:
    names = rows[0].keys()
    return pa.table({name: [row[name] for row in rows] for name in names} | columns)


def alone(lane: Any, **fields: Any) -> float:
    return float(lane.decide(**fields).document["answer"]["probability"])


# --- JSON ---


def test_a_batch_answers_each_decision_as_if_it_had_come_alone(lane, table, logged):
    items = [
        {"id": "UA1", "entity": ENTITY, "features": {"carrier": "UA", "distance": 719}},
        {"id": "DL1", "entity": ENTITY, "features": TOLD[1]},
    ]

    found = lane.ask(BATCH, {"decisions": items})

    assert found.status == 200
    first, second = found.document["decisions"]
    single = lane.ask("/v1/flight_delay/decide", items[0] | {"id": "UA2"}).document
    assert first == single | {"id": "UA1", "at": first["at"]}
    assert logged(table(), "UA1")["batch"] == logged(table(), "DL1")["batch"]
    assert logged(table(), "DL1")["named"] == TOLD[1] | {"distance": 200.0}
    assert second["answer"]["probability"] == alone(lane, features=TOLD[1])


def test_a_bad_item_is_told_in_its_place_and_costs_the_others_nothing(lane):
    good = {"entity": ENTITY, "features": {"carrier": "UA", "distance": 719}}
    items = [
        good,
        good | {"features": {"carrier": "UA"}},
        good | {"entity": {"origin": "EWR", "tail": "N404"}},
        "decide",
        good,
    ]

    decisions = lane.ask(BATCH, {"decisions": items}).document["decisions"]

    assert [list(each) == ["error"] for each in decisions] == [False, True, True, True, False]
    errors = [each["error"] for each in decisions if "error" in each]
    assert [(e["status"], e["code"], e.get("field")) for e in errors] == [
        (422, "missing_field", "features.distance"),
        (404, "unknown_entity", "entity.tail"),
        (422, "wrong_type", None),
    ]
    alone = lane.ask("/v1/flight_delay/decide", items[1]).document["error"]
    assert errors[0] == {"status": 422, **alone}
    assert decisions[0]["answer"] == decisions[4]["answer"]


def test_a_repeated_item_gets_the_logged_answer_also_within_one_batch(lane):
    item = {"id": "UA1", "entity": ENTITY, "features": {"carrier": "UA", "distance": 719}}

    once, twice = lane.ask(BATCH, {"decisions": [item, item]}).document["decisions"]
    again = lane.ask(BATCH, {"decisions": [item]}).document["decisions"][0]

    assert [once["repeated"], twice["repeated"], again["repeated"]] == [False, True, True]
    assert once | {"repeated": True} == twice == again


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        pytest.param(
            {"decisions": [{}] * 501}, "out_of_range",
            "The field 'decisions' must be a list of at most 500 decisions, got 501 decisions.",
            id="too many",
        ),
        pytest.param(
            {"decisions": {}}, "wrong_type",
            "The field 'decisions' must be a list of at most 500 decisions, got {} (object).",
            id="no list",
        ),
        pytest.param(
            {"decision": []}, "unknown_field",
            "A request to decide a batch has no field 'decision'. Did you mean 'decisions'?",
            id="a misspelt part",
        ),
        pytest.param(
            {"decisions": [], "outputs": ["interval"]}, "out_of_range",
            "The endpoint 'flight_delay' has no output 'interval' (text). Known: 'class', "
            "'probability'.",
            id="an output that the model has not",
        ),
    ],
)  # fmt: skip
def test_a_batch_that_is_wrong_as_a_whole_is_refused_as_a_whole(endpoint, body, code, message):
    refused = endpoint.ask(BATCH, body)

    assert (refused.status, refused.document["error"]["code"]) == (422, code)
    assert refused.document["error"]["message"] == message


def test_a_batch_of_more_than_four_megabytes_is_not_read(endpoint):
    refused = endpoint.ask(BATCH, {"decisions": ["x" * (4 << 20)]})

    assert (refused.status, refused.document["error"]["code"]) == (413, "too_large")


# --- floats ---


def test_a_matrix_is_scored_as_its_rows_are_alone_and_logged_as_one_record(lane, table):
    status, answer = asked(lane, ROWS.tobytes(), "id=morning")

    expected = [alone(lane, features=row) for row in TOLD]
    assert status == 200
    assert answer | {"at": None} == {
        "id": "morning", "endpoint": "flight_delay", "model": "flight_delay/1", "at": None,
        "repeated": False, "rows": 3, "figure": "probability", "scores": pytest.approx(expected),
    }  # fmt: skip
    with DecisionLog.open(table().log, writer="reader") as log:
        batch = log.batch("morning")
        row = log.decision("morning/1")
    assert batch is not None
    assert base64.b64decode(batch["matrix"]) == ROWS.tobytes()
    assert (batch["model"], batch["candidates"], batch["propensities"]) == (
        "flight_delay/1", ["flight_delay/1"], [1.0]
    )  # fmt: skip
    assert row is not None
    assert row["score"] == answer["scores"][1]
    assert row["features"] == ["AA", 200.0, None, 5.0]


def test_the_rows_of_a_matrix_are_decisions_that_outcomes_can_be_told_of(lane):
    asked(lane, ROWS.tobytes(), "id=morning")

    told = lane.tell({"id": "morning/0", "value": 1}, {"id": "morning/2", "value": 0})
    unknown = lane.tell({"id": "morning/3", "value": 1})

    assert (told.status, told.document["recorded"]) == (200, 2)
    assert (unknown.status, unknown.document["error"]["code"]) == (404, "unknown_decision")


def test_a_matrix_of_a_known_id_gets_the_logged_answer_whatever_it_holds(lane):
    _, first = asked(lane, ROWS.tobytes(), "id=morning")

    _, again = asked(lane, ROWS[:1].tobytes(), "id=morning")
    _, other = asked(lane, ROWS.tobytes(), "")

    assert again == first | {"repeated": True}
    assert other["id"] not in ("morning", "")
    assert other["scores"] == first["scores"]


def test_one_matrix_sent_several_times_at_once_is_decided_once(lane, table):
    large = np.tile(ROWS, (2_000, 1)).tobytes()  # which is scored in a thread
    path = f"{BATCH}?layout={layout_of(lane)}&id=large"
    ready = threading.Barrier(4)

    def send(_: int) -> dict[str, Any]:
        ready.wait()
        return orjson.loads(sent(lane, path, large, kind=FLOATS)[2])

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))

    assert sorted(answer["repeated"] for answer in answers) == [False, True, True, True]
    assert len({str(answer["scores"]) for answer in answers}) == 1
    tail = Tail.open(table().log)
    assert len(tail.poll(100_000)) == 6_000
    tail.close()


def test_scores_come_as_floats_or_as_a_table_where_that_is_accepted(lane):
    path = f"{BATCH}?layout={layout_of(lane)}&id=morning%2Fcaf%C3%A9"

    def answer(accept: str) -> tuple[int, dict[str, str], bytes]:
        return sent(lane, path, ROWS.tobytes(), kind=FLOATS, accept=accept)

    _, headers, double = answer(FLOATS)
    _, _, single = answer(f"{FLOATS}; type=float32")
    _, told, table = answer(ARROW)
    scores = orjson.loads(answer("*/*")[2])["scores"]

    assert (headers["content-type"], told["content-type"]) == (FLOATS, ARROW)
    assert headers["x-headrace-model"] == "flight_delay/1"
    assert headers["x-headrace-batch"] == "morning%2Fcaf%C3%A9"
    assert (headers["x-headrace-repeated"], told["x-headrace-batch"]) == (
        "false", "morning%2Fcaf%C3%A9"
    )  # fmt: skip
    assert np.frombuffer(double, "<f8").tolist() == scores
    assert np.frombuffer(single, "<f4") == pytest.approx(scores, abs=1e-6)
    with pa.ipc.open_stream(table) as reader:
        rows = reader.read_all()
    assert rows["score"].to_pylist() == scores
    assert rows["id"].to_pylist() == [f"morning/café/{row}" for row in range(3)]


REFUSED: dict[str, tuple[bytes, str, int, str, str]] = {
    "half a row": (
        ROWS.tobytes()[:-4], "layout={layout}", 422, "out_of_range",
        "The body has 44 bytes, which is no whole number of rows: rows x 4 features x 4 bytes are "
        "16 bytes a row, and 12 are left over.",
    ),
    "nothing": (
        b"", "layout={layout}", 422, "out_of_range",
        "The body is empty: expected rows x 4 features x 4 bytes, 16 bytes a row.",
    ),
    "no layout": (
        ROWS.tobytes(), "", 422, "missing_field",
        "The parameter 'layout' is missing: nothing else tells which feature each column is.",
    ),
    "another layout": (
        ROWS.tobytes(), "layout=a1b2", 409, "wrong_layout",
        "The matrix has the layout 'a1b2', but model 'flight_delay/1' answers, which takes "
        "'{layout}': other columns, another order or other categories.",
    ),
    "an unknown parameter": (
        ROWS.tobytes(), "layot={layout}", 422, "unknown_field",
        "The address has the unknown parameter 'layot'. Did you mean 'layout'?",
    ),
    "infinity": (
        np.array([[0, 1, 2, 3], [0, np.inf, 2, 3]], "<f4").tobytes(), "layout={layout}", 422,
        "out_of_range",
        "Row 1 has inf as feature 'distance', which must be a finite number or NaN.",
    ),
    "a code beyond the categories": (
        np.array([[3, 1, 2, 3]], "<f4").tobytes(), "layout={layout}", 422, "out_of_range",
        "Row 0 has 3.0 as feature 'carrier', which must be a code from 0 to 2 or NaN.",
    ),
    "half a code": (
        np.array([[0.5, 1, 2, 3]], "<f4").tobytes(), "layout={layout}", 422, "out_of_range",
        "Row 0 has 0.5 as feature 'carrier', which must be a code from 0 to 2 or NaN.",
    ),
    "half a landing": (
        np.array([[0, 1, 2, 3.5]], "<f4").tobytes(), "layout={layout}", 422, "out_of_range",
        "Row 0 has 3.5 as feature 'landings', which must be a whole number or NaN.",
    ),
    "a long id": (
        ROWS.tobytes(), "layout={layout}&id=" + "x" * 191, 422, "out_of_range",
        "The field 'id' must be text of at most 190 characters, got 191 characters.",
    ),
    "a moment": (
        ROWS.tobytes(), "layout={layout}&at=2013-07-01T12:00:00Z", 422, "not_allowed",
        "The endpoint 'flight_delay' decides by the present time, so 'at' must not be given, got "
        "'2013-07-01T12:00:00Z' (text).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_matrix_that_is_wrong_is_told_how(endpoint, case):
    body, query, status, code, message = REFUSED[case]
    layout = layout_of(endpoint)

    found, _, answer = sent(endpoint, f"{BATCH}?{query.format(layout=layout)}", body, kind=FLOATS)

    error = orjson.loads(answer)["error"]
    assert (found, error["code"]) == (status, code)
    assert error["message"] == message.format(layout=layout)
    assert error["remedy"]


def test_a_body_of_another_kind_is_told_which_are_read(endpoint):
    status, _, answer = sent(endpoint, BATCH, b"a,b", kind="text/csv")

    error = orjson.loads(answer)["error"]
    assert (status, error["code"]) == (415, "unsupported_media_type")
    assert error["message"] == (
        f"A batch must be application/json, {FLOATS} or {ARROW}, got 'text/csv'."
    )


# --- traffic ---


def dealt(table: Any, to: str, *, unit: tuple[str, ...] = (), share: int = 10_000) -> Any:
    spans = (Span(model=to, start=0, end=share),) if share else ()
    traffic = Traffic(design="ab", unit=unit, salt="s", spans=spans, patience_ms=5_000)
    return replace(table, traffic=traffic)


def test_a_batch_is_one_unit_and_one_model_answers_all_of_it(start_lane, tables, tmp_path, bundles):
    rival = replace(tables(tmp_path).champion, ref="same/3", folder=bundles["flight_delay/1"])
    both = replace(tables(tmp_path), challenger=rival, experiment="e")
    both = dealt(both, "same/3", share=5_000)
    lane = start_lane(both)

    answers = [asked(lane, ROWS.tobytes(), f"id=b{n}")[1] for n in range(12)]

    assert {answer["model"] for answer in answers} == {"flight_delay/1", "same/3"}
    assert {tuple(answer["scores"]) for answer in answers} == {tuple(answers[0]["scores"])}
    with DecisionLog.open(both.log, writer="reader") as log:
        for answer in answers:
            record = log.batch(answer["id"])
            assert record is not None
            assert (record["assigned"], record["propensities"]) == (answer["model"], [0.5, 0.5])


def test_a_matrix_is_no_part_of_a_comparison_with_who_takes_what_it_has_not(start_lane, table):
    lane = start_lane(dealt(table(challenger="flight_delay/2"), "flight_delay/2"))

    _, answer = asked(lane, ROWS.tobytes(), "id=morning")

    assert answer["model"] == "flight_delay/1"
    with DecisionLog.open(table().log, writer="reader") as log:
        record = log.batch("morning")
    assert record is not None
    assert (record["candidates"], record["propensities"]) == (["flight_delay/1"], [1.0])
    assert record["experiment"] is None


# --- Arrow ---


def test_a_table_with_all_features_is_one_record_and_scored_as_its_rows_alone(lane, table):
    rows = table_of(TOLD, tail=["N1", "N2", None])
    rows = rows.set_column(0, "carrier", rows["carrier"].dictionary_encode())

    status, headers, answer = sent(
        lane, f"{BATCH}?id=noon", stream_of(rows), kind=ARROW, accept=ARROW
    )
    _, _, again = sent(lane, f"{BATCH}?id=noon", stream_of(rows), kind=ARROW)

    with pa.ipc.open_stream(answer) as reader:
        found = reader.read_all()
    assert (status, headers["content-type"]) == (200, ARROW)
    assert found.to_pydict() == {
        "id": ["noon/0", "noon/1", "noon/2"],
        "model": ["flight_delay/1"] * 3,
        "score": pytest.approx([alone(lane, features=row) for row in TOLD]),
        "repeated": [False] * 3,
        "error": [None] * 3,
    }
    repeated = orjson.loads(again)["decisions"]
    assert [each["repeated"] for each in repeated] == [True] * 3
    assert [each["score"] for each in repeated] == found["score"].to_pylist()
    with DecisionLog.open(table().log, writer="reader") as log:
        assert log.batch("noon") is not None
        row = log.decision("noon/1")
    assert row is not None
    assert row["entity"] == {"tail": "N2"}
    assert row["features"] == ["AA", 200.0, None, 5.0]


def test_what_a_table_lacks_is_looked_up_and_each_row_is_a_decision(lane, table, logged):
    rows = pa.table({
        "id": ["UA1", "DL1", "UA3"],
        "origin": ["EWR", "JFK", "EWR"],
        "tail": ["N1", "N2", "N404"],
        "carrier": ["UA", "DL", "UA"],
        "distance": pa.array([719, 200, 719], pa.int32()),
    })  # fmt: skip

    _, _, answer = sent(lane, BATCH, stream_of(rows), kind=ARROW)

    found = orjson.loads(answer)
    first, second, third = found["decisions"]
    expected = lane.decide(entity={"origin": "EWR", "tail": "N1"}).document
    assert first == {
        "id": "UA1", "model": "flight_delay/1", "repeated": False,
        "score": expected["answer"]["probability"],
    }  # fmt: skip
    assert logged(table(), "DL1")["named"] == {
        "carrier": "DL", "distance": 200.0, "wind": 3.25, "landings": 2
    }  # fmt: skip
    assert logged(table(), "DL1")["batch"] == found["id"]
    assert second["score"] != first["score"]
    assert third == {"id": "UA3", "error": third["error"]}
    assert (third["error"]["status"], third["error"]["code"]) == (404, "unknown_entity")


def test_the_rows_of_a_table_are_dealt_by_their_units(start_lane, tables, tmp_path, bundles):
    rival = replace(tables(tmp_path).champion, ref="same/3", folder=bundles["flight_delay/1"])
    table = replace(tables(tmp_path), challenger=rival, experiment="e")
    lane = start_lane(dealt(table, "same/3", unit=("tail",), share=5_000))
    tails = [f"N{n}" for n in range(24)]
    rows = table_of([TOLD[0]] * 24, tail=tails)

    _, _, answer = sent(lane, BATCH, stream_of(rows), kind=ARROW)

    by_table = [each["model"] for each in orjson.loads(answer)["decisions"]]
    assert set(by_table) == {"flight_delay/1", "same/3"}
    for tail, model in zip(tails[:6], by_table, strict=False):
        found = lane.decide(entity={"origin": "EWR", "tail": tail}, features=TOLD[0]).document
        assert found["model"] == model


WRONG: dict[str, tuple[bytes, int, str, str]] = {
    "an unknown column": (
        stream_of(table_of(TOLD, wnd=[1, 2, 3])), 422, "unknown_field",
        "The table has the column 'wnd', which is no input and no key of the endpoint. Did you "
        "mean 'wind'?",
    ),
    "a column of another type": (
        stream_of(table_of([row | {"distance": "far"} for row in TOLD])), 422, "wrong_type",
        "The column 'distance' must be numbers, got string.",
    ),
    "numbers for a category": (
        stream_of(table_of([row | {"carrier": 1} for row in TOLD])), 422, "wrong_type",
        "The column 'carrier' must be texts, got int64.",
    ),
    "a list": (
        stream_of(table_of([row | {"wind": [1.0]} for row in TOLD])), 422, "wrong_type",
        "The column 'wind' must be numbers, got list<item: double>.",
    ),
    "infinity": (
        stream_of(table_of([row | {"wind": np.inf} for row in TOLD])), 422, "wrong_type",
        "The column 'wind' must be finite 32-bit numbers, got inf in row 0.",
    ),
    "half a landing": (
        stream_of(table_of([row | {"landings": 0.5} for row in TOLD])), 422, "wrong_type",
        "The column 'landings' must be whole numbers, got 0.5 in row 0.",
    ),
    "a column twice": (
        stream_of(pa.table([[1.0], [2.0]], names=["wind", "wind"])), 422, "not_allowed",
        "The table has the column 'wind' twice.",
    ),
    "a missing input": (
        stream_of(pa.table({"origin": ["EWR"], "tail": ["N1"], "carrier": ["UA"]})), 422,
        "missing_field",
        "Row 0: The field 'features.distance' is missing: expected a number or null, got nothing.",
    ),
    "an id twice": (
        stream_of(table_of(TOLD, id=["a", "b", "a"])), 422, "not_allowed",
        "Row 2: The id 'a' is another row's too.",
    ),
    "moments without a zone": (
        stream_of(table_of(TOLD, at=pa.array([0, 1, 2], pa.timestamp("us")))), 422, "wrong_type",
        "The column 'at' must be timestamps with a time zone, got timestamp[us].",
    ),
    "compressed": (
        stream_of(table_of(TOLD), options=pa.ipc.IpcWriteOptions(compression="zstd")), 400,
        "not_arrow",
        "The body isn't an Arrow IPC stream: its buffers are compressed; send them uncompressed.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_table_that_is_wrong_is_told_which_column(endpoint, case):
    body, status, code, message = WRONG[case]

    found, _, answer = sent(endpoint, BATCH, body, kind=ARROW)

    error = orjson.loads(answer)["error"]
    assert (found, error["code"], error["message"]) == (status, code, message)
    assert error["remedy"]


def test_bytes_that_are_no_table_are_refused_and_never_crash(endpoint):
    good = stream_of(table_of(TOLD))
    random = np.random.default_rng(0)

    for trial in range(60):
        body = bytearray(good)
        for _ in range(1 + trial % 4):
            body[random.integers(len(body))] = random.integers(256)
        status, _, answer = sent(endpoint, BATCH, bytes(body[: len(body) - trial]), kind=ARROW)
        assert status in (200, 400, 413, 422), answer
    status, _, answer = sent(endpoint, BATCH, b"not arrow", kind=ARROW)
    assert (status, orjson.loads(answer)["error"]["code"]) == (400, "not_arrow")
