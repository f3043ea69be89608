"""This module writes the OpenAPI document of an endpoint; it is pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from serving._matrix_layout import Layout
from serving._openapi_answers import (
    EXAMPLE_ID,
    EXAMPLE_MOMENT,
    KEY,
    answer_schemas,
    content,
    refusal_name,
    refusals,
)
from serving._openapi_batches import (
    batch_answers,
    batch_body,
    batch_parameters,
    batch_schemas,
)
from serving._openapi_schemas import Json, decide_schema, outcomes_schema
from serving._request_errors import RequestError
from serving._request_rules import Clock, Input, Lookup, rules_of

if TYPE_CHECKING:
    from headrace.models import ModelFeature, Task

_CONNECTION = (408, 431)  # whatever is asked
_ACCESS = (401, 403, 429)
_REFUSED_READING = (404, 405, 500, 503, *_CONNECTION)
_REFUSED_WRITING = (400, 404, 405, 409, 413, 415, 422, 500, 503, *_CONNECTION)


def openapi_document(
    *,
    endpoint: str,
    inputs: Sequence[Input],
    lookups: Sequence[Lookup],
    task: Task,
    clock: Clock,
    model: str,
    outputs: Sequence[str] = (),
    features: Sequence[ModelFeature] = (),
    asks_for_keys: bool = False,
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of an endpoint, with an example of every body.

    Args:
        endpoint: Name of the endpoint.
        inputs: The inputs of its models.
        lookups: The feature views that are looked up for it.
        task: What its models predict: a probability for a classification, else an estimate.
        clock: "replayed" where a decision may say its moment.
        model: The version that answers now, "name/3".
        outputs: What every model that may answer can be asked for.
        features: The features of the model that answers now, in the order of its card.
        asks_for_keys: Whether requests need a key.

    Raises:
        ParameterError: The inputs and lookups do not fit together.
    """
    rules = rules_of(endpoint, inputs, lookups, clock, outputs)
    layout = Layout(features=tuple(features))
    answer = "probability" if task == "classification" else "estimate"
    decide = decide_schema(rules, {each.name: each for each in inputs})
    about = _about(endpoint, model, inputs, clock)
    about |= {"outputs": list(outputs), "matrix": layout.to_json()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Endpoint {endpoint}",
            "version": "1",
            "description": f"Model {model} answers. A decision is logged before it is answered.",
        },
        **({"security": [{"key": []}]} if asks_for_keys else {}),
        "paths": _paths(
            asked=_request(inputs, lookups, clock),
            decided=_decision(endpoint, model, answer),
            about=about,
            refused=_ACCESS if asks_for_keys else (),
        ),
        "components": {
            "schemas": {
                "DecisionRequest": decide,
                "OutcomesRequest": outcomes_schema(),
                **answer_schemas(answer),
                **batch_schemas(rules, answer, decide),
            },
            "responses": refusals(endpoint, model),
            **({"securitySchemes": {"key": KEY}} if asks_for_keys else {}),
        },
    }


def _paths(*, asked: Json, decided: Json, about: Json, refused: tuple[int, ...]) -> Json:
    """Return what can be asked; examples of a request, an answer, and what the endpoint says."""
    endpoint = about["endpoint"]
    writing = (*_REFUSED_WRITING, *refused)
    batch = {"decisions": [asked], "outputs": about["outputs"]}
    read = _responses("About", about, refused=(*_REFUSED_READING, *refused))
    return {
        f"/v1/{endpoint}/decide": _post(
            "decide",
            "Decide; the same id again gets the logged answer.",
            _body("DecisionRequest", asked),
            _responses("Decision", decided, refused=writing),
        ),
        f"/v1/{endpoint}/decide-batch": _post(
            "decideBatch",
            "Decide many: JSON, a matrix of floats, or a table of Arrow.",
            batch_body(batch),
            _answered(_batches(decided), writing),
            parameters=batch_parameters(about["matrix"]["layout"]),
        ),
        f"/v1/{endpoint}/rank": _post(
            "rank",
            "Rank a list by score, the highest first; each item is a decision of its own.",
            _body("RankRequest", _list_to_rank(asked)),
            _responses("Ranking", _ranking(decided), refused=writing),
        ),
        f"/v1/{endpoint}/outcomes": _post(
            "outcomes",
            "Record what happened after decisions: all of a body, or nothing.",
            _body("OutcomesRequest", {"outcomes": [_outcome()]}),
            _responses("Recorded", _recorded(), refused=writing),
        ),
        f"/v1/{endpoint}": {
            "get": {
                "operationId": "about",
                "summary": "Say which model answers, and what it is asked with.",
                "responses": read,
            }
        },
    }


def _post(
    operation: str, summary: str, body: Json, responses: Json, *, parameters: Sequence[Json] = ()
) -> Json:
    said: Json = {"operationId": operation, "summary": summary}
    said |= {"parameters": list(parameters)} if parameters else {}
    return {"post": {**said, "requestBody": body, "responses": responses}}


def _body(schema: str, example: Json) -> Json:
    return {"required": True, "content": content(schema, example)}


def _responses(schema: str, example: Json, *, refused: Sequence[int]) -> Json:
    return _answered(content(schema, example), refused)


def _answered(answer: Json, refused: Sequence[int]) -> Json:
    return {
        "200": {"description": "Done.", "content": answer},
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


def _batches(decided: Json) -> Json:
    endpoint, model, (figure,) = decided["endpoint"], decided["model"], decided["answer"]
    told = {"id": EXAMPLE_ID, "endpoint": endpoint, "figure": figure}
    row = {"id": f"{EXAMPLE_ID}/0", "model": model, "score": 0.25, "repeated": False}
    refusal: Json = orjson.loads(RequestError.too_large(1, 0).to_json())["error"]
    refused = {"error": {"status": 413, **refusal}}
    matrix = {"model": model, "at": EXAMPLE_MOMENT, "repeated": False, "rows": 1}
    return batch_answers(
        [
            {"decisions": [decided, refused]},
            {**told, **matrix, "scores": [0.25]},
            {**told, "decisions": [row, {"id": f"{EXAMPLE_ID}/1", **refused}]},
        ]
    )


def _list_to_rank(asked: Json) -> Json:
    shared = {name: value for name, value in asked.items() if name in ("id", "entity", "at")}
    return {**shared, "items": [{"features": asked.get("features", {})}], "top": 1}


def _ranking(decided: Json) -> Json:
    shared = ("id", "endpoint", "model", "at", "repeated")
    item = {
        "id": f"{EXAMPLE_ID}/0",
        "place": 0,
        "rank": 1,
        "answer": decided["answer"],
        "missing": [],
    }
    return {**{name: decided[name] for name in shared}, "items": [item]}


def _outcome() -> Json:
    return {"id": EXAMPLE_ID, "value": 1, "known_at": EXAMPLE_MOMENT}


def _recorded() -> Json:
    return {"recorded": 1, "repeated": 0, "corrected": 0, "late": 0}


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
