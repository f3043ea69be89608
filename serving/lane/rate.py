"""This module holds a client to its rate: a bucket of tokens, which fills as time goes by."""

from __future__ import annotations


class Bucket:
    """This is what a client may still ask now.

    Args:
        per_second: Requests that it gains a second, above 0.
        burst: Requests that it may have gathered, at least 1.
        now: The moment, in seconds of a clock that only goes forward; the bucket is full then.
    """

    __slots__ = ("_at", "_tokens", "burst", "per_second")

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        self.per_second = per_second
        self.burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, requests: int, now: float) -> float:
        """Take requests out; return 0, or after how many seconds there would be enough.

        More requests than the bucket ever holds are let in when it is full, and are owed then: a
        large batch takes its time, but is not refused for ever.
        """
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        needed = min(requests, self.burst)
        if self._tokens >= needed:
            self._tokens -= requests
            return 0.0
        return (needed - self._tokens) / self.per_second
