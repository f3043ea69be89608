"""This module holds how an endpoint reads its inputs, as it is kept in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

from headrace.errors import ParameterError

Clock = Literal["live", "replayed"]
_LISTS = ("may_lack", "lookups", "on_demand", "outcomes")


@dataclass(frozen=True, kw_only=True)
class EndpointSpec:
    """This says how an endpoint reads its inputs and by which rule its models are compared.

    Args:
        model: Registered name of the models that may answer, such as "flight_delay".
        task: What the models do, such as "classification".
        clock: "replayed" where a request may say at which moment it is decided.
        space: The online space that features are read from.
        may_lack: Views whose entities may be unknown; their features are null then.
        lookups: How features are looked up, one JSON-like document a view.
        rule: The rule of promotion as JSON-like data; None when people decide.
        on_demand: What is computed of a request, one JSON-like document an on-demand view.
        outcomes: What may be told of a decision, one JSON-like document an outcome.
        placement: How many processes answer and where models are scored, as JSON-like data.
        retention: How long decisions are kept, as JSON-like data; None keeps them.

    Raises:
        ParameterError: `clock` is neither, or a document is not JSON-like.
    """

    model: str
    task: str
    clock: Clock
    space: str
    may_lack: tuple[str, ...] = ()
    lookups: tuple[Mapping[str, Any], ...] = ()
    rule: Mapping[str, Any] | None = None
    on_demand: tuple[Mapping[str, Any], ...] = ()
    outcomes: tuple[Mapping[str, Any], ...] = ()
    placement: Mapping[str, Any] | None = None
    retention: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.clock not in get_args(Clock):
            raise ParameterError(
                f"An endpoint's clock cannot be {self.clock!r}.",
                remedy="Give 'live', or 'replayed' where requests say when they are decided.",
            )
        # As they are read back: a spec equals itself after a round trip, and so means no change.
        object.__setattr__(self, "may_lack", tuple(self.may_lack))
        object.__setattr__(self, "lookups", tuple(plain("lookups", list(self.lookups))))
        object.__setattr__(self, "on_demand", tuple(plain("on_demand", list(self.on_demand))))
        object.__setattr__(self, "outcomes", tuple(plain("outcomes", list(self.outcomes))))
        for name in ("rule", "placement", "retention"):
            object.__setattr__(self, name, plain(name, getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """Return the spec as JSON-like data."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        lists = {name: list(values[name]) for name in _LISTS}
        return values | lists

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the spec that `to_json` wrote."""
        return cls(**document)


def plain(name: str, value: Any) -> Any:
    """Return a value as JSON would give it back.

    Raises:
        ParameterError: It is not JSON-like.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=_mapping))
    except (TypeError, ValueError) as problem:
        raise ParameterError(
            f"The '{name}' of an endpoint cannot be kept as JSON: {problem}.",
            remedy="Give text, finite numbers, booleans, None, and lists and dicts of these.",
        ) from None


def _mapping(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON-like")
