"""This flow asks: what should people label next?

It trains on the labels there are, chooses what is worth most, asks for it, and ends: no process
waits for people. When the batch is done `label_collect` goes on.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows._labeling.granted import granted_by_loop, grants_of_loop, require_round
from headrace import flow
from headrace.schedules import When

_Loop = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


@granted_by_loop(grants_of_loop, require_round)
@flow(
    triggers=[
        When(
            "headrace.labels.wanted",
            parameters={"loop": "{{ event.payload.loop }}", "number": "{{ event.payload.round }}"},
        )
    ],
    at_once=1,
)
def label_round(*, loop: _Loop, number: Annotated[int, Field(ge=1)] | None = None) -> None:
    """Ask people to label what is worth most, with the model that there is.

    A round is asked for once: while a batch of the loop is being answered, and where the round was
    asked for before, nothing new is asked.

    Args:
        loop: Name of the labeling loop, which is the name of its task.
        number: Which round to ask for, from 1; none for the next.
    """
    from flows._labeling.asking import plan_round

    plan_round(loop, number)
