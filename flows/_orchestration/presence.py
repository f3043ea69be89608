"""This module remembers that the Prefect server went away while a flow ran."""

from __future__ import annotations

import threading

server_lost = threading.Event()
"""Set for the rest of this process once the server did not answer; a run then goes on without it.

What Prefect's client would still send is let go: lineage has it all, and the keeper gives the run
its state when the server is back.
"""


def answer_at(address: str) -> str:
    """Return the status with which a server answers a request, or what kept it from answering."""
    import httpx

    plain = address.startswith("http:")  # no need to read the certificates of the world
    try:
        with httpx.Client(timeout=10, trust_env=False, verify=not plain) as client:
            return str(client.get(address).status_code)
    except httpx.HTTPError as error:
        return type(error).__name__


def is_absence(error: BaseException | None) -> bool:
    """Say whether an error, or what caused it, is a server that does not answer."""
    import httpx

    while error is not None:
        if isinstance(error, httpx.TransportError | httpx.HTTPStatusError):
            return True
        error = error.__cause__ or error.__context__
    return False
