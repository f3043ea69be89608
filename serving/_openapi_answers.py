"""This module describes what an endpoint answers: its JSON schemas, and every refusal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from headrace.errors import HeadraceError
from serving._openapi_schemas import IDENTITY, MOMENT, Json, or_null
from serving._request_errors import STATUS, RequestError
from serving._request_faults import missing
from serving._requests import MOST_BYTES

EXAMPLE_ID = "2013-07-01/EWR/UA1545/0515"
EXAMPLE_MOMENT = "2013-07-01T14:05:00+00:00"

_COUNT: Json = {"type": "integer", "minimum": 0}
_TEXT: Json = {"type": "string"}
_DESCRIPTIONS = {
    400: "The body isn't JSON.",
    404: "There is no such endpoint, path, entity or decision.",
    405: "The path answers another method.",
    409: "A decision has another outcome already; nothing of the request was recorded.",
    413: "The body is too large.",
    415: "The body says that it isn't JSON.",
    422: "A field is missing, unknown, not allowed, of the wrong type or out of range.",
    500: "The model could not score the request, or an on-demand view not be computed of it.",
    503: "The endpoint is starting, or cannot read features or write its log. Nothing was "
    "recorded: send it again, with the same id.",
}


def answer_schemas(answer: str) -> Json:
    """Return the schemas of what is answered; `answer` is "probability" or "estimate"."""
    figure: Json = {"type": "number"}
    if answer == "probability":
        figure |= {"minimum": 0, "maximum": 1}
    decision = {
        "id": IDENTITY,
        "endpoint": _TEXT,
        "model": {**_TEXT, "description": "The version that answered, such as name/3."},
        "answer": {**_object({answer: figure}), "additionalProperties": False},
        "at": {**MOMENT, "description": "The moment of the decision."},
        "repeated": {"type": "boolean", "description": "Whether this was answered before."},
        "missing": {
            **_list(_TEXT),
            "description": "Views that had nothing for the entity; their features were null.",
        },
    }
    return {
        "Decision": _object(decision),
        "Recorded": {
            **_object({"recorded": _COUNT, "repeated": _COUNT}),
            "description": "How many outcomes are new, and how many were recorded before.",
        },
        "About": _object(
            _about(), optional=("runtime", "challenger", "experiment", "on_demand", "log")
        ),
        "Error": _object({"error": _error()}),
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
