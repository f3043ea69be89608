"""This module says what the machine has: cores, memory, GPUs, and what it runs on."""

from __future__ import annotations

import functools
import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headrace.errors import DefinitionError

_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """This is the machine as runs record it.

    Args:
        cores: Cores this process may use.
        memory: Bytes of memory.
        gpus: NVIDIA GPUs that the system shows.
        processor: Model of the processor.
        system: Operating system and its release.
        python: Version of Python.
    """

    cores: int
    memory: int
    gpus: int
    processor: str
    system: str
    python: str

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON-like data."""
        return asdict(self)


@functools.cache
def machine() -> Machine:
    """Return the facts of this machine, read once."""
    return Machine(
        cores=_cores(),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=len(list(Path("/proc/driver/nvidia/gpus").glob("*"))),
        processor=_processor(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8"))
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def parsed_bytes(text: str) -> int:
    """Return the bytes that a size such as "4GB" or "512MB" means.

    Raises:
        DefinitionError: It is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B\s*", text)
    if not found:
        raise DefinitionError(
            f"'{text}' is no size of memory.", remedy="Write it as in '4GB' or '512MB'."
        )
    return int(float(found[1]) * _UNITS[found[2]])
