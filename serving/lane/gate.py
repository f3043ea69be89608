"""This module lets requests in: whoever has no right to what is asked is refused."""

from __future__ import annotations

from serving.lane.exchange import Asked, Verb


class Gate:
    """This gate is open: everybody who reaches the lane may ask it."""

    def admit(self, asked: Asked, verb: Verb | None) -> None:
        """Let a request in, and note whose it is.

        Raises:
            RequestError: It is refused.
        """
