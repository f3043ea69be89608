"""This module says, in a flow, how traffic is dealt to the challengers of an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from serving._declaration_errors import explained
from serving.route import Route
from serving.routing import split_now
from serving.traffic import Bandit, Design, redealt

_SHARE = "a share above 0 and at most 1, such as 0.05"


class Split(BaseModel):
    """This says which share of the traffic challengers answer from the beginning.

    It holds for challengers that a deployment brings in. What was dealt since, by a rule or by
    people, is not taken back when the flow runs again.

    Args:
        design: "ab" compares, "canary" looks whether it breaks, "ramp" begins with the first of
            `steps`, "thompson" follows the outcomes.
        share: Of each challenger; a ramp has the first of its steps, "thompson" equal shares.
        unit: Columns of the entity that make a unit, which always meets the same model; none deals
            each decision by itself.
        patience_ms: How long a challenger's answer is waited for, in milliseconds; after that the
            champion answers the same request.
        steps: The shares of a ramp, growing.
        outcome: Of "thompson": name of the outcome that is the reward.
        direction: Of "thompson": whether more of it is better ("up"), or less ("down").
        floor: Of "thompson": the least share of each model.
        every_seconds: Of "thompson": how often shares are worked out.
        window_hours: Of "thompson": how old a decision has to be until its outcome counts.

    Raises:
        ParameterError: Names every unknown, missing and wrong field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    design: Design = Field(description="'ab', 'canary', 'ramp' or 'thompson'")
    share: float | None = Field(default=None, gt=0, le=1, description=_SHARE)
    unit: tuple[str, ...] = Field(default=(), description="names of columns", strict=False)
    patience_ms: float = Field(
        default=50.0, gt=0, le=10_000, description="milliseconds above 0, at most 10000"
    )
    steps: tuple[float, ...] = Field(default=(), description="growing shares", strict=False)
    outcome: str = Field(default="", description="the name of an outcome")
    direction: str = Field(default="up", pattern="^(up|down)$", description="'up' or 'down'")
    floor: float = Field(default=0.05, gt=0, le=0.5, description="a share above 0, at most 0.5")
    every_seconds: float = Field(default=60.0, gt=0, description="seconds above 0")
    window_hours: float = Field(default=0.0, ge=0, description="hours, from 0")

    if not TYPE_CHECKING:  # type checkers keep the signature that the fields make

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise explained(type(self), "split of traffic", error, fields) from None

    @model_validator(mode="after")
    def _fits_together(self) -> Split:
        if (self.design == "ramp") != bool(self.steps):
            raise PydanticCustomError("steps", "a ramp has `steps`, and nothing else has")
        if (self.design in ("ab", "canary")) != (self.share is not None):
            raise PydanticCustomError("share", "'ab' and 'canary' have a `share`, others have not")
        return self

    def onto(self, route: Route, challengers: Sequence[str]) -> Route:
        """Return the route of the same generation with traffic dealt to challengers.

        Where traffic is dealt already, it goes on as it is, and the challengers join in: the
        experiments of those that answer must not change by a declaration.

        Raises:
            RoutingError: One does not challenge here.
            ParameterError: The shares are more than everything.
        """
        bandit = None
        share = self.steps[0] if self.steps else self.share
        if route.traffic is not None:
            joining = dict.fromkeys(challengers, float(share or self.floor))
            dealt = redealt(route.traffic, route.traffic.shares() | joining)
            return replace(route, traffic=dealt)
        if self.design == "thompson":
            share = 1 / (1 + len(challengers))
            bandit = Bandit(
                outcome=self.outcome,
                direction="down" if self.direction == "down" else "up",
                floor=self.floor,
                every_seconds=self.every_seconds,
                window_hours=self.window_hours,
            )
        return split_now(
            route,
            dict.fromkeys(challengers, float(share or 0)),
            design=self.design,
            unit=self.unit,
            patience_ms=self.patience_ms,
            steps=self.steps,
            bandit=bandit,
        )
