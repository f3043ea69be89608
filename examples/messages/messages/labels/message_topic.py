"""This loop asks: what is a message about?"""

from __future__ import annotations

from typing import Any

from flows.labeling import LabelLoop
from headrace import Table
from headrace.labels.schema import LabelSchema
from headrace.labels.task import LabelTask
from messages.operators.write_messages import TOPICS, write_messages

TASK = LabelTask(
    name="message_topic",
    title="What is it about?",
    labels=LabelSchema(
        choices=TOPICS,
        guideline=(
            "What does the writer want us to do something about?\n\n"
            "- delivery: where a parcel is, and when it comes\n"
            "- refund: money that is owed\n"
            "- account: signing in, and personal data\n"
            "- product: what is sold\n\n"
            "If there are several, take the one that they ask about first."
        ),
    ),
    entity="message",
    show=("text",),
    overlap=2,
)


def unread() -> Table[Any]:
    """Return the messages that may be asked about."""
    return write_messages(count=800)


LOOP = LabelLoop(
    task=TASK,
    pool=unread,
    batch=40,
    random_share=0.4,
    target=0.9,
    budget_hours=2.0,
)
