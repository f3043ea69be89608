"""This module makes votes whose truth is known: simulated crowds, and public sets from a folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.errors import DataError

if TYPE_CHECKING:
    from headrace import Votes
    from headrace.labels.columns import Vote
    from headrace.labels.schema import LabelSchema

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Matrix = npt.NDArray[np.float64]

DIFFERING = ("accuracy", "spammers", "liars", "by class", "confusing", "one answer")
"""Structures in which raters differ from each other."""
STRUCTURES = ("alike", "experts", "near chance", *DIFFERING)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """This is how large a crowd is.

    Args:
        items: How many items.
        raters: How many raters; some answer far more than others.
        overlap: Votes an item.
        shares: The share of each class.
    """

    items: int
    raters: int
    overlap: int
    shares: tuple[float, ...]

    @property
    def name(self) -> str:
        """A short name for reports."""
        even = len(set(self.shares)) == 1
        kind = f"{len(self.shares)} classes" if even else f"shares {self.shares}"
        return f"{self.items} items, {self.raters} raters, overlap {self.overlap}, {kind}"


SHAPES = (
    Shape(items=1_000, raters=20, overlap=3, shares=(0.5, 0.5)),
    Shape(items=1_000, raters=20, overlap=3, shares=(1 / 3,) * 3),
    Shape(items=1_000, raters=40, overlap=5, shares=(0.25,) * 4),
    Shape(items=2_000, raters=40, overlap=2, shares=(0.5, 0.5)),
    Shape(items=2_000, raters=50, overlap=3, shares=(0.85, 0.15)),
    Shape(items=1_000, raters=50, overlap=3, shares=(0.95, 0.05)),
    Shape(items=800, raters=15, overlap=3, shares=(0.6, 0.25, 0.1, 0.05)),
    Shape(items=600, raters=100, overlap=3, shares=(0.25,) * 4),
    Shape(items=150, raters=12, overlap=3, shares=(0.5, 0.5)),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Voted:
    """These are votes with the truth.

    Args:
        entities: The item of each vote.
        raters: Who gave it.
        answers: What they said.
        truth: What each item is.
    """

    entities: Sequence[str]
    raters: Sequence[str]
    answers: Sequence[str]
    truth: Mapping[str, str]

    def table(self) -> tuple[Votes[Vote], LabelSchema]:
        """Return the votes as an artifact, and the schema they answer."""
        import pyarrow as pa

        from headrace import Votes
        from headrace.labels.columns import Vote
        from headrace.labels.schema import LabelSchema

        schema = LabelSchema(choices=tuple(sorted({*self.answers, *self.truth.values()})))
        count = len(self.entities)
        text, number = pa.nulls(count, pa.string()), pa.nulls(count, pa.float64())
        columns: dict[str, Any] = {
            "entity": list(self.entities),
            "rater": list(self.raters),
            "source": ["person"] * count,
            "label": list(self.answers),
            "skipped": text,
            "confidence": number,
            "slice": ["chosen"] * count,
            "gold": text,
            "as_of": [_EPOCH] * count,
            "voted_at": [_EPOCH] * count,
            "seconds": number,
            "suggested": text,
            "suggested_by": text,
            "suggestion_shown": [False] * count,
            "schema_version": [schema.version] * count,
            "batch": ["crowd"] * count,
        }
        return Votes[Vote].of(pa.table(columns)), schema


def simulated(structure: str, shape: Shape, *, seed: Sequence[int]) -> Voted:
    """Return votes of a crowd with the structure."""
    random = np.random.default_rng(seed)
    classes = len(shape.shares)
    truth = random.choice(classes, size=shape.items, p=shape.shares)
    confusion = np.stack([_confusion(structure, classes, random) for _ in range(shape.raters)])
    # half of the work is shared evenly, half by appetite
    share = 0.5 / shape.raters + 0.5 * random.dirichlet(np.ones(shape.raters))
    waits = random.exponential(size=(shape.items, shape.raters)) / share
    who = np.argsort(waits, axis=1)[:, : shape.overlap]
    item, rater = np.repeat(np.arange(shape.items), shape.overlap), who.ravel()
    bounds = confusion[rater, truth[item]].cumsum(axis=1)
    answer = (random.random(len(item))[:, None] > bounds).sum(axis=1).clip(max=classes - 1)
    names = [f"class {at}" for at in range(classes)]
    return Voted(
        entities=[f"item {at:05}" for at in item.tolist()],
        raters=[f"rater {at:03}" for at in rater.tolist()],
        answers=[names[at] for at in answer.tolist()],
        truth={f"item {at:05}": names[which] for at, which in enumerate(truth.tolist())},
    )


def _confusion(structure: str, classes: int, random: np.random.Generator) -> Matrix:
    """Return how a rater of a crowd answers: a row for each true class."""
    odd = random.random()
    if structure == "by class":
        return np.stack([_even(random.uniform(0.4, 1.0), classes)[at] for at in range(classes)])
    if structure == "confusing":  # each class for the next one, some more than others
        wrong = random.uniform(0.05, 0.5)
        return np.eye(classes) * (1 - wrong) + np.roll(np.eye(classes), 1, axis=1) * wrong
    if structure == "one answer" and odd < 0.3:
        constant = np.zeros((classes, classes))
        constant[:, random.integers(classes)] = 1
        return constant
    right = {
        "alike": 0.75,
        "experts": 0.97,
        "near chance": 1 / classes + 0.08,
        "accuracy": random.beta(3, 2),
        "spammers": 0.8 if odd < 0.6 else 1 / classes,
        "liars": 0.8 if odd < 0.8 else 0.1,
        "one answer": 0.8,
    }[structure]
    return _even(right, classes)


def _even(right: float, classes: int) -> Matrix:
    wrong = (1 - right) / (classes - 1)
    made: Matrix = np.full((classes, classes), wrong)
    np.fill_diagonal(made, right)
    return made


def public(folder: Path) -> Iterator[tuple[str, Voted]]:
    """Yield the sets of a folder: `<set>/answer.csv` (question, worker, answer) and `truth.csv`.

    Raises:
        DataError: The folder has no set.
    """
    found = sorted(path.parent for path in folder.glob("*/answer.csv"))
    found = [path for path in found if (path / "truth.csv").is_file()]
    if not found:
        raise DataError(
            f"'{folder}' has no crowd set.",
            remedy="Name a folder with folders that hold 'answer.csv' and 'truth.csv'.",
        )
    for path in found:
        with (path / "truth.csv").open(encoding="utf-8", newline="") as lines:
            truth = {row["question"]: row["truth"] for row in csv.DictReader(lines)}
        with (path / "answer.csv").open(encoding="utf-8", newline="") as lines:
            rows = [r for r in csv.DictReader(lines) if r["question"] in truth]
        yield (
            path.name,
            Voted(
                entities=[row["question"] for row in rows],
                raters=[row["worker"] for row in rows],
                answers=[row["answer"] for row in rows],
                truth=truth,
            ),
        )
