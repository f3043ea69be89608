"""This module writes the JSON schemas of what an endpoint is sent, from the rules it reads by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from serving._request_rules import MOST_OTHER_COLUMNS, Rules
from serving._request_values import LARGEST_FLOAT, LARGEST_INT, LONGEST_TEXT, Kind

Json = dict[str, Any]

MOMENT: Json = {
    "type": "string",
    "format": "date-time",
    "description": "RFC 3339 with its offset, from 1970 to 2261.",
}
IDENTITY: Json = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}


def decide_schema(rules: Rules, sources: Mapping[str, str | None]) -> Json:
    """Return the schema of a body of `decide`; it accepts what the reader accepts.

    Args:
        rules: The endpoint's.
        sources: The view of each input, None for a value of the request.
    """
    properties: Json = {
        "id": {
            **or_null(IDENTITY),
            "description": "What you call this decision. A request with the id of a decision that "
            "was made is answered with the logged answer.",
        },
        "entity": _entity_schema(rules),
        "features": _features_schema(rules, sources),
        "at": _at_schema(rules),
    }
    schema: Json = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    needs = [_either(keys, inputs) for _, keys, inputs in rules.views if keys and inputs]
    needs += [_either([name], [name]) for name in rules.own]
    return {**schema, "allOf": needs} if needs else schema


def outcomes_schema() -> Json:
    """Return the schema of a body of `outcomes`."""
    outcome: Json = {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "value"],
        "properties": {
            "id": {**IDENTITY, "description": "The id that the decision was answered with."},
            "value": {
                "type": ["number", "null"],
                "description": "What happened, 1 or 0 where it is a class; null where it will "
                "never be known.",
            },
            "known_at": {**or_null(MOMENT), "description": "When it was known; now by default."},
        },
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["outcomes"],
        "properties": {"outcomes": {"type": "array", "items": outcome}},
    }


def or_null(schema: Json) -> Json:
    """Return a schema that takes null too."""
    return {**schema, "type": [schema["type"], "null"]}


def _at_schema(rules: Rules) -> Json:
    if rules.clock == "replayed":
        said = "The moment of the decision; now when it isn't given."
        return {**or_null(MOMENT), "description": said}
    return {"type": "null", "description": "Only an endpoint that a replay feeds takes a moment."}


def _entity_schema(rules: Rules) -> Json:
    looked_up = [name for name in rules.inputs if name not in rules.own]
    views = "; ".join(f"{', '.join(keys)} for {view}" for view, keys, _ in rules.views)
    return {
        "type": ["object", "null"],
        "description": "The keys that features are looked up by, and at most "
        f"{MOST_OTHER_COLUMNS} other columns that identify the row for people."
        + (f" Keys: {views}." if views else ""),
        "propertyNames": {"minLength": 1, "maxLength": LONGEST_TEXT},
        "properties": {
            **{name: False for name in looked_up},
            **{name: _value_schema(rules.inputs[name]) for name in rules.own},
            **{name: _value_schema(kind) for name, kind in rules.keys.items()},
        },
        "additionalProperties": {
            "type": ["string", "integer", "null"],
            "maxLength": LONGEST_TEXT,
            "minimum": -LARGEST_INT,
            "maximum": LARGEST_INT,
        },
    }


def _features_schema(rules: Rules, sources: Mapping[str, str | None]) -> Json:
    def described(name: str) -> str:
        view = sources[name]
        return "A value of the request." if view is None else f"Overrides what view '{view}' says."

    return {
        "type": ["object", "null"],
        "description": "The inputs that are values of the request (one that is named in `entity` "
        "is taken from there), and those that are to override what the views say.",
        "additionalProperties": False,
        "properties": {
            name: {**_value_schema(kind), "description": described(name)}
            for name, kind in rules.inputs.items()
        },
    }


def _value_schema(kind: Kind) -> Json:
    names = {float: "number", int: "integer", bool: "boolean", str: "string"}
    kinds = [names[each] for each in kind.checks if each in names]
    if "number" in kinds:
        return {"type": ["number", "null"], "minimum": -LARGEST_FLOAT, "maximum": LARGEST_FLOAT}
    schema: Json = {"type": [*kinds, "null"]}
    if "integer" in kinds:
        schema |= {"minimum": -LARGEST_INT, "maximum": LARGEST_INT}
    if kind.limits_text:
        schema["maxLength"] = LONGEST_TEXT
    return schema


def _either(columns: Iterable[str], inputs: Iterable[str]) -> Json:
    """The columns are in `entity`, or the inputs in `features`."""
    return {
        "anyOf": [
            {
                "required": [part],
                "properties": {part: {"type": "object", "required": sorted(names)}},
            }
            for part, names in (("entity", columns), ("features", inputs))
        ]
    }
