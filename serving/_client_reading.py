"""This module reads an answer of HTTP/1.1, whoever receives it.

It does so by httptools, which uvicorn reads requests with. A whole decision of our client costs
less than `http.client` alone, and a seventh of httpx alone; `docs/adr/` has the figures.
"""

from __future__ import annotations

import httptools

from serving._client_wire import Reply


class BrokenAnswerError(OSError):
    """This answer is no HTTP, or ended early."""


class Reading:
    """This reads one answer, piece by piece; httptools calls its methods."""

    __slots__ = ("_body", "_framed", "_headers", "_parser", "begun", "may_go_on", "reply")

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._framed = False
        self.begun = False
        self.may_go_on = False  # whether the connection can be used for another request
        self.reply: Reply | None = None

    def feed(self, data: bytes) -> Reply | None:
        """Take a piece, empty at the end of the connection; return the answer once it is whole.

        Raises:
            BrokenAnswerError: It is no HTTP, or the connection ended before it was whole.
        """
        try:
            if data:
                self.begun = True
                self._parser.feed_data(data)
            elif self._headers and not self._framed and self._parser.get_status_code() >= 200:
                self.on_message_complete()  # whoever gives no length ends with the connection
            else:
                raise BrokenAnswerError("the connection was closed before the answer was whole")
        except httptools.HttpParserError as error:
            raise BrokenAnswerError(f"the answer is no HTTP: {error}") from None
        return self.reply

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        known = name.lower().decode("latin-1")
        self._headers[known] = value.decode("latin-1")
        if known in ("content-length", "transfer-encoding"):
            self._framed = True

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        self._body.append(part)

    def on_message_complete(self) -> None:
        """Take the end of an answer; one that only says to go on is forgotten."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers, self._body, self._framed = {}, [], False
            return
        # the parser knows until it returns from here
        self.may_go_on = self._framed and bool(self._parser.should_keep_alive())
        self.reply = Reply(status, b"".join(self._body), self._headers)
