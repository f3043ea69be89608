"""This module holds the parts of a rule about its stages: ramp, approval, watch and gate."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from serving._rule_errors import Misfit, unfit
from serving._rule_part import Names, Part, only_a_list

# the smallest share that is dealt: one of `serving.traffic.BUCKETS`
_SMALLEST = 1e-4
FEWEST_WATCHED = 20
"""With fewer blocks a watch compares nothing: the level of its test would not be kept."""

_COLUMNS = "a list of different names of columns"


class Ramp(Part):
    """This is how a challenger's share of the traffic grows, from shadow to everything.

    Args:
        steps: Shares of the traffic, growing; the last one is 1: the promotion.
        hold_hours: How long a step lasts at least.
        min_decisions: How many decisions the challenger must have answered at a step.
        begins: "won": when the challenger has won in shadow; "at_once": when it works there, for
            outcomes that only those it answers can have.
        unit: Columns of the entity that make a unit, which always meets the same model; none deals
            each decision by itself.
        patience_ms: How long an answer is waited for, in milliseconds; then the champion answers.
    """

    steps: Annotated[
        tuple[float, ...], Field(min_length=2, strict=False), BeforeValidator(only_a_list)
    ] = Field(description="a list of at least two growing shares above 0, the last one 1")
    hold_hours: float = Field(default=24.0, ge=0, le=8760, description="hours from 0 to 8760")
    min_decisions: int = Field(default=1000, ge=0, description="a whole number of at least 0")
    begins: Literal["won", "at_once"] = Field(default="won", description="'won' or 'at_once'")
    unit: Names = Field(default=(), description=_COLUMNS)
    patience_ms: float = Field(
        default=50.0, gt=0, le=10_000, description="milliseconds above 0, at most 10000"
    )

    @model_validator(mode="after")
    def _can_be_climbed(self) -> Ramp:
        misfits = list(_misfits(self.steps))
        if misfits:
            raise unfit(misfits)
        return self


def _misfits(steps: tuple[float, ...]) -> Iterator[Misfit]:
    said = f"the steps {', '.join(f'{step:g}' for step in steps)}"
    if max(steps) > 1:
        yield Misfit(
            field="steps",
            problem=f"{said} are no shares, which are at most 1",
            remedy="Write a share as a part of one: 0.05 for 5 %.",
        )
        return
    if min(steps) < _SMALLEST:
        yield Misfit(
            field="steps",
            problem=f"{said} go below {_SMALLEST}, the smallest share that can be dealt",
            remedy=f"Begin with at least {_SMALLEST}; a challenger is in shadow before.",
        )
        return
    # shares are dealt in ten-thousandths: what is nearer than that is the same step twice
    if any(round(b / _SMALLEST) <= round(a / _SMALLEST) for a, b in pairwise(steps)):
        yield Misfit(
            field="steps",
            problem=f"{said} do not grow by at least {_SMALLEST} each",
            remedy="Give each share once, the smallest first.",
        )
        return
    if steps[-1] != 1:
        yield Misfit(
            field="steps",
            problem=f"{said} do not end with 1, so nothing is ever promoted",
            remedy="End them with 1: the promotion.",
        )


class Approval(Part):
    """This asks a person before the challenger answers everything.

    Args:
        by: Who may approve, as HEADRACE_ACTOR names them; none for everybody. Whoever put the
            challenger up, or registered it, may not in any case.
        before: "promotion" asks once; "ramp" asks before the first share too.
    """

    by: Names = Field(default=(), description="a list of different names of people")
    before: Literal["promotion", "ramp"] = Field(
        default="promotion", description="'promotion' or 'ramp'"
    )


class Watch(Part):
    """This keeps the old champion in reverse shadow after a promotion, to go back.

    Args:
        blocks: How many blocks the new champion is watched for. From the 20th on it is compared
            with the old one; until then the guardrails alone watch.
        max_drop: How much worse than the old one it may be, as the rule's effect is counted: a
            share of the figure, below 1, or in the unit of the metric. With 0, being worse at all,
            beyond chance, is enough.
        alpha: How likely a new champion within that is rolled back.
    """

    blocks: int = Field(default=20, ge=1, le=10_000, description="a whole number from 1 to 10000")
    max_drop: float = Field(default=0.0, ge=0, description="a number of at least 0")
    alpha: float = Field(
        default=0.01, ge=1e-9, le=0.2, description="a probability from 1e-9 to 0.2"
    )


class Gate(Part):
    """This lets a challenger answer anybody only if the log says that it would have done well.

    The value of what it would have decided is estimated from logged decisions and their
    propensities. It opens the way to an experiment, never to a promotion.

    Args:
        estimator: "snips" weighs what was seen; "dr" corrects a model of the outcomes by it.
        threshold: Scores from here on are one decision, those below the other.
        min_effective: The fewest effective decisions (Kish) that such weights must leave.
        max_drop: How much less than the logged decisions' value it may be worth, as a share.
        alpha: How likely a challenger that is worth less passes.
    """

    estimator: Literal["snips", "dr"] = Field(default="dr", description="'snips' or 'dr'")
    threshold: float = Field(default=0.5, description="a number")
    min_effective: int = Field(default=1000, ge=100, description="a whole number of at least 100")
    max_drop: float = Field(default=0.0, ge=0, lt=1, description="a share from 0 to below 1")
    alpha: float = Field(
        default=0.05, ge=1e-4, le=0.2, description="a probability from 0.0001 to 0.2"
    )
