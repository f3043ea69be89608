"""This module counts failed attempts to sign in, so that nobody tries out tokens at full speed."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict, deque

from headrace.clock import current_clock

_AT_MOST, _IN_SECONDS = 10, 60.0
_REMEMBERED = 10_000


class Attempts:
    """These are the failed attempts of the last minute, by address.

    Args:
        at_most: How many one address may fail within the time.
        in_seconds: That time.
    """

    def __init__(self, *, at_most: int = _AT_MOST, in_seconds: float = _IN_SECONDS) -> None:
        self._at_most, self._in_seconds = at_most, in_seconds
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_seconds(self, address: str) -> float:
        """Return how long an address has to wait before it may try again; 0 for not at all."""
        now = current_clock().monotonic()
        with self._lock:
            failed = self._failed.get(_network(address))
            while failed and failed[0] <= now - self._in_seconds:
                failed.popleft()
            if not failed or len(failed) < self._at_most:
                return 0.0
            return failed[0] + self._in_seconds - now

    def failed(self, address: str) -> None:
        """Count a failed attempt."""
        with self._lock:
            network = _network(address)
            self._failed.setdefault(network, deque(maxlen=self._at_most))
            self._failed[network].append(current_clock().monotonic())
            self._failed.move_to_end(network)
            while len(self._failed) > _REMEMBERED:
                self._failed.popitem(last=False)


def _network(address: str) -> str:
    """Return whom an address belongs to: in version 6 everybody has 2^64 of them."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(read) if read.version == 4 else str(ipaddress.ip_network(f"{read}/64", strict=False))
