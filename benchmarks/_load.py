"""This module is a load generator: a process that keeps some connections to a server busy.

`python -m benchmarks._load URL PATH BODIES [CONNECTIONS [IDS [KIND]]]` reads bodies, one a line
(JSON as it is, what is of another media type in base64), and then for each line of its standard
input, a number of seconds, sends requests for that long and writes a line of what it saw. Every
connection has one request under way at a time. A process of its own, so that its work is not
counted as the server's; plain sockets, so that it is no bottleneck.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks._answers import JSON, answer_end, head_of, status_of

PATIENCE_SECONDS = 60.0


class Requests:
    """These are the bytes to send, over and over; with a mark, each has an id that is new.

    Args:
        head: The request up to the length of its body.
        bodies: JSON objects.
        mark: Begins the ids; empty sends none.
    """

    def __init__(self, head: bytes, bodies: list[bytes], mark: str) -> None:
        self._mark, self._at, self._sent = mark, 0, 0
        if mark:
            begin = b'{"id":"%s-' % mark.encode()
            number = len(b'%016x",' % 0)
            self._parts = [
                (
                    b"%s%d\r\n\r\n%s" % (head, len(begin) + number + len(body) - 1, begin),
                    b'",' + body[1:],
                )
                for body in bodies
            ]
        else:
            self._whole = [b"%s%d\r\n\r\n%s" % (head, len(body), body) for body in bodies]
        self._count = len(bodies)

    def next(self) -> bytes:
        """Return the next request."""
        at = self._at
        self._at = at + 1 if at + 1 < self._count else 0
        if not self._mark:
            return self._whole[at]
        self._sent += 1
        before, after = self._parts[at]
        return b"%s%016x%s" % (before, self._sent, after)


def closed_loop(
    address: tuple[str, int], requests: Requests, connections: int, seconds: float
) -> dict[str, Any]:
    """Keep `connections` busy for a while; every request that is begun is waited for."""
    loop = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for _ in range(connections):
        each = socket.create_connection(address)
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        each.setblocking(False)
        sockets[each.fileno()] = each
        loop.register(each, select.EPOLLIN)
    clock, took, errors, first_error = time.perf_counter, [], 0, b""
    begun = clock()
    ends = begun + seconds
    sent, received = {}, dict.fromkeys(sockets, b"")
    for number, each in sockets.items():
        sent[number] = clock()
        each.sendall(requests.next())
    while sent:
        ready = loop.poll(PATIENCE_SECONDS)
        if not ready:
            errors, first_error = errors + len(sent), first_error or b"no answer"
            break
        for number, _ in ready:
            part = sockets[number].recv(262_144)
            whole = received[number] + part if received[number] else part
            if part and answer_end(whole) > len(whole):
                received[number] = whole
                continue
            received[number] = b""
            now = clock()
            if part and status_of(whole) == 200:
                took.append(now - sent[number])
            else:
                errors, first_error = errors + 1, first_error or whole or b"closed"
            if part and now < ends:
                sent[number] = now
                sockets[number].sendall(requests.next())
            else:
                del sent[number]
                loop.unregister(number)
    lasted = clock() - begun
    for each in sockets.values():
        each.close()
    loop.close()
    took.sort()
    return {
        "requests": len(took),
        "errors": errors,
        "error": first_error[:2_000].decode("utf-8", "replace"),
        "seconds": lasted,
        "p50_ms": took[len(took) // 2] * 1e3 if took else None,
        "p99_ms": took[len(took) * 99 // 100] * 1e3 if took else None,
    }


def main(url: str, path: str, bodies: str, connections: str = "16", *more: str) -> None:
    """Answer each line of standard input, seconds, by a line of what was seen."""
    mark, kind = (*more, *("", JSON)[len(more) :])
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)
    lines = Path(bodies).read_bytes().splitlines()
    sent = lines if kind == JSON else [b64decode(line) for line in lines]
    requests = Requests(head_of(path, parts.netloc, kind), sent, mark)
    for line in sys.stdin:
        seen = closed_loop(address, requests, int(connections), float(line))
        sys.stdout.write(json.dumps(seen) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
