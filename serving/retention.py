"""This module says, in a flow, how long an endpoint's decisions are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving._declaration_errors import explained


class Retention(BaseModel):
    """This is how long decisions, and what belongs to them, are kept at least.

    What is older goes in whole files, now and then. Never sooner than every outcome has had twice
    its time, and never while an experiment that they are evidence for runs.

    Args:
        keep_days: Days that a decision is kept.
        at_least_decisions: How many of the newest decisions are kept, however old they are.

    Raises:
        ParameterError: Names every unknown, missing and wrong field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    keep_days: float = Field(ge=1, le=36_500, description="a number of days from 1 to 36500")
    at_least_decisions: int = Field(default=0, ge=0, description="a whole number from 0")

    if not TYPE_CHECKING:  # type checkers keep the signature that the fields make

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise explained(type(self), "retention", error, fields) from None
