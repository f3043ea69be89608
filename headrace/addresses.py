"""This module works out where services are found, and what is wrong with an address."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pydantic import BaseModel

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  no address to go to
"""What is listened on for every interface."""
_WEB_PORTS = {"http": 80, "https": 443}
# a name as browsers send it, or an address
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")
_PATH = re.compile(r"(/[A-Za-z0-9_-]+)+")


def public_address(url: str) -> tuple[str, str]:
    """Return a web address as it is written everywhere, or why it cannot be one.

    Args:
        url: The address of a service as people reach it, perhaps with a path below which it is.

    Returns:
        In small letters, without a port that goes without saying and without a slash at its end;
        and an empty text, or what is wrong.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        return "", f"It is no address: {error}"
    if parts.scheme not in _WEB_PORTS:
        return "", "It is no address that begins with http or https"
    if not _HOST.fullmatch(host):
        return "", f"It names no host, but {host!r}" if host else "It names no host"
    if host in EVERYWHERE:
        return "", f"{host} is no address that anybody could go to"
    if parts.username is not None:
        return "", "It holds a name or password, which everybody would be shown"
    if parts.query or parts.fragment:
        return "", "It goes on after its path"
    path = parts.path.rstrip("/")
    if path and not _PATH.fullmatch(path):
        return "", f"Its path is {path!r}; one of letters, digits, '-', '_' and '/' is understood"
    shown = f"[{host}]" if ":" in host else host
    beside = "" if port in (None, _WEB_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{shown}{beside}{path}", ""


def wrong_address(url: str, kinds: Sequence[str]) -> str | None:
    """Return why an address cannot be one, None where it can.

    Args:
        url: The address.
        kinds: How it may begin, such as "redis://".
    """
    kind = next((each for each in kinds if url.startswith(each)), None)
    if kind is None:
        return f"It begins with none of {', '.join(kinds)}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"It is no address: {error}"
    if not host:
        return "It names no host"
    place = parts.path.removeprefix("/")
    if kind.startswith("redis"):
        if place and not place.isdecimal():
            return f"It names the database {place!r}; those of Redis have numbers"
        return None
    if not place or "/" in place:
        return "It names no database after the host"
    if not parts.username:
        return "It names no user before the host"
    return None


def address_of(kind: type[BaseModel], given: dict[str, Any], service: str) -> str:
    """Return the address at which a service listens, from what is given of its host and port."""
    host, port = (
        given.get(f"{service}_{part}", kind.model_fields[f"{service}_{part}"].default)
        for part in ("host", "port")
    )
    return f"http://{host}:{port}"


def port_after_mlflow(kind: type[BaseModel], given: dict[str, Any]) -> object:
    """Return the next port, so that who gives a home ports of its own need not think of it."""
    mlflow, prefect = (
        given.get(name, kind.model_fields[name].default) for name in ("mlflow_port", "prefect_port")
    )
    try:
        after = int(mlflow) + 1
        return (after + 1 if after == int(prefect) else after) if after < 65534 else 1024
    except (TypeError, ValueError):
        return kind.model_fields["mlflow_port"].default + 1  # the wrong port is told of by itself


def is_loopback(host: str) -> bool:
    """Return whether a service that listens on an interface is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name, which may be anybody's
        return False
