"""This module says whether a port is free, and who holds it when it is not."""

from __future__ import annotations

import errno
import socket

import psutil

from headrace.errors import ServiceError


def is_free(host: str, port: int) -> bool:
    """Try to listen where a server will.

    Raises:
        ServiceError: Nothing can listen there at all, as when `host` is no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # as servers do, so that connections which linger from the last one are no obstacle
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise ServiceError(
            f"No server can listen on {host}:{port}: {error.strerror or error}.",
            remedy="Choose an address of this machine, such as 127.0.0.1, and a port above 1023.",
        ) from None
    return True


def next_free(host: str, port: int) -> int:
    """Return the first free port from `port` upward; `port` itself when there is none."""
    return next((n for n in range(port, min(port + 200, 65536)) if is_free(host, n)), port)


def holder(port: int) -> str:
    """Return who listens on a port: its process id and command, or that this can't be seen."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            # the address of a socket that isn't bound is empty
            if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (port,):
                return _describe(connection.pid)
    except psutil.AccessDenied:  # some systems show other processes' ports to root only
        pass
    return "another process"


def _describe(pid: int | None) -> str:
    if pid is None:  # a process of another user
        return "another user's process"
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return f"process {pid}"
    return f"process {pid} ({command[:77] + '...' if len(command) > 80 else command})"
