"""This module tells Prefect that an endpoint's comparison has new evidence, which starts `rollout`.

The serving host runs it as a process of its own, `python -m flows._matured_told NAME`, and again
while it returns something else than 0.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from headrace.errors import HeadraceError
from headrace.settings import settings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPACE = uuid.UUID("6f2a3f7e-0f0a-4d6c-9a44-6d5a4b1f7c21")


def tell(name: str) -> bool:
    """Say what became known of an endpoint; return whether there was anything to say.

    Said twice, it is the same event to whoever compares ids.

    Args:
        name: The endpoint.

    Raises:
        ServiceError: The Prefect server does not answer, or does not take it.
    """
    from flows._events import emit_now
    from serving.rollout.matured import EVENT, matured_of

    seen = matured_of(settings(), name)
    if seen is None:
        return False
    through = (_EPOCH + timedelta(microseconds=seen.closed)).isoformat() if seen.closed else None
    emit_now(
        EVENT,
        resource=f"headrace.model.{name}",
        payload={
            "endpoint": name,
            "endpoints": [name],
            "through": through,
            "outcomes": seen.outcomes,
            "experiments": list(seen.experiments),
        },
        known_as=str(uuid.uuid5(_SPACE, f"{name} {seen.through} {seen.closed} {seen.since}")),
    )
    return True


def main(arguments: Sequence[str]) -> int:
    """Tell of the named endpoint; return 0 when nothing is left to be told."""
    try:
        tell(arguments[0])
    except HeadraceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
