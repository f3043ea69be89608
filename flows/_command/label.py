"""This module is `headrace label`: what people are asked to label, how far it is, and who may."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _label_raters, _label_votes, _screen

if TYPE_CHECKING:
    from headrace.labels.items import Batch, BatchStatus

_HELP = """See what people are asked to label, how far they are, and how good the labels are.

Example: headrace label show news_topic
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)
_label_votes.register(app)
app.add_typer(_label_raters.app, name="raters")

Task = Annotated[str, typer.Argument(help="The task, such as news_topic.")]
BatchId = Annotated[
    str, typer.Argument(help="A batch's id, or its beginning; see `headrace label batches`.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command("tasks")
def tasks(*, as_json: AsJson = False) -> None:
    """List the tasks: how many items wait, how many votes there are, and where to label.

    Example: headrace label tasks
    """
    from flows._command import _label_text as told
    from headrace.labels.queue import LabelQueue

    queue = LabelQueue()
    found = [told.summary_of(queue, task) for task in queue.tasks()]
    if as_json:
        _screen.write_json(found)
    elif not found:
        _screen.write(
            "There is no labeling task yet; a flow that asks for labels makes one, such as "
            "`headrace run label_round -p loop=NAME`."
        )
    else:
        heads = ["task", "kind", "batches", "open", "items left", "votes", "where"]
        names = ["task", "kind", "batches", "open_batches", "items_left", "votes", "url"]
        _screen.write_table(heads, [[each[name] for name in names] for each in found])


@app.command("show")
def show(task: Task, *, as_json: AsJson = False) -> None:
    """Show a task: what may be answered, its guideline, its batches, and each rater's votes.

    Example: headrace label show news_topic
    """
    from flows._command import _label_text as told
    from headrace.labels.queue import LabelQueue

    document = told.task_document(LabelQueue(), task)
    if as_json:
        _screen.write_json(document)
    else:
        told.write_task(document)


@app.command("batches")
def batches(
    task: Annotated[str | None, typer.Argument(help="A task; all of them by default.")] = None,
    *,
    status: Annotated[
        str | None, typer.Option("--status", help="Only those that are open, complete or closed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the batches of items that people were asked for, newest first.

    Example: headrace label batches news_topic --status open
    """
    from flows._command import _label_text as told
    from headrace.labels.queue import LabelQueue

    queue = LabelQueue()
    if task is not None:
        queue.task(task)  # one that there is not is refused, with the nearest name
    listed = queue.batches(task, status=_status(status))
    found = [told.batch_document(queue, batch) for batch in listed]
    if as_json:
        _screen.write_json(found)
    elif not found:
        _screen.write("There is no such batch.")
    else:
        told.write_batch_rows(found)


@app.command("close")
def close(
    batch: BatchId,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the batch.")],
    as_json: AsJson = False,
) -> None:
    """End a batch before it is complete: what was voted counts, and nobody is asked further.

    Example: headrace label close 3f2a9c01 --reason "the deadline is near"
    """
    from flows._labeling.standing import batch_named
    from headrace.labels.queue import LabelQueue

    closed = LabelQueue().close(batch_named(batch).id, why=reason)
    _write_batch(closed, "is closed", as_json=as_json)


@app.command("sync")
def sync(
    batch: BatchId,
    *,
    everything: Annotated[
        bool, typer.Option("--everything", help="Read all of it again, not what is new alone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch what people answered in Label Studio, and say what was not counted.

    Example: headrace label sync 3f2a9c01
    """
    from headrace.labels.hooks import hook_of
    from operators.label_studio import LabelStudio

    synced = LabelStudio().sync(batch, everything=everything)
    if as_json:
        _screen.write_json(synced.document())
        return
    _write_batch(synced.batch, "is up to date", as_json=False)
    _screen.write(
        f"New: {synced.recorded:,}; changed: {synced.superseded:,}; taken back: "
        f"{synced.withdrawn:,}."
    )
    not_counted = {
        "beyond the votes that an item wants": len(synced.over),
        "given after the batch was closed": synced.late,
        **Counter(each.why for each in synced.unused),
    }
    for why, count in not_counted.items():
        if count:
            _screen.write(f"Not counted, {why}: {count:,}.")
    if synced.missing:
        _screen.write(f"Deleted there, with votes that are kept: {synced.missing:,} items.")
    if (hook := hook_of(synced.batch)) is not None and hook.refused:
        _screen.write(f"Answers are fetched without being told of: {hook.refused}")


def _write_batch(batch: Batch, what: str, *, as_json: bool) -> None:
    from flows._command import _label_text as told
    from headrace.labels.queue import LabelQueue

    if as_json:
        _screen.write_json(told.batch_document(LabelQueue(), batch))
        return
    _screen.write(
        f"Batch {batch.id} of '{batch.task}' {what}: {batch.votes:,} of {batch.wanted:,} votes, "
        f"{batch.done:,} of {batch.items:,} items done."
    )


def _status(given: str | None) -> BatchStatus | None:
    from typing import get_args

    from headrace.errors import UnknownNameError
    from headrace.labels.items import BatchStatus

    known: tuple[Any, ...] = get_args(BatchStatus)
    if given is None:
        return None
    for status in known:
        if given == status:
            found: BatchStatus = status
            return found
    raise UnknownNameError.of(
        "status of a batch", given, known, remedy="Use open, complete or closed."
    )
