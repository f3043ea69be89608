"""This module describes batches and lists in an endpoint's document: what is sent and answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving._batch_errors import ARROW, FLOATS
from serving._openapi_schemas import IDENTITY, MOMENT, Json, or_null, outputs_schema
from serving._request_batches import MOST_DECISIONS, MOST_EXPLAINED, MOST_RANKED
from serving._request_rules import Rules

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_TRUTH: Json = {"type": "boolean"}
_BATCH_ID: Json = {**IDENTITY, "maxLength": IDENTITY["maxLength"] - 10}


def batch_schemas(rules: Rules, figure: str, sent: Json) -> Json:
    """Return the schemas of batches and lists, sent and answered.

    Args:
        rules: The endpoint's.
        figure: "probability" or "estimate".
        sent: The schema of a body of `decide`.
    """
    wanted = {"outputs": outputs_schema(rules), "explain": explain_schema()}
    # what is wrong with one decision costs the others nothing, so that here it may be anything
    decisions: Json = {
        "type": "array",
        "maxItems": MOST_DECISIONS,
        "items": {"anyOf": [_ref("DecisionRequest"), {}]},
        "description": "Each as `decide` takes it. One that is refused costs the others nothing.",
    }
    item = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "entity": {"type": ["object", "null"]},
            "features": {"type": ["object", "null"]},
        },
    }
    return {
        "BatchRequest": _sent({"decisions": decisions, **wanted}, "decisions"),
        "RankRequest": _sent(
            {
                "id": {**or_null(_BATCH_ID), "description": "What you call this list."},
                "entity": {"type": ["object", "null"], "description": "What all items share."},
                "features": {"type": ["object", "null"], "description": "What all items share."},
                "items": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MOST_RANKED,
                    "items": item,
                    "description": "What each item has of its own, beside what all share.",
                },
                "top": {
                    "type": ["integer", "null"],
                    "minimum": 1,
                    "maximum": MOST_RANKED,
                    "description": "How many of the best are wanted; all are decided and logged.",
                },
                "at": sent["properties"]["at"],
                **wanted,
            },
            "items",
        ),
        "Batch": _object({"decisions": _list({"anyOf": [_ref("Decision"), _ref("Refused")]})}),
        "Refused": {
            **_object({"id": _TEXT, "error": _ref("RefusedItem")}, optional=("id",)),
            "additionalProperties": False,
        },
        "RefusedItem": {"allOf": [_ref("ErrorDetail"), _object({"status": {"type": "integer"}})]},
        "MatrixAnswer": _matrix_answer(figure),
        "TableAnswer": _object(
            {
                "id": _TEXT,
                "endpoint": _TEXT,
                "figure": _TEXT,
                "decisions": _list({"anyOf": [_row(), _ref("Refused")]}),
            }
        ),
        "Ranking": _ranking(),
        "Explanation": _explanation(),
    }


def explain_schema() -> Json:
    """Return the schema of the field `explain`."""
    said = f"Whether to say what each score is made of; for at most {MOST_EXPLAINED} decisions."
    return {"type": ["boolean", "null"], "description": said}


def batch_body(example: Json) -> Json:
    """Return the bodies that `decide-batch` reads."""
    return {
        "required": True,
        "content": {
            "application/json": {"schema": _ref("BatchRequest"), "example": example},
            FLOATS: {
                "schema": {
                    "description": "Rows x features little-endian 32-bit floats, row after row, "
                    "in the order of `matrix.features` of this endpoint; NaN is null, a category "
                    "its code, true 1 and false 0. All features must be there."
                }
            },
            ARROW: {
                "schema": {
                    "description": "An uncompressed Arrow IPC stream: a table with a column for "
                    "each input or key, and `id` and `at` where wanted. Inputs that are missing "
                    "are looked up."
                }
            },
        },
    }


def batch_parameters(layout: str) -> list[Json]:
    """Return the parameters of `decide-batch`, which go with a matrix or a table."""

    def parameter(name: str, schema: Json, said: str, example: str) -> Json:
        return {
            "name": name,
            "in": "query",
            "schema": schema,
            "description": said,
            "example": example,
        }

    return [
        parameter(
            "id",
            _BATCH_ID,
            "What you call the batch; the same id again gets the logged answer. Its decisions are "
            "called <id>/0, <id>/1, and so on.",
            "2013-07-01/morning",
        ),
        parameter("layout", _TEXT, "Of a matrix: the layout that it is in.", layout),
        parameter("at", MOMENT, "The moment, where a replay feeds.", "2013-07-01T14:05:00Z"),
    ]


def batch_answers(examples: Sequence[Json]) -> Json:
    """Return the content of what `decide-batch` answers: JSON, floats or a table."""
    names = ("Batch", "MatrixAnswer", "TableAnswer")
    return {
        "application/json": {
            "schema": {"anyOf": [_ref(name) for name in names]},
            "examples": {
                name: {"value": example} for name, example in zip(names, examples, strict=True)
            },
        },
        FLOATS: {
            "schema": {
                "description": "One little-endian 64-bit float a row; 32-bit ones where the "
                "request accepts `application/octet-stream; type=float32`. The headers "
                "x-headrace-batch, -model and -repeated tell the rest."
            }
        },
        ARROW: {
            "schema": {
                "description": "A table of id, model, score, repeated, and error, which says "
                "why a row was refused."
            }
        },
    }


def _matrix_answer(figure: str) -> Json:
    return _object(
        {
            "id": _TEXT,
            "endpoint": _TEXT,
            "model": _TEXT,
            "at": MOMENT,
            "repeated": _TRUTH,
            "rows": {"type": "integer", "minimum": 1},
            "figure": {**_TEXT, "enum": [figure]},
            "scores": _list(_NUMBER),
        }
    )


def _row() -> Json:
    return _object({"id": _TEXT, "model": _TEXT, "score": _NUMBER, "repeated": _TRUTH})


def _ranking() -> Json:
    item = _object(
        {
            "id": {**_TEXT, "description": "Of this item's decision: its outcome is told by it."},
            "place": {"type": "integer", "minimum": 0, "description": "In the request, from 0."},
            "rank": {"type": "integer", "minimum": 1, "description": "1 has the highest score."},
            "answer": _ref("Answer"),
            "missing": _list(_TEXT),
            "explanation": _ref("Explanation"),
        },
        optional=("explanation",),
    )
    return _object(
        {
            "id": _TEXT,
            "endpoint": _TEXT,
            "model": {**_TEXT, "description": "One model scores all items of a list."},
            "at": MOMENT,
            "repeated": _TRUTH,
            "items": _list(item),
        }
    )


def _explanation() -> Json:
    return {
        **_object(
            {
                "method": {**_TEXT, "enum": ["tree_shap", "linear", "sampled"]},
                "space": {**_TEXT, "enum": ["log_odds", "probability", "estimate"]},
                "base": {**_NUMBER, "description": "The answer when nothing is known of the row."},
                "total": {**_NUMBER, "description": "The base and all contributions: the score."},
                "contributions": {"type": "object", "additionalProperties": _NUMBER},
            }
        ),
        "description": "What a score is made of, in its space: probability p has the log-odds "
        "ln(p / (1 - p)).",
    }


def _sent(properties: Json, required: str) -> Json:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [required],
        "properties": properties,
    }


def _object(properties: Json, *, optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Any:
    return {"$ref": f"#/components/schemas/{name}"}
