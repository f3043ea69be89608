"""This module writes the JSON schemas of what an endpoint is sent, from the rules it reads by."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from serving._request_rules import MOST_OTHER_COLUMNS, Input, Rules
from serving._request_text import computed_views
from serving._request_values import (
    DAY,
    LARGEST_FLOAT,
    LARGEST_INT,
    LONGEST_TEXT,
    TIMES,
    Kind,
)

Json = dict[str, Any]

MOMENT: Json = {
    "type": "string",
    "format": "date-time",
    "description": "RFC 3339 with its offset, from 1970 to 2261.",
}
IDENTITY: Json = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}


def decide_schema(rules: Rules, inputs: Mapping[str, Input]) -> Json:
    """Return the schema of a body of `decide`; it accepts what the reader accepts.

    Args:
        rules: The endpoint's.
        inputs: Each input, by its name.
    """
    properties: Json = {
        "id": {
            **or_null(IDENTITY),
            "description": "What you call this decision. A request with the id of a decision that "
            "was made is answered with the logged answer.",
        },
        "entity": _entity_schema(rules),
        "features": _features_schema(rules, inputs),
        "at": _at_schema(rules),
        "outputs": outputs_schema(rules),
        "explain": {
            "type": ["boolean", "null"],
            "description": "Whether the answer is to say what the score is made of, beside what "
            "is logged.",
        },
    }
    schema: Json = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    needs = [
        {"anyOf": [_having("entity", keys), _features_instead(names, rules)]}
        for _, keys, names in rules.views
        if keys and names
    ]
    needs += [
        {"anyOf": [_having("entity", [name]), _features_instead([name], rules)]}
        for name in rules.own
    ]
    return {**schema, "allOf": needs} if needs else schema


def outcomes_schema() -> Json:
    """Return the schema of a body of `outcomes`."""
    outcome: Json = {
        "type": "object",
        "additionalProperties": False,
        "required": ["value"],
        "oneOf": [
            {"required": ["id"], "properties": {"entity": {"type": "null"}}},
            {
                "required": ["entity"],
                "properties": {"entity": {"type": "object"}, "id": False},
            },
        ],
        "properties": {
            "id": {**IDENTITY, "description": "The id that the decision was answered with."},
            "entity": {
                "type": ["object", "null"],
                "minProperties": 1,
                "maxProperties": 8,
                "additionalProperties": {
                    "type": ["string", "integer"],
                    "minLength": 1,
                    "maxLength": LONGEST_TEXT,
                    "minimum": -LARGEST_INT,
                    "maximum": LARGEST_INT,
                },
                "description": "Whom it is about, instead of an id: columns of the decisions' "
                "entities. It goes to the last decision about them before it.",
            },
            "name": {
                **or_null({"type": "string"}),
                "description": "Of several outcomes of a decision, which one.",
            },
            "corrects": {
                "type": ["boolean", "null"],
                "description": "Whether it may take the place of what was told before.",
            },
            "source": {**or_null(IDENTITY), "description": "Who says so, for people."},
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


def outputs_schema(rules: Rules) -> Json:
    """Return the schema of the field `outputs`."""
    items: Json | bool = {"enum": list(rules.outputs)} if rules.outputs else False
    return {
        "type": ["array", "null"],
        "items": items,
        "description": "What is wanted beside the figure that every answer has.",
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


def _features_schema(rules: Rules, inputs: Mapping[str, Input]) -> Json:
    def described(name: str) -> str:
        each = inputs[name]
        views = computed_views(each.only_for)
        only = f" {views[:1].upper()}{views[1:]} computed from it." if each.only_for else ""
        if each.source is None:
            return f"A value of the request.{only}"
        if each.computed:
            return f"Overrides what on-demand view '{each.source}' computes."
        return f"Overrides what view '{each.source}' says.{only}"

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
    if DAY in kind.checks.values():
        return schema | {"format": "date", "description": "A day as year-month-day."}
    if not TIMES.keys().isdisjoint(kind.checks.values()):
        return or_null(MOMENT)
    if kind.limits_text:
        schema["maxLength"] = LONGEST_TEXT
    return schema


def _features_instead(names: Collection[str], rules: Rules) -> Json:
    """The inputs are in `features`, or what would be computed of those that no model takes."""
    direct = [name for name in names if name not in rules.only_for]
    computed = dict(rules.computed)
    instead = [
        {
            "anyOf": [
                _having("features", [name]),
                _having("features", {f for view in views for f in computed[view]}),
            ]
        }
        for name, views in rules.only_for.items()
        if name in names
    ]
    needed = [_having("features", direct)] if direct else []
    return (needed + instead)[0] if len(needed + instead) == 1 else {"allOf": needed + instead}


def _having(part: str, names: Iterable[str]) -> Json:
    return {
        "required": [part],
        "properties": {part: {"type": "object", "required": sorted(names)}},
    }
