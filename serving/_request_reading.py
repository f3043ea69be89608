"""This module reads a decision's request by its endpoint's rules, and explains what is wrong.

It is the specification; `serving/_requests.py` has a quicker way for requests without a fault.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.errors import did_you_mean
from serving._request_errors import RequestError
from serving._request_faults import missing, not_allowed, out_of_range, unknown_field, wrong_type
from serving._request_rules import FIELDS, MOST_OTHER_COLUMNS, Rules
from serving._request_text import computed_views, path_of, shown
from serving._request_values import (
    IDENTIFICATION,
    LONGEST_TEXT,
    read_id,
    read_moment,
    read_value,
)


@dataclass(slots=True)
class DecisionRequest:
    """This is what a request for a decision says.

    Args:
        id: What the sender calls the decision, None to have an id made for it.
        entity: Key columns of the views, and what else identifies the row for people.
        given: Feature values of the request: its own inputs, and those of views it overrides.
        at_us: The decision's moment in microseconds since 1970, None for now.
        outputs: What is wanted beside the figure that every answer has.
        explain: Whether the answer is to say what the score is made of.
        trace: The trace of a request that is sampled.
    """

    id: str | None
    entity: dict[str, Any]
    given: dict[str, Any]
    at_us: int | None
    outputs: tuple[str, ...] = ()
    explain: bool = False
    trace: Any = None


def read_decision(document: Any, rules: Rules) -> DecisionRequest:
    """Return what a body, as JSON was read, asks for.

    Raises:
        RequestError: Something is wrong with it; the first thing that is, is named.
    """
    body = require_object(document, FIELDS, what="A request to decide")
    given_id = body.get("id")
    identity = None if given_id is None else read_id(given_id, "id")
    entity = _object(body.get("entity"), "entity", "an object of key columns")
    features = _object(body.get("features"), "features", "an object of feature values")
    at_us = read_at(body.get("at"), rules)
    given = _read_features(features, rules)
    for name, value in entity.items():
        if name in rules.own and name not in given:
            given[name] = read_value(value, rules.inputs[name], path_of("entity", name))
    entity = {name: _read_column(name, value, rules) for name, value in entity.items()}
    _require_few_columns(entity, rules)
    _require_keys(entity, given, rules)
    _require_own_inputs(entity, given, rules)
    outputs = read_outputs(body.get("outputs"), rules)
    return DecisionRequest(identity, entity, given, at_us, outputs, read_explain(body))


def require_object(
    document: Any, fields: Sequence[str], *, what: str, within: str | None = None
) -> dict[str, Any]:
    """Return a body, or the field `within` it, that must be an object with these fields only.

    Raises:
        RequestError: It isn't an object, or has a field of another name.
    """
    expected = "an object with " + ", ".join(f"'{name}'" for name in fields)
    if not isinstance(document, dict):
        raise RequestError(
            "wrong_type",
            f"{what} must be {expected}, got {shown(document)}.",
            remedy="send a JSON object, {...}.",
            field=within,
            expected=expected,
            got=shown(document),
        )
    for name in document:
        if name not in fields:
            path = path_of(name) if within is None else path_of(within, name)
            raise unknown_field(
                path, name, fields, having=f"{what} has no field", expected=expected
            )
    return document


def read_outputs(value: Any, rules: Rules) -> tuple[str, ...]:
    """Return the outputs that the field `outputs` of a body asks for, each once.

    Raises:
        RequestError: It isn't a list of names, or names what the models have not.
    """
    if value is None:
        return ()
    has = ", ".join(f"'{name}'" for name in rules.outputs) or "none"
    expected = f"a list of {has}" if rules.outputs else "null"
    if not isinstance(value, list):
        raise wrong_type("outputs", expected, value, remedy='send a list, ["class"].')
    for place, name in enumerate(value):
        if not isinstance(name, str) or name not in rules.outputs:
            raise RequestError(
                "out_of_range",
                f"The endpoint '{rules.endpoint}' has no output {shown(name)}."
                f"{did_you_mean(name if isinstance(name, str) else '', rules.outputs)}",
                remedy="ask for outputs that every model of the endpoint has, or leave them out.",
                field=f"outputs[{place}]",
                expected=f"one of {has}",
                got=shown(name),
            )
    return tuple(dict.fromkeys(value))


def read_explain(body: Mapping[str, Any]) -> bool:
    """Return whether a body asks for an explanation.

    Raises:
        RequestError: Its field `explain` is neither true nor false.
    """
    value = body.get("explain")
    if value is None or isinstance(value, bool):
        return bool(value)
    raise wrong_type("explain", "true or false", value, remedy="send true, or leave it out.")


def _object(value: Any, field: str, expected: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong_type(field, expected, value, remedy='send an object, {"name": value, ...}.')
    return value


def read_at(value: Any, rules: Rules) -> int | None:
    """Return the moment that a request says, None for now.

    Raises:
        RequestError: It is no moment, or the endpoint decides by the present time.
    """
    if value is None:
        return None
    if rules.clock != "replayed":
        raise not_allowed(
            "at",
            f"The endpoint '{rules.endpoint}' decides by the present time, so 'at' must not be "
            f"given, got {shown(value)}.",
            value,
            remedy="leave 'at' out; only an endpoint that a replay feeds accepts it.",
        )
    return read_moment(value, "at")


def _read_features(features: dict[str, Any], rules: Rules) -> dict[str, Any]:
    given = {}
    for name, value in features.items():
        kind = rules.inputs.get(name)
        field = path_of("features", name)
        if kind is None:
            raise _no_input(name, field, rules)
        given[name] = read_value(value, kind, field)
    return given


def _no_input(name: str, field: str, rules: Rules) -> RequestError:
    if name in rules.keys:
        return RequestError(
            "unknown_field",
            f"The field '{field}' is a key, not a feature.",
            remedy="move it to 'entity'.",
            field=field,
            expected="the name of an input",
            got=shown(name),
        )
    return unknown_field(
        field,
        name,
        rules.inputs,
        having=f"The endpoint '{rules.endpoint}' has no input",
        expected="the name of an input",
    )


def _read_column(name: str, value: Any, rules: Rules) -> Any:
    field = path_of("entity", name)
    if name in rules.keys:
        return read_value(value, rules.keys[name], field)
    if name in rules.own:
        return read_value(value, rules.inputs[name], field)
    if name in rules.inputs:
        raise not_allowed(
            field,
            f"The field '{field}' is a feature of a view, not a key, got {shown(value)}.",
            value,
            remedy="move it to 'features' to override what the view says, or leave it out.",
        )
    if not 1 <= len(name) <= LONGEST_TEXT:
        raise out_of_range(
            field,
            f"named with 1 to {LONGEST_TEXT} characters",
            f"{len(name):,} characters",
            remedy="shorten the name of the column.",
        )
    return read_value(value, IDENTIFICATION, field)


def _require_few_columns(entity: Mapping[str, Any], rules: Rules) -> None:
    others = [name for name in entity if name not in rules.keys and name not in rules.own]
    if len(others) > MOST_OTHER_COLUMNS:
        expected = f"at most {MOST_OTHER_COLUMNS} columns besides keys and inputs"
        raise RequestError(
            "not_allowed",
            f"The field 'entity' may hold {expected}, got {len(others)}.",
            remedy="send only what identifies the row for people.",
            field="entity",
            expected=expected,
            got=f"{len(others)} columns",
        )


def _require_keys(entity: Mapping[str, Any], given: Mapping[str, Any], rules: Rules) -> None:
    covered = rules.covered(given)
    for view, keys, inputs in rules.views:
        if inputs <= covered:
            continue
        for key in keys:
            if key not in entity:
                raise missing(
                    path_of("entity", key),
                    rules.keys[key].expected,
                    remedy=f"give the key of view '{view}', or null where there is none.",
                    hint=_hint(key, entity, rules),
                )


def _require_own_inputs(entity: Mapping[str, Any], given: Mapping[str, Any], rules: Rules) -> None:
    covered = rules.covered(given)
    for name in rules.own:
        if name not in covered:
            raise missing(
                path_of("features", name),
                rules.inputs[name].expected,
                remedy=_remedy(name, rules),
                hint=_hint(name, entity, rules),
            )


def _remedy(name: str, rules: Rules) -> str:
    remedy = "give null where it isn't known."
    if name not in rules.only_for:
        return remedy
    return f"give what {computed_views(rules.only_for[name])} computed from; {remedy}"


def _hint(name: str, entity: Mapping[str, Any], rules: Rules) -> str:
    """Ask whether a column of `entity` that nothing knows was meant for the missing `name`."""
    others = [column for column in entity if column not in rules.keys and column not in rules.own]
    near = difflib.get_close_matches(name, others, n=1, cutoff=0.6)
    return f" There is {near[0]!r}: did you mean '{name}'?" if near else ""
