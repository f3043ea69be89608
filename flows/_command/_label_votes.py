"""This module is what `headrace label` does with votes: how far raters agree, and exporting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows._command import _screen
from headrace.errors import ParameterError

if TYPE_CHECKING:
    from headrace.labels.items import VoteRecord
    from headrace.labels.queue import LabelQueue

_FORMS = {".parquet": "parquet", ".jsonl": "jsonl", ".csv": "csv"}
_Task = Annotated[str, typer.Argument(help="The task, such as news_topic.")]
_Batch = Annotated[
    str | None,
    typer.Option("--batch", help="One batch by its id or its beginning; all by default."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `headrace label`."""
    app.command("agreement")(agreement)
    app.command("export")(export)


def agreement(task: _Task, *, batch: _Batch = None, as_json: _Json = False) -> None:
    """Show how far raters agree, and how right they are on items whose answer is known.

    Krippendorff's alpha over all, Cohen's kappa of each pair, and the accuracy of each rater on
    gold items with its interval; with and without a suggestion shown.

    Example: headrace label agreement news_topic
    """
    from flows._command import _label_text as told
    from headrace.labels.queue import LabelQueue
    from operators._agreement import agreement_of

    queue = LabelQueue()
    schema = queue.task(task).labels
    document = agreement_of(_votes(queue, task, batch, schema.version), schema).to_json()
    if as_json:
        _screen.write_json({"task": task, "schema_version": schema.version} | document)
    else:
        told.write_agreement(task, document)


def export(
    task: _Task,
    file: Annotated[Path, typer.Argument(help="Where to: .parquet, .jsonl or .csv.")],
    *,
    batch: _Batch = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
) -> None:
    """Write the votes that stand to a file, with who gave each, when, and what they saw.

    Example: headrace label export news_topic votes.parquet
    """
    from headrace.labels.queue import LabelQueue
    from serving.labeling.export import exported

    form: Any = _FORMS.get(file.suffix)
    if form is None:
        raise ParameterError(
            f"The file '{file}' has the ending '{file.suffix}', which is none of "
            f"{', '.join(_FORMS)}.",
            remedy="Name a file with one of these endings.",
        )
    if file.exists() and not force:
        raise ParameterError(
            f"The file '{file}' exists.", remedy="Name another one, or say --force."
        )
    votes = _votes(LabelQueue(), task, batch, None)
    content = exported(votes, form)
    part = file.with_name(f"{file.name}.part")
    part.write_bytes(content)
    part.replace(file)  # whole or not at all
    _screen.write(f"{len(votes):,} votes of '{task}' are in {file}.")


def _votes(
    queue: LabelQueue, task: str, batch: str | None, version: str | None
) -> list[VoteRecord]:
    from flows._labeling.standing import batch_named

    queue.task(task)  # one that there is not is refused, with the nearest name
    found = None if batch is None else batch_named(batch)
    if found is not None and found.task != task:
        raise ParameterError(
            f"Batch '{found.id}' is of the task '{found.task}', not of '{task}'.",
            remedy=f"Name the task '{found.task}', or a batch of '{task}'.",
        )
    of = None if found is None else found.id
    return list(queue.votes(batch=of, task=task, schema_version=version))
