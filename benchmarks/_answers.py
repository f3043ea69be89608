"""This module writes and reads as much of HTTP/1.1 as a load generator needs, in few instructions.

Every server that is measured says how long its answer is.
"""

from __future__ import annotations

JSON, FLOATS = "application/json", "application/octet-stream"
_LENGTH = b"content-length:"


def head_of(path: str, host: str, kind: str = JSON) -> bytes:
    """Return a request's first lines; the length of the body, a blank line and it are to follow.

    Args:
        path: What is asked.
        host: Of whom.
        kind: Media type of the body; an answer of the same is accepted, if it is not JSON.
    """
    accept = "" if kind == JSON else f"Accept: {kind}\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n{accept}Content-Length: "
    ).encode()


def answer_end(received: bytes) -> int:
    """Return how many bytes the answer has, one more than there are while that is not known."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return len(received) + 1
    start = received.find(_LENGTH, 0, end)
    if start < 0:
        start = received[:end].lower().index(_LENGTH)
    stop = received.index(b"\r", start)
    return end + 4 + int(received[start + len(_LENGTH) : stop])


def status_of(received: bytes) -> int:
    """Return the status of an answer."""
    return int(received[9:12])
