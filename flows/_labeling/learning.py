"""This module composes what turns the votes of a loop into a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.artifacts import Labels, Model, Table, TrainSet, ValidationSet, Votes
from headrace.control import flow_tracer, refusal
from headrace.errors import DefinitionError
from headrace.labels.columns import Vote, VotedLabel
from operators.aggregate_votes import aggregate_votes
from operators.examples_from_labels import examples_from_labels
from operators.split_by_slice import split_by_slice
from operators.train_labeler import train_labeler

if TYPE_CHECKING:
    from flows._labeling.loop import LabelLoop, Rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """This is what was learned of votes.

    Attributes:
        labels: What the votes came to.
        train: Labelled rows to learn from.
        validation: Those of the random slice, to judge by.
        model: The model.
    """

    labels: Labels[VotedLabel]
    train: TrainSet[Any]
    validation: ValidationSet[Any]
    model: Model


def learn(loop: LabelLoop, pool: Table[Any], votes: Votes[Vote]) -> Learned:
    """Compose what makes a model of votes."""
    labels, _ = aggregate_votes(votes, schema=loop.task.labels, method=loop.method)
    examples, _ = examples_from_labels(pool, labels, schema=loop.task.labels)
    train, validation, _ = split_by_slice(examples)
    return Learned(
        labels=labels,
        train=train,
        validation=validation,
        model=_trained(loop, pool, train, validation),
    )


def rows_of(loop: LabelLoop, function: Rows, what: str) -> Table[Any]:
    """Compose the loop's own rows, in a folder of the plan.

    Raises:
        DefinitionError: The function returns no table, or one of other items than the task's.
    """
    with folder(what):
        rows = function()
    if not isinstance(rows, Table):
        raise refusal(
            DefinitionError(
                f"`{what}` of loop '{loop.name}' returns {type(rows).__name__}, not a Table.",
                remedy="Return what the last operator in it makes, a Table.",
            )
        )
    named = [] if rows.schema is None else [c.name for c in rows.schema.with_role("entity")]
    if rows.schema is not None and what == "pool" and named != [loop.task.entity]:
        has = ", ".join(f"'{name}'" for name in named) or "none"
        raise refusal(
            DefinitionError(
                f"The items of loop '{loop.name}' are told apart by '{loop.task.entity}', but the "
                f'columns of the role "entity" in its pool are: {has}.',
                remedy=f"Give '{loop.task.entity}' alone the role: "
                '`Annotated[str, Col(role="entity")]`.',
            )
        )
    return rows


def text_of(loop: LabelLoop, pool: Table[Any]) -> tuple[str, ...]:
    """Return the columns that are read as text: those that were named, or that raters see so."""
    if loop.text is not None or pool.schema is None:
        return loop.text or ()
    return tuple(
        column.name
        for column in pool.schema.with_role("feature")
        if column.dtype == "string" and column.name in loop.task.show
    )


@contextmanager
def folder(name: str) -> Iterator[None]:
    """Put what the block composes into a folder of the plan."""
    with flow_tracer("folder").group(name):
        yield


def _trained(
    loop: LabelLoop, pool: Table[Any], train: TrainSet[Any], validation: ValidationSet[Any]
) -> Model:
    if loop.train is None:
        labels = loop.task.labels
        return train_labeler(
            train,
            validation,
            text=text_of(loop, pool),
            schema=None if labels.kind == "single" else labels,
            seed=loop.seed,
        )
    model = loop.train(train, validation)
    if isinstance(model, Model):
        return model
    raise refusal(
        DefinitionError(
            f"`train` of loop '{loop.name}' returns {type(model).__name__}, not a Model.",
            remedy="Return what the operator that trains makes, a Model.",
        )
    )
