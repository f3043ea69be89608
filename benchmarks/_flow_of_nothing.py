"""This script is the baseline of `cached_rerun`: a Prefect flow of tasks that do nothing."""

from __future__ import annotations

import sys

import prefect


@prefect.task
def do_nothing() -> None:
    """Do nothing."""


@prefect.flow(name="nothing")
def nothing(tasks: int) -> None:
    """Do nothing, task after task."""
    for _ in range(tasks):
        do_nothing()


if __name__ == "__main__":
    nothing(int(sys.argv[1]))
