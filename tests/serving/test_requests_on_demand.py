"""Requests to an endpoint that computes features of them: what they have to say, and what not."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from features.online_lookup import Lookup
from headrace.errors import ParameterError
from serving._openapi import openapi_document
from serving._request_errors import RequestError
from serving._request_reading import read_decision
from serving._requests import DecisionRequest, Input, RequestReader

GUSTS, STAY = frozenset({"gusts"}), frozenset({"stay"})
INPUTS = (
    Input(name="distance", dtype="float", source=None),
    Input(name="wind", dtype="float", source="weather"),
    Input(name="factor", dtype="float", source="gusts", computed=True),
    Input(name="is_far", dtype="bool", source="gusts", computed=True),
    Input(name="nights", dtype="int", source="stay", computed=True),
    Input(name="scheduled", dtype="timestamp", source=None, only_for=GUSTS),
    Input(name="gust", dtype="float", source="weather", only_for=GUSTS),
    Input(name="arrives", dtype="date", source=None, only_for=STAY),
    Input(name="cabin", dtype="string", source=None, only_for=GUSTS | STAY),
    Input(name="rating", dtype="float", source="hotels", only_for=STAY),
)
LOOKUPS = (
    Lookup(
        view="weather",
        keys=(("origin", "string"),),
        features=("wind", "gust"),
        dtypes=("float", "float"),
    ),
    Lookup(view="hotels", keys=(("hotel", "int"),), features=("rating",), dtypes=("float",)),
)
READER = RequestReader(endpoint="trips", inputs=INPUTS, lookups=LOOKUPS, clock="replayed")
WHOLE = {
    "entity": {"origin": "EWR", "hotel": 7},
    "features": {
        "distance": 719,
        "scheduled": "2013-07-01T14:05:00.000007Z",
        "arrives": "2013-07-02",
        "cabin": "eco",
    },
}
MOMENTS = st.sampled_from(["2013-07-01T14:05:00Z", "2013-07-01", "2013-13-01T14:05:00Z", "", "x"])
DAYS = st.sampled_from(["2013-07-02", "2013-06-31", "20130702", "2013-07-02T00:00:00Z"])
ANY = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-9, 9) | MOMENTS | DAYS
NAMES = [each.name for each in INPUTS]
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "entity": st.fixed_dictionaries(
            {},
            optional={
                "origin": st.none() | st.text(max_size=3),
                "hotel": st.none() | st.integers(-(2**63), 2**64 - 1),
                "scheduled": st.none() | MOMENTS,
                "arrives": st.none() | DAYS,
                "cabin": st.none() | st.text(max_size=3) | st.integers(-(2**63), 2**64 - 1),
                "other": ANY,
            },
        ),
        "features": st.dictionaries(st.sampled_from(NAMES), ANY)
        | st.fixed_dictionaries(
            {"distance": st.none() | st.floats(-9, 9)},
            optional={
                "factor": st.none() | st.floats(-9, 9),
                "is_far": st.none() | st.booleans(),
                "nights": st.none() | st.integers(0, 9),
                "scheduled": st.none() | MOMENTS,
                "arrives": st.none() | DAYS,
                "cabin": st.none() | st.text(max_size=3),
                "wind": st.none() | st.floats(-9, 9),
                "gust": st.none() | st.floats(-9, 9),
                "rating": st.none() | st.floats(-9, 9),
            },
        ),
    },
)


def outcome_of(read: Any) -> Any:
    try:
        return read()
    except RequestError as error:
        return error.to_json()


def without(*names: str, **features: Any) -> bytes:
    """The whole request without some features and keys, and with others."""
    kept = {part: {k: v for k, v in WHOLE[part].items() if k not in names} for part in WHOLE}
    return orjson.dumps({**kept, "features": kept["features"] | features})


def missing_field(sent: bytes) -> str | None:
    found = outcome_of(lambda: READER.decision(sent))
    return None if isinstance(found, DecisionRequest) else orjson.loads(found)["error"]["field"]


def test_instants_and_days_are_read_as_such() -> None:
    request = READER.decision(orjson.dumps(WHOLE))

    assert request.given == {
        "distance": 719.0,
        "scheduled": datetime(2013, 7, 1, 14, 5, 0, 7, tzinfo=UTC),
        "arrives": date(2013, 7, 2),
        "cabin": "eco",
    }


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        pytest.param(without("distance"), "features.distance", id="what a model takes"),
        pytest.param(without("scheduled"), "features.scheduled", id="what is computed from"),
        pytest.param(without("origin"), "entity.origin", id="a key"),
        pytest.param(without("hotel"), "entity.hotel", id="a key that only one view needs"),
        pytest.param(
            without("scheduled", factor=1.5), "features.scheduled", id="one of two is given"
        ),
        pytest.param(
            without("scheduled", factor=1.5, is_far=None), None, id="all that it computes is given"
        ),
        pytest.param(
            without("cabin", factor=1.5, is_far=None), "features.cabin", id="another needs it too"
        ),
        pytest.param(
            without("cabin", "arrives", "hotel", "scheduled", factor=1, is_far=True, nights=2),
            None,
            id="nothing is to be computed",
        ),
        pytest.param(
            without("origin", wind=3.5, factor=1, is_far=True), None, id="nothing to look up"
        ),
        pytest.param(without("hotel", nights=2), None, id="nobody needs the view"),
        pytest.param(without("hotel", rating=4.5), None, id="what is looked up is given"),
    ],
)
def test_a_request_says_what_is_needed_and_not_given_otherwise(
    sent: bytes, field: str | None
) -> None:
    assert missing_field(sent) == field


@given(document=REQUESTS)
def test_the_quick_way_reads_as_the_explaining_one(document: Any) -> None:
    sent = orjson.dumps(document)

    quick = outcome_of(lambda: READER.decision(sent))
    explained = outcome_of(lambda: read_decision(orjson.loads(sent), READER.rules))

    assert quick == explained


def schema_of() -> Draft202012Validator:
    document = openapi_document(
        endpoint="trips",
        inputs=INPUTS,
        lookups=LOOKUPS,
        task="classification",
        clock="replayed",
        model="trips/1",
    )
    schema = document["components"]["schemas"]["DecisionRequest"]
    Draft202012Validator.check_schema(schema)
    content = document["paths"]["/v1/trips/decide"]["post"]["requestBody"]["content"]
    READER.decision(orjson.dumps(content["application/json"]["example"]))
    return Draft202012Validator(schema, format_checker=FormatChecker())


SCHEMA = schema_of()


@given(document=REQUESTS)
def test_the_document_accepts_what_the_endpoint_reads(document: Any) -> None:
    read = isinstance(outcome_of(lambda: READER.decision(orjson.dumps(document))), DecisionRequest)

    assert not (read and list(SCHEMA.iter_errors(document)))


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(without("scheduled"), id="what is computed from"),
        pytest.param(without("scheduled", factor=1.5), id="one of two is given"),
        pytest.param(without("cabin", factor=1.5, is_far=None), id="another needs it too"),
        pytest.param(without("hotel"), id="a key"),
        pytest.param(without("arrives", arrives="2013-06-31"), id="a day that there is not"),
    ],
)
def test_the_document_refuses_what_the_endpoint_refuses(sent: bytes) -> None:
    assert list(SCHEMA.iter_errors(orjson.loads(sent)))


def test_the_document_says_what_a_value_is_for() -> None:
    features = SCHEMA.schema["properties"]["features"]["properties"]  # type: ignore[index, call-overload]

    assert {name: features[name]["description"] for name in ("cabin", "factor", "gust")} == {
        "cabin": "A value of the request. On-demand views 'gusts' and 'stay' are computed from it.",
        "factor": "Overrides what on-demand view 'gusts' computes.",
        "gust": "Overrides what view 'weather' says. On-demand view 'gusts' is computed from it.",
    }
    assert features["scheduled"]["format"] == "date-time"
    assert features["arrives"]["format"] == "date"


def test_a_model_takes_no_instant() -> None:
    taken = (Input(name="scheduled", dtype="timestamp", source=None),)

    with pytest.raises(ParameterError, match="A model input cannot have the dtype 'timestamp'"):
        RequestReader(endpoint="trips", inputs=taken, lookups=(), clock="live")
