"""A small loop: which of three fruits does a text speak of? Simulated raters know."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from flows.labeling import LabelLoop, SimulatedRater
from headrace import Col, Schema, Table, operator
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask

WORDS = {
    "apple": ("cider", "orchard", "pip", "core"),
    "grape": ("wine", "vine", "raisin", "must"),
    "lemon": ("sour", "zest", "curd", "peel"),
}
TASK = LabelTask(
    name="fruit",
    labels=LabelSchema(choices=tuple(WORDS)),
    entity="note",
    show=("text",),
    overlap=2,
    gold_share=0.1,
)


class Note(Schema, Protocol):
    """This is a note about a fruit."""

    note: Annotated[str, Col(role="entity")]
    text: Annotated[str, Col(role="feature")]


class Known(Note, Protocol):
    """This is a note whose fruit is known."""

    fruit: Annotated[str, Col(role="label")]


@operator()
def write_notes(*, count: int = 200, name: str = "n") -> Table[Note]:
    """Write notes, each with two words of its fruit and one of any."""
    draw = random.Random(name)  # noqa: S311
    fruits = [draw.choice(list(WORDS)) for _ in range(count)]
    every = [word for words in WORDS.values() for word in words]
    texts = [" ".join([*draw.sample(WORDS[f], 2), draw.choice(every)]) for f in fruits]
    return Table[Note].of({"note": [f"{name}{i}" for i in range(count)], "text": texts})


@operator()
def know_notes(*, count: int = 20) -> Table[Known]:
    """Write notes whose fruit is known."""
    rows = write_notes(count=count, name="g").frame()
    return Table[Known].of(rows.assign(fruit=[fruit_of({"text": t}) for t in rows["text"]]))


def fruit_of(shown: Mapping[str, Any]) -> str:
    """Return the fruit of which a text has most words."""
    words = shown["text"].split()
    return max(WORDS, key=lambda fruit: sum(word in WORDS[fruit] for word in words))


def rater(right: float = 1.0, seed: int = 0, **more: Any) -> SimulatedRater:
    """Return a rater who is right so often."""
    return SimulatedRater(truth=fruit_of, choices=tuple(WORDS), right=right, seed=seed, **more)


def loop(**changes: Any) -> LabelLoop:
    """Return the loop, with changes."""
    declared: dict[str, Any] = {
        "task": TASK,
        "pool": write_notes,
        "batch": 20,
        "random_share": 0.5,
        "train_from": 8,
    }
    return LabelLoop(**{**declared, **changes})
