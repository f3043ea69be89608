"""Two small loops on parcels: how heavy is it (a number), and what is in it (several choices)?"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from flows.labeling import LabelLoop, SimulatedEstimator, SimulatedTagger
from headrace import Col, Schema, Table, operator
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask

KILOS = {"anvil": 9.0, "brick": 3.0, "kettle": 1.5, "feather": 0.1}
SORTS = {"metal": ("anvil", "kettle"), "fragile": ("vase", "kettle"), "dear": ("ring", "vase")}
WEIGHT = LabelTask(
    name="weight",
    labels=LabelSchema(kind="number", low=0, high=40, unit="kg", tolerance=0.5),
    entity="parcel",
    show=("text",),
)
CONTENT = LabelTask(
    name="content",
    labels=LabelSchema(kind="multi", choices=tuple(SORTS)),
    entity="parcel",
    show=("text",),
)


class Parcel(Schema, Protocol):
    """This is a parcel and what somebody wrote on it."""

    parcel: Annotated[str, Col(role="entity")]
    text: Annotated[str, Col(role="feature")]


class Weighed(Parcel, Protocol):
    """This is a parcel whose weight is known."""

    kilos: Annotated[float, Col(role="label")]


@operator()
def pack(*, words: tuple[str, ...], count: int = 120, name: str = "p") -> Table[Parcel]:
    """Pack parcels of up to three things."""
    draw = random.Random(name)  # noqa: S311
    texts = [" ".join(draw.choices(words, k=draw.randint(1, 3))) for _ in range(count)]
    return Table[Parcel].of({"parcel": [f"{name}{i}" for i in range(count)], "text": texts})


@operator()
def weigh(*, count: int = 12) -> Table[Weighed]:
    """Pack parcels, and weigh them."""
    rows = pack(words=tuple(KILOS), count=count, name="g").frame()
    return Table[Weighed].of(rows.assign(kilos=[kilos_of({"text": t}) for t in rows["text"]]))


def heavy() -> Any:
    """Return parcels to be weighed."""
    return pack(words=tuple(KILOS))


def mixed() -> Any:
    """Return parcels whose content is asked for."""
    return pack(words=("anvil", "kettle", "vase", "ring", "sock"))


def kilos_of(shown: Mapping[str, Any]) -> float:
    """Return what the things in a parcel weigh."""
    return sum(KILOS[word] for word in shown["text"].split())


def sorts_of(shown: Mapping[str, Any]) -> list[str]:
    """Return which sorts of things are in a parcel."""
    words = set(shown["text"].split())
    return [sort for sort, those in SORTS.items() if words & set(those)]


def weigher(noise: float, seed: int, **more: Any) -> SimulatedEstimator:
    """Return somebody who guesses weights so far off."""
    return SimulatedEstimator(truth=kilos_of, noise=noise, low=0, high=40, seed=seed, **more)


def sorter(err: float, seed: int, **more: Any) -> SimulatedTagger:
    """Return somebody who misses or adds a sort so often."""
    choices = tuple(SORTS)
    return SimulatedTagger(
        truth=sorts_of, choices=choices, misses=err, adds=err / 2, seed=seed, **more
    )


def weight_loop(**changes: Any) -> LabelLoop:
    """Return the loop that asks for weights, with changes."""
    return LabelLoop(**{"task": WEIGHT, "pool": heavy, **_FIGURES, **changes})


def content_loop(**changes: Any) -> LabelLoop:
    """Return the loop that asks what is in parcels, with changes."""
    return LabelLoop(**{"task": CONTENT, "pool": mixed, **_FIGURES, **changes})


_FIGURES: dict[str, Any] = {"batch": 20, "random_share": 0.5, "train_from": 8}
