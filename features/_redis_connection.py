"""This module holds a connection to Redis, and says what is wrong with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headrace.clock import current_clock
from headrace.errors import StoreError

if TYPE_CHECKING:
    from redis import Redis

PATIENCE = 5.0


def redis_client(url: str, patience: float = PATIENCE) -> Redis:
    """Return a client of Redis; it connects when it is used.

    Args:
        url: Such as `redis://127.0.0.1:6379/0`.
        patience: How many seconds an answer, or a connection, may take.

    Raises:
        StoreError: The package is not installed.
    """
    try:
        from redis import Redis
    except ImportError as error:
        raise StoreError(
            f"The features are in Redis, {shown(url)}, and its client is not installed.",
            remedy="Install the extra: pip install 'headrace[services]'.",
        ) from error
    return Redis.from_url(url, socket_timeout=patience, socket_connect_timeout=patience)


def shown(url: str) -> str:
    """Return an address without its password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}"


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise what goes wrong with Redis in a `with` block as an error with a remedy.

    Raises:
        StoreError: It cannot be reached, or refuses.
    """
    from redis import exceptions

    try:
        yield
    except exceptions.AuthenticationError as error:
        raise StoreError(
            f"Redis at {shown(url)} does not let us in: {error}.",
            remedy="Put user and password into the setting 'features_online_url'.",
        ) from error
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise StoreError(
            f"Redis at {shown(url)} does not answer: {_reason(error)}.",
            remedy="Start it, or correct the setting 'features_online_url'; then try again.",
        ) from error
    except exceptions.RedisError as error:
        raise StoreError(
            f"Redis at {shown(url)} refuses: {_reason(error)}.",
            remedy="Look at its memory, its disk and its log, then try again.",
        ) from error


class RawConnection:
    """This is one connection that takes commands already packed; threads take turns.

    Packing what a reader sends each time alike costs redis-py more than all the rest of a read. A
    read that meets a connection which the server has closed is done once more on a new one.

    Args:
        url: Where Redis is.
        patience: How many seconds an answer, or a connection, may take.
        rest: For how many seconds Redis is not asked again after it took longer; whoever asks is
            told at once. So one event loop that many wait for stands still for `patience` alone.
    """

    def __init__(self, url: str, *, patience: float = PATIENCE, rest: float = 0.0) -> None:
        self._url = url
        self._client = redis_client(url, patience)
        self._connection: Any = None
        self._lock = threading.Lock()
        self._rest = rest
        self._silent: tuple[float, StoreError] | None = None  # asked again when, what it was

    def ask(self, packed: bytes, answers: int) -> list[Any]:
        """Return so many answers to packed commands that only read.

        Raises:
            StoreError: Redis cannot be reached, or refuses.
        """
        with self._lock:
            if self._silent is None:
                return self._patiently(packed, answers)
            again, error = self._silent
            if current_clock().monotonic() < again:
                raise StoreError(error.problem, remedy=error.remedy)
            self._silent = None
            return self._patiently(packed, answers)

    def close(self) -> None:
        """Close the connection; a later read opens it again."""
        with self._lock:
            self._drop()
            self._client.close()

    def _patiently(self, packed: bytes, answers: int) -> list[Any]:
        from redis import exceptions

        try:
            with translated(self._url):
                fresh = self._connection is None
                try:
                    return self._ask(packed, answers)
                except (exceptions.ConnectionError, OSError):
                    if fresh:
                        raise
                    return self._ask(packed, answers)
        except StoreError as error:
            if self._rest and isinstance(error.__cause__, exceptions.TimeoutError):
                self._silent = (current_clock().monotonic() + self._rest, error)
            raise

    def _ask(self, packed: bytes, answers: int) -> list[Any]:
        if self._connection is None:
            self._connection = self._client.connection_pool.get_connection()
        connection, done = self._connection, False
        try:
            connection.send_packed_command([packed])
            read = connection.read_response
            found = [read() for _ in range(answers)]
            done = True
        finally:
            if not done:  # answers may still be under way
                self._drop()
        return found

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.disconnect()
            self._client.connection_pool.release(connection)


def packed(*parts: bytes) -> bytes:
    """Return a command as Redis takes it."""
    return b"".join([b"*%d\r\n" % len(parts), *map(packed_part, parts)])


def packed_part(part: bytes) -> bytes:
    """Return a part of a command as Redis takes it."""
    return b"$%d\r\n%s\r\n" % (len(part), part)


def packed_around(before: Sequence[bytes], after: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return what comes before and after the one part of a command that changes."""
    count = len(before) + 1 + len(after)
    head = b"".join([b"*%d\r\n" % count, *map(packed_part, before)])
    return head, b"".join(map(packed_part, after))


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
