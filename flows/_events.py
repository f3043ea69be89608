"""This module passes an event to the Prefect server, from where no run is, such as a terminal.

It asks the server's API without Prefect's client, which takes seconds to import.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from headrace.clock import current_clock
from headrace.errors import ServiceError
from headrace.settings import settings


def emit_now(
    event: str, *, resource: str, payload: Mapping[str, Any], known_as: str | None = None
) -> None:
    """Tell Prefect that something happened; it starts what subscribed, and keeps the event.

    Args:
        event: What happened, such as "headrace.model.promoted".
        resource: What it happened to, such as "headrace.model.flight_delay".
        payload: More, JSON-like.
        known_as: A UUID, by which what is told again is known; a new one by default.

    Raises:
        ServiceError: The server does not answer, or does not take it.
    """
    import httpx

    configured = settings()
    said = {
        "id": known_as or str(uuid.uuid4()),
        "occurred": current_clock().now().isoformat(),
        "event": event,
        "resource": {"prefect.resource.id": resource},
        "payload": dict(payload),
    }
    try:
        answer = httpx.post(
            f"{configured.prefect_api_url}/events", json=[said], timeout=10, trust_env=False
        )
        told = "" if answer.is_success else f"{answer.status_code}: {answer.text[:200]}"
    except httpx.HTTPError as error:
        told = type(error).__name__
    if told:
        raise ServiceError(
            f"The Prefect server at {configured.prefect_url} was not told of '{event}' ({told}).",
            remedy="Start it with `headrace up`; what waits for the event was not started.",
        )
