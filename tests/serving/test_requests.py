"""What an endpoint understands, and what it says of a request that it doesn't."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.online_lookup import Lookup
from headrace.errors import ParameterError
from serving._openapi import openapi_document
from serving._request_errors import RequestError
from serving._request_reading import read_decision
from serving._request_rules import Clock
from serving._requests import DecisionRequest, Input, OutcomeRequest, RequestReader

INPUTS = (
    Input(name="distance", dtype="float", source=None),
    Input(name="month", dtype="int", source=None),
    Input(name="origin", dtype="category", source=None),
    Input(name="wind", dtype="float", source="airport_weather"),
    Input(name="landings", dtype="int", source="tail_history"),
    Input(name="leased", dtype="bool", source="tail_history"),
)
LOOKUPS = (
    Lookup(
        view="airport_weather",
        keys=(("origin", "string"),),
        features=("wind",),
        dtypes=("float",),
    ),
    Lookup(
        view="tail_history",
        keys=(("tail", "string"),),
        features=("landings", "leased"),
        dtypes=("int", "bool"),
    ),
)
READER = RequestReader(
    endpoint="flight_delay",
    inputs=INPUTS,
    lookups=LOOKUPS,
    clock="replayed",
    outputs=("probability", "class"),
)
GOOD: dict[str, Any] = {
    "id": "2013-07-01/EWR/UA1545/0515",
    "entity": {"tail": "N14228", "origin": "EWR"},
    "features": {"distance": 719.5, "month": 7},
    "at": "2013-07-01T05:15:00-04:00",
}


def body(**changes: Any) -> bytes:
    """The good request with other parts; a part that is `...` is left out."""
    return orjson.dumps({k: v for k, v in {**GOOD, **changes}.items() if v is not ...})


def with_entity(**changes: Any) -> bytes:
    merged = {**GOOD["entity"], **changes}
    return body(entity={k: v for k, v in merged.items() if v is not ...})


def with_features(**changes: Any) -> bytes:
    merged = {**GOOD["features"], **changes}
    return body(features={k: v for k, v in merged.items() if v is not ...})


def refused(sent: bytes, reader: RequestReader = READER) -> RequestError:
    with pytest.raises(RequestError) as raised:
        reader.decision(sent)
    return raised.value


# --- what is understood ---


def test_a_request_gives_keys_features_and_the_moment() -> None:
    request = READER.decision(body())

    assert request == DecisionRequest(
        id="2013-07-01/EWR/UA1545/0515",
        entity={"tail": "N14228", "origin": "EWR"},
        given={"distance": 719.5, "month": 7, "origin": "EWR"},
        at_us=int(datetime(2013, 7, 1, 9, 15, tzinfo=UTC).timestamp()) * 1_000_000,
    )


def test_id_and_moment_need_not_be_given_and_may_be_null() -> None:
    without, null = READER.decision(body(id=..., at=...)), READER.decision(body(id=None, at=None))

    assert (without.id, without.at_us) == (None, None)
    assert null == without


def test_a_key_may_be_null_where_an_entity_has_none() -> None:
    assert READER.decision(with_entity(tail=None)).entity["tail"] is None


def test_an_input_of_the_request_is_taken_from_the_entity_unless_the_features_give_it() -> None:
    taken = READER.decision(with_entity(distance=3))
    preferred = READER.decision(with_features(origin="JFK"))

    assert taken.given["distance"] == 719.5
    assert READER.decision(with_entity_only(distance=3)).given["distance"] == 3.0
    assert (preferred.given["origin"], preferred.entity["origin"]) == ("JFK", "EWR")


def with_entity_only(**columns: Any) -> bytes:
    return body(entity={**GOOD["entity"], **columns}, features={"month": 7})


def test_a_feature_of_a_view_may_be_overridden() -> None:
    assert READER.decision(with_features(wind=None, leased=True)).given == {
        "distance": 719.5,
        "month": 7,
        "wind": None,
        "leased": True,
        "origin": "EWR",
    }


def test_the_key_of_a_view_is_not_needed_when_all_its_features_are_overridden() -> None:
    sent = body(
        entity=...,
        features={
            "distance": 1, "month": 7, "origin": None, "wind": 1, "landings": 2, "leased": None
        },
    )  # fmt: skip

    assert READER.decision(sent).entity == {}


def test_columns_that_identify_the_row_for_people_are_kept() -> None:
    request = READER.decision(with_entity(flight_id="2013-07-01/EWR", flight=1545, gate=None))

    assert request.entity == {
        "tail": "N14228", "origin": "EWR", "flight_id": "2013-07-01/EWR", "flight": 1545,
        "gate": None,
    }  # fmt: skip


def test_a_number_is_read_as_the_input_is_declared() -> None:
    request = READER.decision(with_features(distance=719, month=7.0))

    assert [type(request.given[name]) for name in ("distance", "month")] == [float, int]


def test_the_last_of_two_equal_names_counts_as_it_does_in_json() -> None:
    sent = body().replace(b'"month":7', b'"month":"x","month":8')

    assert READER.decision(sent).given["month"] == 8


@pytest.mark.parametrize(
    ("at", "microseconds"),
    [
        pytest.param("1970-01-01T00:00:00Z", 0, id="the first"),
        pytest.param("1970-01-01t01:00:00.000001+01:00", 1, id="a fraction, an offset"),
        pytest.param("1970-01-01 00:00:00.0000019Z", 1, id="more digits than are kept"),
        pytest.param("2261-12-31T23:59:59.999999Z", 9_214_646_399_999_999, id="the last"),
    ],
)
def test_a_moment_is_read_in_microseconds(at: str, microseconds: int) -> None:
    assert READER.decision(body(at=at)).at_us == microseconds


# --- what is said of the rest: the whole message, and how to put it right ---

_ID = "text of 1 to 200 printable characters"
_NUMBER_REMEDY = "send a number, or null where it isn't known."


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        pytest.param(
            with_features(distance="far"), ("wrong_type", "features.distance",
            "a number or null", "'far' (text)",
            "The field 'features.distance' must be a number or null, got 'far' (text).",
            _NUMBER_REMEDY), id="text for a number",
        ),
        pytest.param(
            with_features(distance="719.5"), ("wrong_type", "features.distance",
            "a number or null", "'719.5' (text)",
            "The field 'features.distance' must be a number or null, got '719.5' (text).",
            "send the number without quotes."), id="a number in quotes",
        ),
        pytest.param(
            with_features(distance=True), ("wrong_type", "features.distance",
            "a number or null", "true",
            "The field 'features.distance' must be a number or null, got true.",
            _NUMBER_REMEDY), id="true for a number",
        ),
        pytest.param(
            with_features(distance=3.5e38), ("out_of_range", "features.distance",
            "a number within ±3.403e+38", "3.5e+38 (number)",
            "The field 'features.distance' must be a number within ±3.403e+38, "
            "got 3.5e+38 (number).",
            "send it in its unit, or null where it isn't known."), id="beyond float32",
        ),
        pytest.param(
            with_features(month=7.5), ("wrong_type", "features.month",
            "a whole number or null", "7.5 (number)",
            "The field 'features.month' must be a whole number or null, got 7.5 (number).",
            "send a whole number, or null where it isn't known."), id="a fraction",
        ),
        pytest.param(
            with_features(leased=1), ("wrong_type", "features.leased",
            "true, false or null", "1 (number)",
            "The field 'features.leased' must be true, false or null, got 1 (number).",
            "send true or false, or null where it isn't known."), id="a number for true",
        ),
        pytest.param(
            with_features(origin=["EWR"]), ("wrong_type", "features.origin",
            "text or null", '["EWR"] (list)',
            'The field \'features.origin\' must be text or null, got ["EWR"] (list).',
            "send text, or null where it isn't known."), id="a list",
        ),
        pytest.param(
            with_features(distnace=1), ("unknown_field", "features.distnace",
            "the name of an input", "'distnace' (text)",
            "The endpoint 'flight_delay' has no input 'distnace'. Did you mean 'distance'?",
            "correct the name or leave it out."), id="a misspelt feature",
        ),
        pytest.param(
            with_features(tail="N14228"), ("unknown_field", "features.tail",
            "the name of an input", "'tail' (text)",
            "The field 'features.tail' is a key, not a feature.",
            "move it to 'entity'."), id="a key among the features",
        ),
        pytest.param(
            with_entity(wind=3), ("not_allowed", "entity.wind", "nothing", "3 (number)",
            "The field 'entity.wind' is a feature of a view, not a key, got 3 (number).",
            "move it to 'features' to override what the view says, or leave it out."),
            id="a feature among the keys",
        ),
        pytest.param(
            with_features(month=...), ("missing_field", "features.month",
            "a whole number or null", "nothing",
            "The field 'features.month' is missing: expected a whole number or null, got nothing.",
            "give null where it isn't known."), id="no feature",
        ),
        pytest.param(
            with_entity(tail=...), ("missing_field", "entity.tail", "text or null", "nothing",
            "The field 'entity.tail' is missing: expected text or null, got nothing.",
            "give the key of view 'tail_history', or null where there is none."), id="no key",
        ),
        pytest.param(
            with_entity(tail=..., tial="N14228"), ("missing_field", "entity.tail",
            "text or null", "nothing",
            "The field 'entity.tail' is missing: expected text or null, got nothing. "
            "There is 'tial': did you mean 'tail'?",
            "give the key of view 'tail_history', or null where there is none."),
            id="a misspelt key",
        ),
        pytest.param(
            with_entity(tail=14228), ("wrong_type", "entity.tail", "text or null",
            "14228 (number)",
            "The field 'entity.tail' must be text or null, got 14228 (number).",
            "send text, or null where there is none."), id="a number for a key",
        ),
        pytest.param(
            with_entity(tail="N" * 201), ("out_of_range", "entity.tail",
            "text of at most 200 characters", "201 characters",
            "The field 'entity.tail' must be text of at most 200 characters, got 201 characters.",
            "send the key alone."), id="a long key",
        ),
        pytest.param(
            with_entity(gate=1.5), ("wrong_type", "entity.gate",
            "text, a whole number or null", "1.5 (number)",
            "The field 'entity.gate' must be text, a whole number or null, got 1.5 (number).",
            "send what identifies the row; feature values belong in 'features'."),
            id="a fraction identifies nothing",
        ),
        pytest.param(
            with_entity(**{f"column_{n}": n for n in range(9)}), ("not_allowed", "entity",
            "at most 8 columns besides keys and inputs", "9 columns",
            "The field 'entity' may hold at most 8 columns besides keys and inputs, got 9.",
            "send only what identifies the row for people."), id="many columns",
        ),
        pytest.param(
            body(id=""), ("out_of_range", "id", _ID, "0 characters",
            f"The field 'id' must be {_ID}, got 0 characters.",
            "send a short text that no other decision has, such as a UUID."), id="an empty id",
        ),
        pytest.param(
            body(id="a\nb"), ("out_of_range", "id", _ID, "'a\\nb' (text)",
            f"The field 'id' must be {_ID}, got 'a\\nb' (text).",
            "send a short text that no other decision has, such as a UUID."), id="a line break",
        ),
        pytest.param(
            body(id=17), ("wrong_type", "id", _ID, "17 (number)",
            f"The field 'id' must be {_ID}, got 17 (number).",
            "send a short text that no other decision has, such as a UUID."), id="a number as id",
        ),
        pytest.param(
            body(at="2013-07-01T05:15:00"), ("wrong_type", "at",
            "a moment as RFC 3339 with its offset", "'2013-07-01T05:15:00' (text)",
            "The field 'at' must be a moment as RFC 3339 with its offset, "
            "got '2013-07-01T05:15:00' (text).",
            "write it like 2013-07-01T14:05:00Z or 2013-07-01T10:05:00-04:00."), id="no offset",
        ),
        pytest.param(
            body(at="2013-06-31T05:15:00Z"), ("wrong_type", "at",
            "a moment as RFC 3339 with its offset", "'2013-06-31T05:15:00Z' (text)",
            "The field 'at' must be a moment as RFC 3339 with its offset, "
            "got '2013-06-31T05:15:00Z' (text).",
            "write it like 2013-07-01T14:05:00Z or 2013-07-01T10:05:00-04:00."),
            id="no such day",
        ),
        pytest.param(
            body(at="1969-12-31T23:59:59Z"), ("out_of_range", "at", "a moment from 1970 to 2261",
            "'1969-12-31T23:59:59Z' (text)",
            "The field 'at' must be a moment from 1970 to 2261, "
            "got '1969-12-31T23:59:59Z' (text).",
            "send the moment it was."), id="too early",
        ),
        pytest.param(
            body(entity=[]), ("wrong_type", "entity", "an object of key columns", "[] (list)",
            "The field 'entity' must be an object of key columns, got [] (list).",
            'send an object, {"name": value, ...}.'), id="a list of keys",
        ),
        pytest.param(
            body(features=0), ("wrong_type", "features", "an object of feature values",
            "0 (number)",
            "The field 'features' must be an object of feature values, got 0 (number).",
            'send an object, {"name": value, ...}.'), id="no object of features",
        ),
        pytest.param(
            body(entitiy={}), ("unknown_field", "entitiy",
            "an object with 'id', 'entity', 'features', 'at', 'outputs', 'explain'",
            "'entitiy' (text)",
            "A request to decide has no field 'entitiy'. Did you mean 'entity'?",
            "correct the name or leave it out."), id="a misspelt part",
        ),
        pytest.param(
            b"[1]", ("wrong_type", None,
            "an object with 'id', 'entity', 'features', 'at', 'outputs', 'explain'",
            "[1] (list)",
            "A request to decide must be an object with 'id', 'entity', 'features', 'at', "
            "'outputs', 'explain', got [1] (list).",
            "send a JSON object, {...}."), id="a list as body",
        ),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_which_field_what_was_expected_and_what_came(
    sent: bytes, told: tuple[str, ...]
) -> None:
    code, *parts, message, remedy = told

    error = refused(sent)

    assert (error.status, error.code) == (422, code)
    assert [error.field, error.expected, error.got] == parts
    assert str(error) == f"{message}\n  Fix: {remedy}"


@pytest.mark.parametrize(
    ("sent", "message", "remedy"),
    [
        pytest.param(
            b'{"features": {"distance": NaN}}',
            "The body isn't JSON: it has NaN at line 1, column 27, and JSON has no such number.",
            "send null where a number isn't known.",
            id="NaN",
        ),
        pytest.param(
            b'{\n "x": -Infinity}',
            "The body isn't JSON: it has -Infinity at line 2, column 8, and JSON has no such "
            "number.",
            "send null where a number isn't known.",
            id="negative infinity",
        ),
        pytest.param(
            b"",
            "The body isn't JSON: it is empty.",
            'send a JSON object in UTF-8, such as {"entity": {...}}.',
            id="nothing",
        ),
        pytest.param(
            b"{'id': 1}",
            "The body isn't JSON: unexpected character, expected a string key (line 1, column 2).",
            'send a JSON object in UTF-8, such as {"entity": {...}}.',
            id="Python's quotes",
        ),
        pytest.param(
            b'{"id": "\xff"}',
            "The body isn't JSON: str is not valid UTF-8: surrogates not allowed "
            "(line 1, column 1).",
            'send a JSON object in UTF-8, such as {"entity": {...}}.',
            id="not UTF-8",
        ),
    ],
)
def test_a_body_that_is_not_json_is_told_where(sent: bytes, message: str, remedy: str) -> None:
    error = refused(sent)

    assert (error.status, error.code) == (400, "not_json")
    assert str(error) == f"{message}\n  Fix: {remedy}"


def test_a_body_over_the_limit_is_refused_unread() -> None:
    small = RequestReader(endpoint="e", inputs=(), lookups=(), clock="live", max_bytes=2_000)

    error = refused(b"x" * 2_001, small)

    assert (error.status, error.code) == (413, "too_large")
    assert error.problem == "The body has 2,001 bytes or more; at most 2,000 are read."
    assert refused(b"x" * 2_000, small).code == "not_json"


def test_the_moment_is_refused_where_the_clock_is_live() -> None:
    live = RequestReader(endpoint="flight_delay", inputs=INPUTS, lookups=LOOKUPS, clock="live")

    error = refused(body(), live)

    assert (error.status, error.code, error.field) == (422, "not_allowed", "at")
    assert str(error) == (
        "The endpoint 'flight_delay' decides by the present time, so 'at' must not be given, "
        "got '2013-07-01T05:15:00-04:00' (text).\n"
        "  Fix: leave 'at' out; only an endpoint that a replay feeds accepts it."
    )
    assert live.decision(body(at=...)).at_us is None


def test_what_came_is_shown_shortened() -> None:
    error = refused(with_features(distance="far " * 300))

    assert error.got == "'far far far far far far far far far far far far far far f…' (text)"


def test_a_refusal_is_written_as_json_without_what_is_not_known_of_it() -> None:
    assert orjson.loads(refused(with_entity(tail=7)).to_json()) == {
        "error": {
            "code": "wrong_type",
            "field": "entity.tail",
            "expected": "text or null",
            "got": "7 (number)",
            "message": "The field 'entity.tail' must be text or null, got 7 (number).",
            "remedy": "send text, or null where there is none.",
        }
    }
    assert orjson.loads(RequestError.starting("flight_delay").to_json()) == {
        "error": {
            "code": "starting",
            "message": "The endpoint 'flight_delay' is starting and has no model loaded yet.",
            "remedy": "try again in a second.",
        }
    }


def test_a_refusal_survives_the_way_to_another_process() -> None:
    error = refused(with_entity(tail=7))

    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)  # noqa: S301  our own


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        pytest.param(
            RequestError.unknown_endpoint("flight_dealy", ["flight_delay"]), 404,
            "There is no endpoint 'flight_dealy' at this address. Did you mean 'flight_delay'?",
            id="endpoint",
        ),
        pytest.param(
            RequestError.unknown_path("/v1/flight_delay/decied", ["/v1/flight_delay/decide"]), 404,
            "There is nothing at '/v1/flight_delay/decied'. "
            "Did you mean '/v1/flight_delay/decide'?",
            id="path",
        ),
        pytest.param(
            RequestError.method_not_allowed("GET", "POST", "/v1/flight_delay/decide"), 405,
            "'/v1/flight_delay/decide' answers POST, got GET.", id="method",
        ),
        pytest.param(
            RequestError.unsupported_media_type("text/csv"), 415,
            "The body must be application/json, got 'text/csv'.", id="media type",
        ),
        pytest.param(
            RequestError.unknown_entity("airport_weather", {"origin": "XXX"}), 404,
            "There are no online features of view 'airport_weather' for origin 'XXX'.",
            id="entity",
        ),
        pytest.param(
            RequestError.not_materialized("airport_weather", 2, "headrace", {"origin": "EWR"}), 404,
            "View 'airport_weather' is not materialized in the version v2 that the endpoint reads, "
            "so it has no online features yet.",
            id="not materialized",
        ),
        pytest.param(
            RequestError.not_materialized("airport_weather", 0, "replay", {"origin": "EWR"}), 404,
            "View 'airport_weather' is not materialized in the version v0 that the endpoint reads "
            "in space 'replay', so it has no online features yet.",
            id="not materialized in a space",
        ),
        pytest.param(
            RequestError.unknown_decision("a"), 404,
            "There is no decision 'a' in the log of this endpoint, so no outcome of the request "
            "was recorded.",
            id="decision",
        ),
        pytest.param(
            RequestError.outcome_conflict("a", 1.0, 0.0), 409,
            "The outcome of decision 'a' has value 1.0, got 0.0; no outcome of the request was "
            "recorded.",
            id="another value",
        ),
        pytest.param(
            RequestError.outcome_before_decision(
                "a", datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 7, 2, tzinfo=UTC)
            ), 422,
            "The outcome of decision 'a' cannot have been known at 2013-07-01T00:00:00+00:00: "
            "it was decided at 2013-07-02T00:00:00+00:00.",
            id="known too early",
        ),
        pytest.param(
            RequestError.log_unwritable(ParameterError("The disk is full.", remedy="free some.")),
            503,
            "Nothing is answered that is not logged, and the log cannot be written: "
            "The disk is full.",
            id="log",
        ),
        pytest.param(
            RequestError.features_unreadable(ParameterError("It is locked.", remedy="wait.")), 503,
            "The online features cannot be read: It is locked.", id="features",
        ),
        pytest.param(
            RequestError.model_failed("flight_delay/3", ValueError("no")), 500,
            "The model 'flight_delay/3' could not score the request: ValueError('no')", id="model",
        ),
    ],
)  # fmt: skip
def test_a_lane_says_why_it_does_not_answer(error: RequestError, status: int, message: str) -> None:
    assert (error.status, error.problem) == (status, message)


# --- outcomes ---


def test_outcomes_are_read_in_their_order() -> None:
    sent = {
        "outcomes": [
            {"id": "b", "value": 1, "known_at": "1970-01-01T00:00:01Z"},
            {"id": "a", "value": None},
            {"id": "b", "value": 1.5, "known_at": None},
        ]
    }

    assert READER.outcomes(orjson.dumps(sent)) == [
        OutcomeRequest(id="b", value=1.0, known_us=1_000_000),
        OutcomeRequest(id="a", value=None, known_us=None),
        OutcomeRequest(id="b", value=1.5, known_us=None),
    ]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        pytest.param(
            {},
            "The field 'outcomes' is missing: expected a list of objects with 'id' and 'value', "
            "got nothing.",
            id="no outcomes",
        ),
        pytest.param(
            {"outcomes": {"id": "a", "value": 1}},
            "The field 'outcomes' must be a list of objects with 'id' and 'value', "
            'got {"id":"a","value":1} (object).',
            id="no list",
        ),
        pytest.param(
            {"outcomes": [{"id": "a", "value": 1}, {"id": "b"}]},
            "The field 'outcomes[1].value' is missing: expected a number or null, got nothing.",
            id="no value",
        ),
        pytest.param(
            {"outcomes": [{"value": 1}]},
            "The field 'outcomes[0].id' is missing: expected the id of a decision, got nothing.",
            id="no id",
        ),
        pytest.param(
            {"outcomes": [{"id": "a", "value": True}]},
            "The field 'outcomes[0].value' must be a number or null, got true.",
            id="true",
        ),
        pytest.param(
            {"outcomes": [{"id": "a", "value": 1, "knownat": None}]},
            "The field 'outcomes[0]' has no field 'knownat'. Did you mean 'known_at'?",
            id="a misspelt field",
        ),
        pytest.param(
            {"outcomes": [3]},
            "The field 'outcomes[0]' must be an object with 'id', 'value', 'known_at', 'name', "
            "'entity', 'corrects', 'source', got 3 (number).",
            id="no object",
        ),
    ],
)
def test_wrong_outcomes_are_told_which_one(sent: Any, message: str) -> None:
    with pytest.raises(RequestError) as raised:
        READER.outcomes(orjson.dumps(sent))

    assert raised.value.problem == message


def test_outcomes_have_a_limit_of_their_own() -> None:
    many = {"outcomes": [{"id": str(n), "value": 1} for n in range(500)]}
    small = RequestReader(
        endpoint="e", inputs=(), lookups=(), clock="live", max_outcome_bytes=1_000
    )

    assert len(READER.outcomes(orjson.dumps(many))) == 500
    with pytest.raises(RequestError, match="at most 1,000 are read"):
        small.outcomes(orjson.dumps(many))


# --- inputs and lookups that do not fit together ---


@pytest.mark.parametrize(
    ("inputs", "lookups", "message"),
    [
        pytest.param(
            [Input(name="wind", dtype="float", source="airport_wether")], LOOKUPS,
            "The endpoint 'e' has the input 'wind' of view 'airport_wether', which is not looked "
            "up. Did you mean 'airport_weather'?",
            id="a view that isn't looked up",
        ),
        pytest.param(
            [INPUTS[0], INPUTS[0]], LOOKUPS, "The endpoint 'e' has two inputs 'distance'.",
            id="an input twice",
        ),
        pytest.param(
            [Input(name="when", dtype="datetime", source=None)], LOOKUPS,
            "A model input cannot have the dtype 'datetime'. Known: 'bool', 'category', 'float', "
            "'int'.",
            id="a dtype that no model takes",
        ),
        pytest.param(
            [],
            [
                Lookup(view="a", keys=(("tail", "string"),), features=(), dtypes=()),
                Lookup(view="b", keys=(("tail", "int"),), features=(), dtypes=()),
            ],
            "The key column 'tail' is 'string' in one view and 'int' in another.",
            id="a key of two dtypes",
        ),
    ],
)  # fmt: skip
def test_a_reader_that_exists_has_inputs_and_lookups_that_fit(
    inputs: list[Input], lookups: list[Lookup], message: str
) -> None:
    with pytest.raises(ParameterError) as raised:
        RequestReader(endpoint="e", inputs=inputs, lookups=lookups, clock="live")

    assert raised.value.problem == message


def test_reading_requests_imports_no_engine() -> None:
    code = (
        "import json, sys, serving._requests, serving._openapi\n"
        "print(json.dumps(list(sys.modules)))"
    )

    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = {name.partition(".")[0] for name in json.loads(child.stdout)}
    assert loaded & {"pandas", "pyarrow", "sqlalchemy", "pydantic", "httpx", "uvicorn"} == set()


# --- laws ---

NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([3.5e38, -3.5e38, 3.4028234663852886e38, 7.0, 2.0**63, 0]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=4), st.just("x" * 201))
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def objects(typed: dict[str, st.SearchStrategy[Any]], most: int = 12) -> Any:
    """Objects with some of these fields, of which some have any value, and maybe others."""
    fields = {name: st.one_of(values, values, JSON) for name, values in typed.items()}
    others = st.one_of(
        st.just({}), st.just({}), st.dictionaries(st.text(max_size=3), JSON, max_size=2)
    )
    known = st.fixed_dictionaries(typed) | st.fixed_dictionaries({}, optional=fields)
    return st.builds(lambda a, b: {**a, **b}, known, others)


FEATURES: dict[str, st.SearchStrategy[Any]] = {
    "distance": NUMBERS,
    "month": st.integers(1, 12) | st.sampled_from([3.0, 3.5]),
    "origin": st.none() | st.text(max_size=3),
    "wind": st.none() | NUMBERS,
    "landings": st.integers(0, 9),
    "leased": st.booleans(),
}
ENTITY: dict[str, st.SearchStrategy[Any]] = {
    "tail": st.none() | st.text(max_size=3),
    "origin": st.sampled_from(["EWR", "JFK"]),
    "flight_id": st.text(max_size=3) | st.integers(0, 9),
}
REQUESTS = objects(
    {
        "id": st.sampled_from([None, "a", "2013-07-01/EWR"]),
        "entity": objects(ENTITY),
        "features": objects(FEATURES),
        "at": st.sampled_from([None, "2013-07-01T05:15:00Z"]),
        "outputs": st.sampled_from([None, [], ["class"], ["class", "probability", "class"]]),
        "explain": st.sampled_from([None, True, False]),
    }
)


def outcome_of(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RequestError as error:
        return error.to_json()


@given(sent=st.one_of(JSON.map(orjson.dumps), REQUESTS.map(orjson.dumps), st.binary(max_size=40)))
@example(sent=b"[" * 1_500)
@example(sent=b'{"id": "\\ud800"}')
@example(sent=b'{"at": "0001-01-01T00:00:00+23:59", "entity": {}}')
@example(sent=b'{"at": "9999-12-31T23:59:59-23:59", "entity": {}}')
def test_any_body_is_understood_or_refused_with_a_reason(sent: bytes) -> None:
    for read in (READER.decision, READER.outcomes, READER.batch, READER.ranking):
        outcome = outcome_of(lambda read=read: read(sent))  # type: ignore[misc]

        if isinstance(outcome, bytes):
            refusal = orjson.loads(outcome)["error"]
            assert refusal["message"]
            assert refusal["remedy"]
            assert len(refusal.get("got", "")) <= 80


@given(document=REQUESTS)
def test_the_quick_way_reads_as_the_explaining_one(document: Any) -> None:
    sent = orjson.dumps(document)

    quick = outcome_of(lambda: READER.decision(sent))
    explained = outcome_of(lambda: read_decision(orjson.loads(sent), READER.rules))

    assert quick == explained
    if isinstance(quick, DecisionRequest):
        assert types_of(quick) == types_of(explained)


def types_of(request: DecisionRequest) -> dict[str, type]:
    return {name: type(value) for name, value in {**request.entity, **request.given}.items()}


@given(
    entity=st.fixed_dictionaries(ENTITY),
    features=st.fixed_dictionaries(
        {
            "distance": st.none() | st.floats(-3e38, 3e38),
            "month": st.none() | st.integers(1, 12),
        },
        optional={
            "origin": st.none() | st.text(max_size=3),
            "wind": st.floats(width=32, allow_nan=False, allow_infinity=False),
            "landings": st.integers(0, 99),
            "leased": st.booleans(),
        },
    ),
)
def test_a_right_request_is_always_read_and_by_the_quick_way(
    entity: dict[str, Any], features: dict[str, Any]
) -> None:
    sent = orjson.dumps({"entity": entity, "features": features})

    request = READER.decision(sent)

    assert request.entity == entity
    assert request.given == {"origin": entity["origin"], **features}
    assert READER._without_fault(orjson.loads(sent)) == request


@pytest.mark.parametrize("clock", ["live", "replayed"])
def test_the_published_schema_accepts_what_is_read_and_nothing_else(clock: Clock) -> None:
    from jsonschema import Draft202012Validator

    reader = RequestReader(endpoint="e", inputs=INPUTS, lookups=LOOKUPS, clock=clock)
    document = openapi_document(
        endpoint="e", inputs=INPUTS, lookups=LOOKUPS, task="estimation", clock=clock, model="e/1"
    )
    schema = Draft202012Validator(document["components"]["schemas"]["DecisionRequest"])

    @given(sent=REQUESTS)
    def agree(sent: Any) -> None:
        read = isinstance(outcome_of(lambda: reader.decision(orjson.dumps(sent))), DecisionRequest)
        texts = [sent.get("id"), sent.get("at")]
        if not any(isinstance(text, str) and text not in _GOOD_TEXTS for text in texts):
            assert schema.is_valid(sent) == read

    agree()


_GOOD_TEXTS = {"a", "2013-07-01/EWR", "2013-07-01T05:15:00Z"}  # a schema cannot say all of texts
