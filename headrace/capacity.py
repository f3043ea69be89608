"""This module says what flows may use of the machine: what it has, and what the settings allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.errors import UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from headrace.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """This is what all nodes of all runs share at a time.

    Args:
        cores: Cores of the machine; counted and shown, never queued for.
        memory: Bytes of memory that nodes may declare together.
        gpus: GPUs.
        limits: Named limit to how many nodes may hold it at a time.
    """

    cores: int
    memory: int
    gpus: int
    limits: Mapping[str, int] = field(default_factory=dict)


def capacity_of(settings: Settings) -> Capacity:
    """Return what flows may use under these settings."""
    from headrace.machine import machine

    here = machine()
    return Capacity(
        cores=here.cores,
        memory=here.memory,
        gpus=here.gpus if settings.gpus is None else settings.gpus,
        limits=settings.limits,
    )


def unknown_limit(who: str, name: str, capacity: Capacity) -> UnknownNameError:
    """Return the error for a limit that the settings don't have; silence would be no limit.

    Args:
        who: Who names it, such as "operator 'load'".
        name: The limit.
        capacity: Has the limits that there are.
    """
    return UnknownNameError(
        f"There is no limit '{name}', which {who} takes part in."
        f"{did_you_mean(name, capacity.limits)}",
        remedy=f"Set it in headrace.toml, in the table [limits]: `{name} = 1`.",
    )
