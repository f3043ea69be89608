"""This flow answers: what did people's answers bring, and should they be asked again?

It starts when a batch has all its votes or is closed. Votes become labels, a model is trained on
them and compared with those of earlier rounds on the random slice, and the loop stops, or the next
round is announced, which starts `label_round`. Every hour it looks whether an event was lost.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows._labeling.granted import granted_by_loop, grants_of_batch, require_collectable
from headrace import flow
from headrace.schedules import Every, When

_Loop = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
_OF_EVENT = {"batch": "{{ event.payload.batch }}"}


@granted_by_loop(grants_of_batch, require_collectable)
@flow(
    schedules=[Every(hours=1)],
    triggers=[
        When("headrace.labels.completed", parameters=_OF_EVENT),
        When("headrace.labels.closed", parameters=_OF_EVENT),
        When("headrace.labels.due", parameters=_OF_EVENT),
    ],
    at_once=1,
)
def label_collect(*, loop: _Loop | None = None, batch: str | None = None) -> None:
    """Collect what people answered, learn from it, and ask for more or stop.

    The same batch gives the same result however often this runs.

    Args:
        loop: Name of the labeling loop; none for that of the batch's task.
        batch: Id of the batch that has ended, or a beginning of it; none for the last one of the
            loop. With neither, this looks for loops whose last batch was never collected, or whose
            next round was never asked for, and announces them again.
    """
    from flows._labeling.gathering import plan_collect

    plan_collect(loop, batch)
