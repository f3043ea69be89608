"""This module holds how Label Studio was told to call us about a batch; it is pure.

It is kept with what else the other back-end calls the batch (`Batch.external`). Of the secret that
such a call brings only the hash is kept.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from headrace.labels.items import Batch

HEADER = "X-Headrace-Secret"
"""The header in which a call brings its secret."""
_KEY = "webhook"


@dataclass(frozen=True, kw_only=True)
class Hook:
    """This is what Label Studio was told to do when somebody answers an item of a batch.

    Attributes:
        url: The address that it was told to call.
        digest: The hash of the secret that it was told to bring; empty where it was told none.
        refused: Why it does not call, with what to do about it; empty where it does.
    """

    url: str
    digest: str = ""
    refused: str = ""

    def external(self) -> dict[str, Any]:
        """Return what is kept of it with its batch."""
        return {_KEY: asdict(self)}


def hook_of(batch: Batch) -> Hook | None:
    """Return what Label Studio was told of a batch; None where it was told nothing."""
    known = (batch.external or {}).get(_KEY)
    return None if known is None else Hook(**known)


def no_hook() -> dict[str, Any]:
    """Return what is kept with a batch of which Label Studio is not to call."""
    return {_KEY: None}
