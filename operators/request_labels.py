"""This operator asks people for labels: it puts a batch of items into the queue, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from headrace import Labels, Report, Table, operator
from headrace.calls import Finding, PlannedCall
from headrace.errors import HeadraceError
from headrace.labels.schema import KINDS_OF_PAGE
from headrace.labels.task import LabelTask

Backend = Literal["local", "labelstudio"]


def _check(call: PlannedCall) -> Sequence[Finding]:
    task, backend = call.parameters["task"], call.parameters["backend"]
    found = []
    if task.labels.kind not in KINDS_OF_PAGE and backend == "local":
        found.append(
            Finding(
                problem=f"Our own page cannot ask for answers of the kind '{task.labels.kind}', as "
                f"task '{task.name}' does.",
                remedy='Ask in Label Studio: `backend="labelstudio"`.',
                rule="labeling",
            )
        )
    for name in ("selected", "gold"):
        schema = call.schema(name)
        if schema is None:
            continue
        for column in dict.fromkeys([task.entity, *task.show]):
            try:
                schema.column(column)
            except HeadraceError as error:
                what = "names items by" if column == task.entity else "shows raters"
                found.append(
                    Finding(
                        problem=f"Task '{task.name}' {what} '{column}': {error.problem}",
                        remedy="Name a column of the table, or add it before.",
                        rule="unknown column",
                        input=name,
                    )
                )
    return found


@operator(effect=True, check=_check, named_by="task", cpu=0.5)
def request_labels(
    selected: Table[Any],
    gold: Table[Any] | Labels[Any] | None = None,
    *,
    task: LabelTask,
    deadline_hours: Annotated[float, Field(gt=0)] | None = None,
    backend: Backend = "local",
    once: str = "",
) -> Report:
    """Ask people to label the rows; the same rows are asked for once, however often it runs.

    Raters see the columns that the task shows, and nothing else leaves the table. The batch is
    known by what is asked: by the task, its schema, the items with what is shown and suggested,
    and the gold among them. What is asked again is the same batch, as it stands.

    Args:
        selected: The rows to label: `select_for_labeling` made them, or any with the task's
            columns; without a column `slice` all are "chosen". What they hold is as of their
            decision time, or known time; of a table without either, as of the first request.
        gold: Rows with the task's columns whose answer is known, in the column of the role
            "label" or called "label". As many as make the task's `gold_share` are mixed in, not to
            be told from the others, if they carry suggestions where the rows do; which ones depends
            on the batch. None for no gold.
        task: What raters are asked. It is declared with the request.
        deadline_hours: When the batch is closed whatever is missing, in hours from the first
            request; None for never.
        backend: "local" for our own page, "labelstudio" for Label Studio.
        once: Another name for what is asked, such as "round 3": then it alone makes the request
            one, and other items under the same name are not asked for. Empty takes the content.

    Returns:
        A report that stays the same for the batch: `batch` (its id), `task`, `number`, `url` where
        people answer, `items`, `gold`, `slices` (how many of each), `suggested`, `wanted` votes,
        `schema_version`, `overlap`, `digest` of the items, `backend`, `deadline`; `passed`.

    Raises:
        DataError: There are no rows, an item is there twice or has no entity, gold has a wrong
            label, or a batch with another schema of the task is open. Nothing is asked for.
        ServiceError: Label Studio does not answer.
    """
    from headrace.clock import current_clock
    from headrace.labels.hooks import hook_of
    from headrace.labels.queue import LabelQueue
    from headrace.recording import current_invocation, say
    from operators._label_gold import gold_stands_out
    from operators._label_requests import deadline_after, items_to_ask, request_key, request_report

    now, invocation = current_clock().now(), current_invocation()
    items, timed = items_to_ask(selected, gold, task, now=now)
    studio = _studio(backend, task)
    queue = LabelQueue()
    batch = queue.request(
        task,
        items,
        key=request_key(task, items, timed=timed, backend=backend, once=once),
        deadline=deadline_after(now, deadline_hours),
        run_id=None if invocation is None else invocation.run_id,
        backend=backend,
    )
    if studio is not None:
        batch = studio.push(batch.id)
    report = request_report(queue, batch)
    say(f"{batch.items:,} items are to be labelled at {report.document['url']}")
    if (hook := hook_of(batch)) is not None and hook.refused:
        say(f"answers are fetched without being told of: {hook.refused}")
    if task.suggest and gold_stands_out(items):
        say("raters may tell gold items from others: only those others have suggestions")
    return report


def _studio(backend: Backend, task: LabelTask) -> Any:
    """Return Label Studio, which is there and can ask for this; None for our own page."""
    if backend == "local":
        return None
    from operators.label_studio import LabelStudio

    studio = LabelStudio()
    studio.check_task(task)
    studio.check()  # before anything is asked for
    return studio
