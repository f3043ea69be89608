"""This module holds the one time line of the online store: microseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
_MICROSECOND = timedelta(microseconds=1)


def instant_of(moment: datetime) -> int:
    """Return an aware moment in microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def feast_seconds(instant: int) -> int:
    """Return an instant, in microseconds since 1970, as Feast writes event times.

    That is in whole seconds, and as if UTC were the time on this machine's wall: Feast's own
    reading undoes it.
    """
    naive = datetime(1970, 1, 1) + timedelta(microseconds=instant)
    return int(naive.timestamp())


def from_feast_seconds(seconds: int) -> int:
    """Return the instant, in microseconds since 1970, that a time of Feast's stands for."""
    naive = datetime.fromtimestamp(seconds)
    return instant_of(naive.replace(tzinfo=UTC))


def shown(instant: int) -> str:
    """Return an instant, in microseconds since 1970, as a reader writes it."""
    return (EPOCH + timedelta(microseconds=instant)).isoformat()
