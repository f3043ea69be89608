"""This module says, in a flow, what may be told of an endpoint's decisions: typed data.

An endpoint that declares nothing takes one number a decision, without a name, whenever it comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from headrace.errors import ParameterError, did_you_mean
from serving._declaration_errors import explained

_NAME = r"^([a-z][a-z0-9_]{0,63})?$"


class OutcomeKind(BaseModel):
    """This is one thing that may become known of a decision.

    Args:
        name: What it is called; "" is the one without a name.
        kind: "binary" is 0 or 1, "count" a whole number from 0 on, "number" any number.
        window_hours: The attribution window: an outcome that is known later after its decision is
            kept as late, and is no label. None takes it whenever it comes.
        least: The least value that is possible, in the outcome's unit; None for no limit.
        most: The largest one likewise.
        default: What counts where nothing was told within the window, such as 0 for "no click".
            None says nothing: then the decision has no label.
        description: One line for people.

    Raises:
        ParameterError: Names every unknown and wrong field, or those that contradict each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str = Field(
        default="",
        pattern=_NAME,
        description="small letters, digits and '_', at most 64, a letter first, or '' for none",
    )
    kind: Literal["binary", "number", "count"] = Field(
        default="number", description="'binary', 'number' or 'count'"
    )
    window_hours: float | None = Field(
        default=None, gt=0, le=87_600, description="a number of hours up to 87600, or null"
    )
    least: float | None = Field(default=None, description="a number, or null")
    most: float | None = Field(default=None, description="a number, or null")
    default: float | None = Field(default=None, description="a number, or null")
    description: str = Field(
        default="", max_length=1000, description="a text of at most 1000 characters"
    )

    if not TYPE_CHECKING:  # type checkers keep the signature that the fields make

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise explained(type(self), "outcome", error, fields) from None

    @model_validator(mode="after")
    def _fits_together(self) -> OutcomeKind:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError("'least' is above 'most'")
        if self.default is not None and self.window_hours is None:
            raise ValueError("a 'default' needs 'window_hours', after which it counts")
        if self.default is not None and not self.allows(self.default):
            raise ValueError(f"the 'default' must be {self.expected}")
        return self

    @property
    def expected(self) -> str:
        """What a value must be, for messages."""
        said = {"binary": "0 or 1", "count": "a whole number from 0", "number": "a number"}
        least = "" if self.least is None else f" from {self.least:g}"
        most = "" if self.most is None else f" up to {self.most:g}"
        return f"{said[self.kind]}{least}{most}"

    @property
    def window_us(self) -> int | None:
        """The attribution window in microseconds; None where there is none."""
        return None if self.window_hours is None else round(self.window_hours * 3_600_000_000)

    def allows(self, value: float | None) -> bool:
        """Return whether a value may be told; null always may: it will never be known."""
        if value is None:
            return True
        if not math.isfinite(value):
            return False
        if self.kind == "binary" and value not in (0.0, 1.0):
            return False
        if self.kind == "count" and (value < 0 or value != int(value)):
            return False
        within = self.least is None or value >= self.least
        return within and (self.most is None or value <= self.most)

    def is_late(self, decided_us: int, known_us: int) -> bool:
        """Return whether an outcome became known after the window of its decision.

        Args:
            decided_us: When it was decided, in microseconds since 1970.
            known_us: When the outcome was known; the last moment of the window is within it.
        """
        window = self.window_us
        return window is not None and known_us > decided_us + window

    def document(self) -> dict[str, Any]:
        """Return all fields as JSON-like data; `OutcomeKind(**document)` is the same."""
        return self.model_dump(mode="json")


UNNAMED = OutcomeKind()
"""What an endpoint takes that declares nothing."""


def kinds_of(documents: Iterable[Mapping[str, Any]]) -> dict[str, OutcomeKind]:
    """Return what may be told at an endpoint, by its name.

    Args:
        documents: As `document` made them, of the endpoint's spec; none for the one without a name.

    Raises:
        ParameterError: A document is no declaration, or two have one name.
    """
    kinds = [OutcomeKind(**document) for document in documents]
    require_distinct(kinds)
    return {kind.name: kind for kind in kinds} or {"": UNNAMED}


def require_distinct(kinds: Sequence[OutcomeKind]) -> None:
    """Refuse two outcomes of one name.

    Raises:
        ParameterError: There are two.
    """
    names = [kind.name for kind in kinds]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ParameterError(
            f"Two outcomes are called '{twice[0]}'."
            if twice[0]
            else "Two outcomes are without a name.",
            remedy="Give each outcome a name of its own; one may be without.",
        )


def require_declared(name: str, kinds: Sequence[OutcomeKind] | None, *, whose: str) -> None:
    """Refuse a rule or a bandit that goes by an outcome which nobody may tell.

    Args:
        name: Name of the outcome that is gone by.
        kinds: What an endpoint declares; None or none for the one without a name.
        whose: Who goes by it, to begin the sentence with: "The rule 'delay'".

    Raises:
        ParameterError: It is not declared.
    """
    names = [kind.name for kind in kinds or (UNNAMED,)]
    if name in names:
        return
    called = f"the outcome '{name}'" if name else "the outcome without a name"
    named = [each for each in names if each]
    raise ParameterError(
        f"{whose} goes by {called}, which the endpoint does not take."
        f"{did_you_mean(name, named) if named else ' It takes the one without a name.'}",
        remedy="Name one of them, or declare it: outcomes=[OutcomeKind(name=...)].",
    )
