"""This flow answers: which challengers have earned more, or less, than they have?

It judges every endpoint that has a rule: promotion, the next step of a ramp, and the watch after a
promotion; each hour, and when outcomes have arrived that a comparison waits for. What must not wait
so long, such as a challenger that fails, is seen to by the serving host within seconds. Each
endpoint is a node of its own; one that cannot be judged stops no other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from flows._rolling_out import endpoints_to_judge
from headrace import flow, map_over
from headrace.schedules import Every, When
from serving.judge_endpoint import judge_endpoint

_Endpoint = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
_OF_EVENT = {"endpoints": "{{ event.payload.endpoints }}"}


@flow(
    schedules=[Every(hours=1)],
    triggers=[
        When("headrace.model.approved"),
        When("headrace.model.released"),
        When("headrace.outcomes.matured", parameters=_OF_EVENT),
    ],
    at_once=1,
)
def rollout(*, endpoints: list[_Endpoint] | None = None, as_of: datetime | None = None) -> None:
    """Judge all challengers, and promote, ramp, confirm, withdraw or go back by the rules.

    Args:
        endpoints: Names of endpoints; none for all that have a rule and something to judge.
        as_of: The moment, aware, whose knowledge is used; none for now, and for the last moment of
            the log where requests say when they are decided.
    """
    map_over(judge_endpoint, endpoints_to_judge(endpoints), as_of=as_of)
