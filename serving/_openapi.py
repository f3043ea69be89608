"""This module writes the OpenAPI document of an endpoint; it is pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from serving._openapi_answers import (
    EXAMPLE_ID,
    EXAMPLE_MOMENT,
    answer_schemas,
    content,
    refusal_name,
    refusals,
)
from serving._openapi_schemas import Json, decide_schema, outcomes_schema
from serving._request_rules import Clock, Input, Lookup, rules_of

_REFUSED_READING = (404, 405, 503)
_REFUSED_WRITING = (400, 404, 405, 413, 415, 422, 503)


def openapi_document(
    *,
    endpoint: str,
    inputs: Sequence[Input],
    lookups: Sequence[Lookup],
    task: Literal["classification", "estimation"],
    clock: Clock,
    model: str,
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of an endpoint, with an example of every body.

    Args:
        endpoint: Name of the endpoint.
        inputs: The inputs of its models.
        lookups: The feature views that are looked up for it.
        task: What its models predict: a probability for a classification, else an estimate.
        clock: "replayed" where a decision may say its moment.
        model: The version that answers now, "name/3".

    Raises:
        ParameterError: The inputs and lookups do not fit together.
    """
    rules = rules_of(endpoint, inputs, lookups, clock)
    answer = "probability" if task == "classification" else "estimate"
    schemas = {
        "DecisionRequest": decide_schema(rules, {each.name: each for each in inputs}),
        "OutcomesRequest": outcomes_schema(),
        **answer_schemas(answer),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Endpoint {endpoint}",
            "version": "1",
            "description": f"Model {model} answers. A decision is logged before it is answered.",
        },
        "paths": {
            f"/v1/{endpoint}/decide": {
                "post": {
                    "operationId": "decide",
                    "summary": "Decide; the same id again gets the logged answer.",
                    "requestBody": _body("DecisionRequest", _request(inputs, lookups, clock)),
                    "responses": _responses(
                        "Decision",
                        _decision(endpoint, model, answer),
                        refused=(*_REFUSED_WRITING, 500),
                    ),
                }
            },
            f"/v1/{endpoint}/outcomes": {
                "post": {
                    "operationId": "outcomes",
                    "summary": "Record what happened after decisions: all of a body, or nothing.",
                    "requestBody": _body("OutcomesRequest", {"outcomes": [_outcome()]}),
                    "responses": _responses(
                        "Recorded",
                        {"recorded": 1, "repeated": 0},
                        refused=(*_REFUSED_WRITING, 409),
                    ),
                }
            },
            f"/v1/{endpoint}": {
                "get": {
                    "operationId": "about",
                    "summary": "Say which model answers, and what it is asked with.",
                    "responses": _responses(
                        "About", _about(endpoint, model, inputs, clock), refused=_REFUSED_READING
                    ),
                }
            },
        },
        "components": {"schemas": schemas, "responses": refusals(endpoint, model)},
    }


def _body(schema: str, example: Json) -> Json:
    return {"required": True, "content": content(schema, example)}


def _responses(schema: str, example: Json, *, refused: Sequence[int]) -> Json:
    return {
        "200": {"description": "Done.", "content": content(schema, example)},
        **{
            str(status): {"$ref": f"#/components/responses/{refusal_name(status)}"}
            for status in sorted(refused)
        },
    }


def _request(inputs: Sequence[Input], lookups: Sequence[Lookup], clock: Clock) -> Json:
    """A request as short as it can be: keys, and the inputs that have no other source."""
    keys = {column: dtype for lookup in lookups for column, dtype in lookup.keys}
    features = {
        each.name: _example(each.name, each.dtype)
        for each in inputs
        if each.source is None and each.name not in keys
    }
    return {
        "id": EXAMPLE_ID,
        "entity": {column: _example(column, dtype) for column, dtype in keys.items()},
        **({"features": features} if features else {}),
        **({"at": EXAMPLE_MOMENT} if clock == "replayed" else {}),
    }


def _example(name: str, dtype: str) -> Any:
    examples = {"float": 12.5, "int": 3, "bool": True}
    times = {"timestamp": EXAMPLE_MOMENT, "date": EXAMPLE_MOMENT[:10]}
    return (examples | times).get(dtype, f"some {name}")


def _decision(endpoint: str, model: str, answer: str) -> Json:
    return {
        "id": EXAMPLE_ID,
        "endpoint": endpoint,
        "model": model,
        "answer": {answer: 0.25},
        "at": EXAMPLE_MOMENT,
        "repeated": False,
        "missing": [],
    }


def _outcome() -> Json:
    return {"id": EXAMPLE_ID, "value": 1, "known_at": EXAMPLE_MOMENT}


def _about(endpoint: str, model: str, inputs: Sequence[Input], clock: Clock) -> Json:
    return {
        "endpoint": endpoint,
        "generation": 1,
        "model": model,
        "challenger": None,
        "experiment": None,
        "clock": clock,
        "inputs": [
            {"name": each.name, "dtype": each.dtype, "source": each.source} for each in inputs
        ],
    }
