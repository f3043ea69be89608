"""What another loop reads is no change of what this one reads."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from flows._labeling.catalog import at_hand
from flows._schema_changes import changes_before
from flows.label_round import label_round
from headrace import Col, Schema, Table, operator
from headrace.execution import Session
from headrace.labels.queue import LabelQueue
from headrace.plan import Plan
from tests.flows.labeling.fruit import TASK, loop, write_notes


class Graded(Schema, Protocol):
    """This is a note of which there is a grade."""

    note: Annotated[str, Col(role="entity")]
    text: Annotated[str, Col(role="feature")]
    grade: Annotated[int, Col(role="feature")]


@operator()
def write_graded() -> Table[Graded]:
    """Write notes with grades."""
    rows = write_notes(count=60).frame()
    return Table[Graded].of(rows.assign(grade=1))


def changed(plan: Plan) -> Any:
    return changes_before(plan, Session.of_settings())


def test_the_rows_of_another_loop_are_no_change_and_those_of_the_same_loop_are(
    queue: LabelQueue,
) -> None:
    graded = loop(task=TASK.model_copy(update={"name": "graded"}), pool=write_graded)
    with at_hand(loop()), at_hand(graded):
        label_round.run(loop="fruit").require_completed()
        of_another = changed(label_round.plan(loop="graded"))
    with at_hand(loop(pool=write_graded)):
        batch = queue.batches(task="fruit")[0]
        queue.close(batch.id, why="another pool")
        of_the_same = changed(label_round.plan(loop="fruit", number=2))

    assert of_another is None
    assert "column 'grade'" in of_the_same.changes[0].said()
