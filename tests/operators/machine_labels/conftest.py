"""These fixtures are a few made-up messages of three topics, and labels of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import pytest

from headrace import Col, Labels, Model, Schema, Table, TrainSet, ValidationSet
from headrace.labels.columns import VotedLabel
from headrace.labels.schema import LabelSchema
from headrace.settings import using_settings
from operators.examples_from_labels import examples_from_labels
from operators.split_by_slice import split_by_slice
from operators.train_labeler import train_labeler

TOPIC = LabelSchema(choices=("sport", "money", "weather"))
START = datetime(2024, 5, 1, tzinfo=UTC)
WORDS = {
    "sport": ("the team won the match", "a late goal in the cup", "the coach left the team"),
    "money": ("the bank cut its rate", "shares and profit fell", "the bank hid its profit"),
}


class Message(Schema, Protocol):
    message: Annotated[int, Col(role="entity")]
    text: Annotated[str | None, Col(role="feature")]
    words: Annotated[int, Col(role="feature")]


def messages(count: int = 24) -> Table[Any]:
    """Messages 0, 1, 2, …: those of even number are on sport, the others on money."""
    texts = [WORDS["sport" if n % 2 == 0 else "money"][n // 2 % 3] for n in range(count)]
    return Table[Message].of(
        {
            "message": list(range(count)),
            "text": texts,
            "words": [len(text.split()) for text in texts],
        }
    )


def labels(entities: Sequence[Any], **changes: Sequence[Any]) -> Labels[Any]:
    """The true topics of messages, by hand; every third is of the random slice."""
    count = len(entities)
    columns: dict[str, Sequence[Any]] = {
        "entity": [str(each) for each in entities],
        "as_of": [START] * count,
        "label_known_at": [START + timedelta(hours=1)] * count,
        "label": ["sport" if int(each) % 2 == 0 else "money" for each in entities],
        "probability": [0.9] * count,
        "votes": [2] * count,
        "conflict": [False] * count,
        "slice": ["random" if int(each) % 3 == 0 else "chosen" for each in entities],
        "source": ["person"] * count,
        "method": ["majority"] * count,
        "schema_version": [TOPIC.version] * count,
    }
    return Labels[VotedLabel].of({**columns, **changes})


@pytest.fixture(name="messages")
def _messages() -> Callable[..., Table[Any]]:
    return messages


@pytest.fixture(name="labels")
def _labels() -> Callable[..., Labels[Any]]:
    return labels


@pytest.fixture
def topic() -> LabelSchema:
    return TOPIC


@pytest.fixture(scope="session")
def sets() -> tuple[TrainSet[Any], ValidationSet[Any]]:
    examples, _ = examples_from_labels(messages(), labels(range(24)), schema=TOPIC)
    train, validation, _ = split_by_slice(examples)
    return train, validation


@pytest.fixture(scope="session")
def labeler(sets: tuple[TrainSet[Any], ValidationSet[Any]]) -> Model:
    return train_labeler(*sets, text=("text",))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with using_settings(home=tmp_path / "home", roots=[Path(__file__).parent]):
        yield tmp_path / "home"
