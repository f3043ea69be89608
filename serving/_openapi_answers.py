"""This module describes what an endpoint answers: its JSON schemas, and every refusal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from headrace.errors import HeadraceError
from serving._access_errors import forbidden, rate_limited, unauthorized
from serving._openapi_schemas import IDENTITY, MOMENT, Json, or_null
from serving._request_errors import STATUS, RequestError
from serving._request_faults import missing
from serving._requests import MOST_BYTES

KEY: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key from whoever runs the endpoint; also read from the header x-api-key.",
}
EXAMPLE_ID = "2013-07-01/EWR/UA1545/0515"
EXAMPLE_MOMENT = "2013-07-01T14:05:00+00:00"

_COUNT: Json = {"type": "integer", "minimum": 0}
_TEXT: Json = {"type": "string"}
_DESCRIPTIONS = {
    400: "The body isn't JSON, or isn't an Arrow IPC stream, or the request isn't HTTP.",
    401: "The request came without a good key.",
    403: "The client may not do this here.",
    404: "There is no such endpoint, path, entity or decision.",
    405: "The path answers another method.",
    408: "The request took too long to arrive.",
    409: "A decision has another outcome already, a matrix is in another layout than the model's, "
    "or a decision cannot be explained any more.",
    413: "The body is too large.",
    415: "The body says that it is something which isn't read here.",
    422: "A field is missing, unknown, not allowed, of the wrong type or out of range.",
    429: "The client asks more often than it may.",
    431: "The head of the request is too large.",
    500: "The model could not score the request, or an on-demand view not be computed of it.",
    503: "The endpoint is starting, or cannot read features or write its log. Nothing was "
    "recorded: send it again, with the same id.",
}


def answer_schemas(answer: str) -> Json:
    """Return the schemas of what is answered; `answer` is "probability" or "estimate"."""
    figure: Json = {"type": "number"}
    if answer == "probability":
        figure |= {"minimum": 0, "maximum": 1}
    outputs = {
        answer: figure,
        "class": {**_TEXT, "description": "The likelier class, where it was asked for."},
        "threshold": {**figure, "description": "From which probability on it is the positive one."},
        "interval": {
            **_list({"type": "number"}),
            "minItems": 2,
            "maxItems": 2,
            "description": "Between which two values the outcome lies, as often as `coverage` "
            "says for rows like those of validation.",
        },
        "coverage": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    }
    beside = ("class", "threshold") if answer == "probability" else ("interval", "coverage")
    decision = {
        "id": IDENTITY,
        "endpoint": _TEXT,
        "model": {**_TEXT, "description": "The version that answered, such as name/3."},
        "answer": {"$ref": "#/components/schemas/Answer"},
        "at": {**MOMENT, "description": "The moment of the decision."},
        "repeated": {"type": "boolean", "description": "Whether this was answered before."},
        "missing": {
            **_list(_TEXT),
            "description": "Views that had nothing for the entity; their features were null.",
        },
        "explanation": {"$ref": "#/components/schemas/Explanation"},
    }
    said = {name: schema for name, schema in outputs.items() if name in (answer, *beside)}
    return {
        "Answer": {**_object(said, optional=beside), "additionalProperties": False},
        "Decision": _object(decision, optional=("explanation",)),
        "Recorded": {
            **_object({name: _COUNT for name in ("recorded", "repeated", "corrected", "late")}),
            "description": "How many outcomes are new, were recorded before, and took the place of "
            "others; and of the new ones and those, how many came after their window.",
        },
        "About": _object(
            _about(), optional=("runtime", "challenger", "experiment", "on_demand", "log")
        ),
        "Error": _object({"error": {"$ref": "#/components/schemas/ErrorDetail"}}),
        "ErrorDetail": _error(),
    }


def refusals(endpoint: str, model: str) -> Json:
    """Return one response a status, by `refusal_name`; each example is an error of the lane."""
    disk_full = HeadraceError("No space is left on the device.", remedy="free some space.")
    decided = datetime.fromisoformat(EXAMPLE_MOMENT)
    errors = [
        RequestError("not_json", "The body isn't JSON: it is empty.", remedy="send an object."),
        RequestError.unknown_decision(EXAMPLE_ID),
        RequestError.method_not_allowed("PUT", "POST", f"/v1/{endpoint}/decide"),
        RequestError.outcome_conflict(EXAMPLE_ID, 1.0, 0.0),
        RequestError.too_large(MOST_BYTES + 1, MOST_BYTES),
        RequestError.unsupported_media_type("text/csv"),
        missing("entity", "an object of key columns", remedy="give the keys."),
        RequestError.outcome_before_decision(EXAMPLE_ID, decided, decided),
        RequestError.model_failed(model, ValueError("the model expects other features")),
        RequestError.log_unwritable(disk_full),
        unauthorized("no key"),
        forbidden("nightly", "decide", endpoint),
        rate_limited("nightly", endpoint, 10, 1.0),
        RequestError("too_slow", "The request took too long.", remedy="send it faster."),
        RequestError("head_too_large", "The head is too large.", remedy="send fewer headers."),
    ]
    return {
        refusal_name(error.status): {
            "description": _DESCRIPTIONS[error.status],
            "content": content("Error", orjson.loads(error.to_json())),
        }
        for error in errors
    }


def refusal_name(status: int) -> str:
    """Return what the response to a refused request is called in the document."""
    return f"Refused{status}"


def content(schema: str, example: Any) -> Json:
    """Return the content of a body: the name of its schema, and an example."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"application/json": {"schema": reference, "example": example}}


def _about() -> Json:
    entry = {"name": _TEXT, "dtype": _TEXT, "source": or_null(_TEXT)}
    return {
        "endpoint": _TEXT,
        "generation": {**_COUNT, "description": "Grows with every change of what answers."},
        "model": {**_TEXT, "description": "The champion, which answers."},
        "runtime": {**_TEXT, "description": "What scores it."},
        "challenger": {**or_null(_TEXT), "description": "The version that is compared with it."},
        "experiment": or_null(_TEXT),
        "clock": {**_TEXT, "enum": ["live", "replayed"]},
        "inputs": _list(_object(entry)),
        "outputs": {**_list(_TEXT), "description": "What answers can have beside their figure."},
        "matrix": {
            **_object({"layout": _TEXT, "features": _list({"type": "object"})}),
            "description": "The columns of a matrix, with the texts of category codes in order.",
        },
        "on_demand": {
            "type": "object",
            "description": "How often each on-demand view was computed for this table, and failed.",
            "additionalProperties": _object({"computed": _COUNT, "failed": _COUNT}),
        },
        "log": {"type": "object", "description": "How the decision log stands."},
    }


def _error() -> Json:
    return _object(
        {
            "code": {**_TEXT, "enum": list(STATUS), "description": "Stable, for programs."},
            "field": {**_TEXT, "description": "Path in the body, such as entity.tail."},
            "expected": _TEXT,
            "got": {**_TEXT, "description": "What came, shortened, with its type."},
            "message": {**_TEXT, "description": "What is wrong, for people."},
            "remedy": {**_TEXT, "description": "What to do about it."},
        },
        optional=("field", "expected", "got"),
    )


def _object(properties: Json, *, optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}
