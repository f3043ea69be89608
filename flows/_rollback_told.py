"""This module tells registry and subscribers what the serving host did to an endpoint.

The host runs it as a process of its own, `python -m flows._rollback_told NAME`, and again while it
returns something else than 0.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from headrace.errors import HeadraceError
from headrace.recording import Event


def told(name: str) -> int:
    """Tell of what rulings did at an endpoint and was not told yet; return how many changes.

    Args:
        name: The endpoint.

    Raises:
        UnknownNameError: There is no such endpoint.
        ServiceError: The registry or the Prefect server does not answer; the rest is told later.
    """
    from serving.endpoints import Endpoints
    from serving.rollout.settling import settle

    return len(settle(Endpoints(), name, _emit))


def main(arguments: Sequence[str]) -> int:
    """Tell of the named endpoint; return 0 when nothing is left to be told."""
    try:
        told(arguments[0])
    except HeadraceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _emit(event: Event) -> None:
    from flows._events import emit_now

    emit_now(event.name, resource=event.resource, payload=event.payload)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
