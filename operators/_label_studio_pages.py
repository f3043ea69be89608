"""This module reads a whole listing of Label Studio, page by page, while people go on working."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from headrace.errors import ServiceError
from operators._label_studio_client import Client, MissingError

_ATTEMPTS = 5


def pages_of(client: Client, path: str, size: int, **parameters: Any) -> Sequence[Any]:
    """Return all projects or tasks that a listing has, in its order, page by page.

    A page that grows while it is read gives a row twice, never none; where rows were removed
    meanwhile, it is read again.
    """
    key = "tasks" if path.startswith("/api/tasks") else "results"
    count = "total" if key == "tasks" else "count"
    for _ in range(_ATTEMPTS):
        found: list[Any] = []
        first = page = client.get(path, page=1, page_size=size, **parameters)
        for number in itertools.count(2):
            found += page[key]
            if (number - 1) * size >= page[count]:
                break
            try:
                page = client.get(path, page=number, page_size=size, **parameters)
            except MissingError:  # the last page is no more
                page = page | {count: -1, key: []}
        if page[count] >= first[count]:
            return found
    raise ServiceError(
        f"What Label Studio lists at {path} got fewer each of {_ATTEMPTS} times it was read.",
        remedy="Ask again when nobody removes anything there.",
    )
