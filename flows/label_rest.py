"""This flow answers: who labels what is left, now that there is a model?

A label of a rule or of the model is taken where it is *proven* to be right often enough, on the
random slice that people answered. People are asked about what they mend most per second, as far as
their minutes go; the rest waits without a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from flows._labeling.granted import granted_by_loop, grants_of_loop
from headrace import Labels, flow
from headrace.labels.columns import VotedLabel

_Loop = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


def _require(parameters: Mapping[str, Any]) -> None:
    from flows._labeling.resting import standing_to_rest

    standing_to_rest(parameters["loop"])


@granted_by_loop(grants_of_loop, _require)
@flow(at_once=1)
def label_rest(
    *,
    loop: _Loop,
    required_accuracy: Annotated[float, Field(gt=0, le=1)] = 0.95,
    people_minutes: Annotated[float, Field(ge=0)] = 0.0,
) -> Labels[VotedLabel]:
    """Label the rest of a loop's pool by rules, by its model, and by people under a budget.

    Args:
        loop: Name of the labeling loop, which is the name of its task.
        required_accuracy: A machine's label is taken where its accuracy is at least this, proven.
        people_minutes: Minutes of people that may be spent on what machines cannot be trusted with;
            0 asks nobody.

    Returns:
        Labels of people and machines, one row an item; each says whose it is and how sure.
    """
    from flows._labeling.resting import plan_rest

    return plan_rest(loop, required_accuracy=required_accuracy, people_minutes=people_minutes)
