"""This module asks the NVIDIA driver which GPUs there are and how full their memory is."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

_PATIENCE_SECONDS = 2.0  # a driver that has to wake its device takes most of one
_COMMAND = ("--query-gpu=name,memory.used,memory.total", "--format=csv,noheader,nounits")
_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """This is a GPU as the driver shows it.

    Attributes:
        name: Its model; "GPU" where only its presence is known.
        memory_used: Bytes in use by all processes; None where nobody says.
        memory_total: Bytes; None where nobody says.
    """

    name: str
    memory_used: int | None = None
    memory_total: int | None = None


def gpus() -> list[Gpu]:
    """Return the GPUs of this machine, empty where there are none."""
    program = shutil.which("nvidia-smi")
    if program is not None:
        try:
            asked = subprocess.run(  # noqa: S603  the driver's own program
                [program, *_COMMAND],
                capture_output=True,
                text=True,
                timeout=_PATIENCE_SECONDS,
                check=True,
            )
            return parsed_gpus(asked.stdout)
        except (OSError, ValueError, subprocess.SubprocessError):
            pass  # a driver that does not answer; how many there are is known all the same
    from headrace.machine import machine

    return [Gpu(name="GPU")] * machine().gpus


def parsed_gpus(table: str) -> list[Gpu]:
    """Return the GPUs of the driver's table: a line each, with name and MiB used and in all.

    Raises:
        ValueError: It is no such table.
    """
    found = []
    for line in table.splitlines():
        name, used, total = (word.strip() for word in line.rsplit(",", 2))
        found.append(Gpu(name=name, memory_used=_bytes(used), memory_total=_bytes(total)))
    return found


def _bytes(mib: str) -> int | None:
    """Return MiB in bytes; None for what the driver does not know, such as "[N/A]"."""
    return int(mib) * _MIB if mib.isdecimal() else None
