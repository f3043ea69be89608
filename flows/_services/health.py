"""This module answers a supervisor that asks whether one service is ready.

`python -m flows._services.health prefect` ends with 0 when it is, and with 1 when it is not.
"""

from __future__ import annotations

import sys

from flows._services import processes
from flows._services.definitions import chosen, is_ready
from headrace.settings import Settings, settings


def is_healthy(name: str, *, of: Settings | None = None) -> bool:
    """Say whether a service of this home runs and is ready.

    Args:
        name: The service.
        of: Settings to follow; those of this process by default.

    Raises:
        UnknownNameError: There is no such service.
    """
    of = of or settings()
    service = next(each for each in chosen(of, (name,)) if each.name == name)
    daemon = processes.recorded(of).get(name)
    process = None if daemon is None else processes.process_of(daemon)
    return process is not None and is_ready(service, process.pid)


if __name__ == "__main__":
    sys.exit(not is_healthy(sys.argv[1]))
