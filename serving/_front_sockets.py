"""This module opens the sockets of the front, which HAProxy is handed."""

from __future__ import annotations

import os
import resource
import socket

from headrace.errors import ServiceError

_BACKLOG = 1024
_MOST_CONNECTIONS = 8192
_OTHER_FILES = 1500  # that HAProxy opens beside those of clients and lanes


def listening_at(host: str, port: int, setting: str) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Interface.
        port: Port; 0 for any that is free.
        setting: Name of the setting that gives the port, for the message.

    Raises:
        ServiceError: The port is taken, or the interface is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=_BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error
        raise ServiceError(
            f"The front cannot listen at {host}, port {port}: {why}.",
            remedy=f"end what listens there (`ss -ltnp`), or change the setting '{setting}'.",
        ) from None


def most_connections() -> int:
    """Return how many clients may be connected at a time: each costs two open files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = most == resource.RLIM_INFINITY
    room = _MOST_CONNECTIONS if unlimited else (most - _OTHER_FILES) // 2
    return max(64, min(_MOST_CONNECTIONS, room))
