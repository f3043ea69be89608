"""This operator writes messages as customers of a shop might: made up, so free to pass on.

Each is put together of pieces, and many mention what another topic is about, so that a model has to
learn which words decide.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol

from headrace import Col, Schema, Table, operator

OPENINGS = (
    "Hello,",
    "Hi there,",
    "Good morning!",
    "Dear team,",
    "Sorry to bother you again.",
    "Quick question:",
    "",
)
ASIDES = (
    "I ordered it two weeks ago.",
    "I have been a customer for years.",
    "The order was paid by card.",
    "My account shows nothing new.",
    "The parcel itself looked fine.",
    "I wrote to you last week already.",
    "",
    "",
)
CLOSINGS = ("Thank you.", "Please answer soon.", "Best wishes", "Kind regards", "Thanks a lot!", "")
BODIES = {
    "delivery": (
        "where is my parcel, the tracking has not moved for days?",
        "the courier left the box with a neighbour whom I do not know.",
        "can you ship the chair to another address?",
        "it said delivered, but nothing has arrived at my door.",
        "how long does shipping to the islands take?",
        "the driver did not ring and took the parcel back.",
    ),
    "refund": (
        "I sent the shoes back and still wait for my money.",
        "you charged my card twice for one lamp.",
        "the amount that you returned is lower than what I paid.",
        "please cancel the order and pay me back.",
        "I would like to return the jacket, who pays for that?",
        "the discount was not taken off the invoice.",
    ),
    "account": (
        "I cannot sign in since I changed my phone.",
        "the link to reset my password never comes.",
        "please delete my data and close my profile.",
        "how do I change the e-mail address that I sign in with?",
        "somebody else seems to use my login.",
        "the app says that my code is wrong each time.",
    ),
    "product": (
        "does the lamp fit into a socket of the old sort?",
        "the zip of the jacket broke on the first day.",
        "which of the two chairs is better for tall people?",
        "the manual lacks the page about the battery.",
        "the colour is not the one in the picture.",
        "is there a cover for this size?",
    ),
}
TOPICS = tuple(BODIES)
_FIRST = datetime(2024, 3, 4, 8, tzinfo=UTC)


class Message(Schema, Protocol):
    """This is what somebody wrote to the shop."""

    message: Annotated[str, Col(role="entity", known_at="written_at")]
    text: Annotated[str, Col(role="feature", known_at="written_at")]
    written_at: Annotated[datetime, Col(role="decision_time")]


@operator()
def write_messages(*, count: int = 800) -> Table[Message]:
    """Write messages, minutes apart; the same ones each time.

    Args:
        count: How many.
    """
    texts = [text for text, _ in _written(count)]
    return Table[Message].of(
        {
            "message": [f"m{i:05}" for i in range(count)],
            "text": texts,
            "written_at": [_FIRST + timedelta(minutes=7 * i) for i in range(count)],
        }
    )


def topic_of(text: str) -> str:
    """Return what a message is about; people are asked for that, so only a rehearsal knows it."""
    return next(topic for topic, bodies in BODIES.items() if any(b in text for b in bodies))


def _written(count: int) -> Iterator[tuple[str, str]]:
    draw = random.Random(7)  # noqa: S311
    for _ in range(count):
        topic = draw.choices(TOPICS, weights=(4, 3, 2, 3))[0]
        pieces = [draw.choice(OPENINGS), draw.choice(BODIES[topic])]
        pieces.insert(draw.randint(1, 2), draw.choice(ASIDES))
        yield " ".join(piece for piece in (*pieces, draw.choice(CLOSINGS)) if piece), topic
