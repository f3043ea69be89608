"""This module looks up in the database where an endpoint can be asked."""

from __future__ import annotations

import functools
import socket
import time
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from serving._client_answers import NotYet
from serving._client_places import Place, Places, place_of
from serving._client_talk import remedy

if TYPE_CHECKING:
    from serving.endpoints import Endpoints, Lane


class Finder:
    """This finds the places of one endpoint.

    Args:
        endpoint: Its name.
        places: What is to know them.
    """

    def __init__(self, endpoint: str, places: Places) -> None:
        self._endpoint = endpoint
        self._places = places
        self._endpoints: Endpoints | None = None

    def find(self) -> None:
        """Look them up; where the database does not answer, those that are known stay.

        Raises:
            UnknownNameError: There is no such endpoint.
            NotYet: It has no address yet.
        """
        if self._endpoints is None:
            from serving.endpoints import Endpoints

            self._endpoints = Endpoints()
        try:
            lane = self._endpoints.lane(self._endpoint)
        except HeadraceError as error:
            if error.fault == "system" and self._places.all():
                return
            raise
        front, replicas = _places_of(lane)
        self._places.know(front, replicas, time.monotonic())
        if front is None and not replicas:
            said = f" {lane.message}" if lane and lane.message else ""
            raise NotYet(
                f"No lane of endpoint '{self._endpoint}' has an address yet.{said}",
                remedy=remedy(self._endpoint),
            )


def _places_of(lane: Lane | None) -> tuple[Place | None, list[Place]]:
    if lane is None:
        return None, []
    front = None if lane.front is None else place_of(lane.front)
    urls = [replica.url for replica in lane.replicas]
    if not urls and front is None and lane.url is not None:
        urls = [lane.url]
    replicas = [place_of(url) for url in urls]
    if front is not None and not front.on_loopback and not _is_here(front.host):
        # loopback of the lanes' machine is not that of this one: whoever listens here is nobody
        # who should see a request, or a key
        replicas = [place for place in replicas if not place.on_loopback]
    return front, replicas


@functools.lru_cache(maxsize=64)
def _is_here(host: str) -> bool:
    """Return whether a host is this machine: only an own address can be bound."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as tried:
                tried.bind(address)
                return True
    except OSError:
        return False
    return False
