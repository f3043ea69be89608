"""This module fetches what changed in a project of Label Studio, and who annotates there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from operators._label_studio_client import Client
from operators._label_studio_pages import pages_of

_PAGE = 200
# what was saved at a moment may be seen only after what was saved a little later
_OVERLAP = timedelta(seconds=60)


def changed_tasks(
    client: Client, project: int, *, since: str | None
) -> Sequence[Mapping[str, Any]]:
    """Return the tasks of a project that changed, each with all its annotations.

    Saving and deleting an annotation both change its task.

    Args:
        client: Label Studio.
        project: Number of the project.
        since: The last change that was seen, as Label Studio tells it; None for all tasks.

    Raises:
        ServiceError: Label Studio does not answer.
    """
    query: dict[str, Any] = {"ordering": ["tasks:id"]}
    if since is not None:
        after = (datetime.fromisoformat(since) - _OVERLAP).isoformat()
        changed = {
            "filter": "filter:tasks:updated_at",
            "operator": "greater",
            "type": "Datetime",
            "value": after.replace("+00:00", "Z"),
        }
        query["filters"] = {"conjunction": "and", "items": [changed]}
    parameters = {"project": project, "query": json.dumps(query), "resolve_uri": "false"}
    return pages_of(client, "/api/tasks/", _PAGE, fields="all", **parameters)


def annotators(client: Client) -> dict[int, str]:
    """Return the e-mail addresses of the users of Label Studio, by their numbers.

    Raises:
        ServiceError: Label Studio does not answer.
    """
    return {each["id"]: str(each["email"]) for each in client.get("/api/users/")}
