"""The OpenAPI document of an endpoint: complete, consistent, and true to what the lane does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from features.online_lookup import Lookup
from headrace.models import ModelFeature
from serving._openapi import openapi_document
from serving._request_errors import STATUS, Code, RequestError
from serving._request_rules import Clock
from serving._requests import DecisionRequest, Input, RequestReader

INPUTS = (
    Input(name="distance", dtype="float", source=None),
    Input(name="night", dtype="bool", source=None),
    Input(name="origin", dtype="category", source=None),
    Input(name="wind", dtype="float", source="airport_weather"),
)
LOOKUPS = (
    Lookup(
        view="airport_weather",
        keys=(("origin", "string"),),
        features=("wind",),
        dtypes=("float",),
    ),
)
Task = Literal["classification", "estimation"]


OUTPUTS = {"classification": ("probability", "class"), "estimation": ("estimate", "interval")}
FEATURES = (
    ModelFeature(name="distance", dtype="float"),
    ModelFeature(name="origin", dtype="category", categories=("EWR", "JFK")),
)


def document_of(
    task: Task = "classification", clock: Clock = "replayed", *, asks_for_keys: bool = False
) -> dict[str, Any]:
    return openapi_document(
        endpoint="flight_delay",
        inputs=INPUTS,
        lookups=LOOKUPS,
        task=task,
        clock=clock,
        model="flight_delay/3",
        outputs=OUTPUTS[task],
        features=FEATURES,
        asks_for_keys=asks_for_keys,
    )


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Of a schema that refers to others in the document."""
    whole = {"components": document["components"], **schema}
    return Draft202012Validator(whole, format_checker=FormatChecker())


def component(document: dict[str, Any], name: str) -> Draft202012Validator:
    return validator(document, document["components"]["schemas"][name])


def contents(node: Any) -> Iterator[dict[str, Any]]:
    """Every content in the document: a schema with an example."""
    if isinstance(node, dict):
        if "example" in node and "schema" in node:
            yield node
        if "examples" in node and "schema" in node:
            yield from (node | {"example": each["value"]} for each in node["examples"].values())
        for value in node.values():
            yield from contents(value)
    elif isinstance(node, list):
        for value in node:
            yield from contents(value)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == "$ref")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_it_describes_what_can_be_asked_and_every_answer() -> None:
    document = document_of()

    answers = {
        (path, method): sorted(operation["responses"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert document["openapi"] == "3.1.0"
    assert set(document["info"]) >= {"title", "version"}
    assert answers == {
        **{
            (f"/v1/flight_delay/{path}", "post"): [
                "200", "400", "404", "405", "408", "409", "413", "415", "422", "431", "500", "503"
            ]
            for path in ("decide", "decide-batch", "rank", "outcomes")
        },
        ("/v1/flight_delay", "get"): ["200", "404", "405", "408", "431", "500", "503"],
    }  # fmt: skip


def test_an_endpoint_that_asks_for_keys_says_so_and_how_it_refuses() -> None:
    document = document_of(asks_for_keys=True)

    assert document["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for item in document["paths"].values():
        for operation in item.values():
            assert {"401", "403", "429"} <= operation["responses"].keys()


def test_every_code_has_a_status_that_is_described() -> None:
    described = {name.removeprefix("Refused") for name in document_of()["components"]["responses"]}

    assert set(STATUS) == set(get_args(Code))
    assert {str(status) for status in STATUS.values()} == described


def test_every_reference_leads_somewhere() -> None:
    document = document_of()

    for reference in references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_every_schema_is_one_and_every_example_satisfies_its_own() -> None:
    for document in (document_of(), document_of("estimation", "live")):
        for schema in document["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)
        for content in contents(document):
            validator(document, content["schema"]).validate(content["example"])


@pytest.mark.parametrize("clock", get_args(Clock))
def test_the_examples_are_read_by_the_endpoint(clock: Clock) -> None:
    reader = RequestReader(
        endpoint="flight_delay",
        inputs=INPUTS,
        lookups=LOOKUPS,
        clock=clock,
        outputs=OUTPUTS["classification"],
    )
    paths = document_of(clock=clock)["paths"]

    def example(path: str) -> bytes:
        content = paths[f"/v1/flight_delay/{path}"]["post"]["requestBody"]["content"]
        return orjson.dumps(content["application/json"]["example"])

    assert reader.decision(example("decide")).given == {
        "distance": 12.5,
        "night": True,
        "origin": "some origin",
    }
    assert [outcome.value for outcome in reader.outcomes(example("outcomes"))] == [1.0]
    (decision,) = reader.batch(example("decide-batch")).decisions
    assert isinstance(decision, DecisionRequest)
    assert decision.outputs == ("probability", "class")
    ranking = reader.ranking(example("rank"))
    assert (ranking.top, [item.given["distance"] for item in ranking.items]) == (1, [12.5])


def good(changes: dict[str, Any]) -> dict[str, Any]:
    """A right request with a part that is wrong."""
    return {
        "entity": {"origin": "EWR"},
        "features": {"distance": 1, "night": True},
        **changes,
    }


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param("DecisionRequest", {}, id="nothing"),
        pytest.param(
            "DecisionRequest",
            {"entity": {"origin": "EWR"}, "features": {"distance": 1, "night": 1}},
            id="a number for true",
        ),
        pytest.param(
            "DecisionRequest",
            {"entity": {"origin": "EWR"}, "features": {"distance": 1, "night": True, "x": 1}},
            id="an unknown feature",
        ),
        pytest.param("OutcomesRequest", {"outcomes": [{"id": "a"}]}, id="no value"),
        pytest.param("DecisionRequest", good({"outputs": ["interval"]}), id="another's output"),
        pytest.param("DecisionRequest", good({"explain": 1}), id="a number for an explanation"),
        pytest.param("BatchRequest", {"decisions": [{}] * 501}, id="too many decisions"),
        pytest.param("RankRequest", {"items": []}, id="nothing to rank"),
        pytest.param("RankRequest", {"items": [{"id": "a"}]}, id="an item's own id"),
        pytest.param("Answer", {"probability": 0.5, "interval": [0, 1]}, id="another's answer"),
        pytest.param("Decision", {"id": "a"}, id="half an answer"),
        pytest.param("Error", {"error": {"code": "odd", "message": "", "remedy": ""}}, id="code"),
        pytest.param("Recorded", {"recorded": -1, "repeated": 0}, id="fewer than none"),
    ],
)
def test_what_is_wrong_does_not_satisfy_its_schema(schema: str, value: Any) -> None:
    assert not component(document_of(), schema).is_valid(value)


def test_a_classification_answers_a_probability_and_an_estimation_any_number() -> None:
    def satisfied(task: Task, answer: dict[str, float]) -> bool:
        decision = {
            "id": "a", "endpoint": "flight_delay", "model": "flight_delay/3", "answer": answer,
            "at": "2013-07-01T14:05:00+00:00", "repeated": False, "missing": ["airport_weather"],
        }  # fmt: skip
        return component(document_of(task), "Decision").is_valid(decision)

    assert satisfied("classification", {"probability": 0.7})
    assert not satisfied("classification", {"probability": 1.7})
    assert not satisfied("classification", {"estimate": 0.7})
    assert satisfied("estimation", {"estimate": -17.5})


def test_what_a_lane_refuses_with_satisfies_the_schema_of_errors() -> None:
    errors = component(document_of(), "Error")

    errors.validate(orjson.loads(RequestError.starting("flight_delay").to_json()))
    errors.validate(orjson.loads(RequestError.unknown_endpoint("x", ["y"]).to_json()))
