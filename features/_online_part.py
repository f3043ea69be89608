"""This module says what a source of features online gives, whoever reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from features._online_found import Status

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """This is what one source read.

    Args:
        keys: The columns of the entities that it read by.
        columns: Values of its features.
        statuses: Says for each feature what each value is; asked by few.
    """

    keys: Sequence[str]
    columns: Sequence[list[Any]]
    statuses: Callable[[], Sequence[list[Status]]]


class Source(Protocol):
    """This reads the features of one view."""

    ref: str
    view: str
    features: Sequence[str]
    dtypes: Sequence[str]

    def read(self, columns: Columns, at_us: int) -> Part:
        """Return the features of entities at a moment, in microseconds since 1970 UTC."""
        ...

    def close(self) -> None:
        """Close what it reads from."""
        ...
