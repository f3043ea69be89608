"""This module finds the line of the user's code that is being read, or that has raised."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import traceback
from pathlib import Path
from types import CodeType, FrameType

from headrace.plan.graph import Location

_KERNEL = str(Path(__file__).parent.parent) + os.sep
_LIBRARIES = tuple(
    sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def calling(body: CodeType) -> Location:
    """Return the innermost line that is the user's, at most as far out as the flow's body."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _is_users(frame.f_code.co_filename) or frame.f_code is body:
            return Location(file=shown(frame.f_code.co_filename), line=frame.f_lineno)
        frame = frame.f_back
    return defining(body)


def raising(error: BaseException, body: CodeType) -> Location:
    """Return the innermost line of the traceback that is the user's."""
    frames = traceback.extract_tb(error.__traceback__)
    found = [f for f in frames if _is_users(f.filename) or f.filename == body.co_filename]
    if not found:
        return defining(body)
    return Location(file=shown(found[-1].filename), line=found[-1].lineno or 0)


def defining(body: CodeType) -> Location:
    """Return the line where the flow is defined."""
    return Location(file=shown(body.co_filename), line=body.co_firstlineno)


def _is_users(filename: str) -> bool:
    return not filename.startswith((_KERNEL, *_LIBRARIES, "<frozen "))


@functools.lru_cache(maxsize=1024)
def shown(filename: str) -> str:
    """Return a file as a reader would type it: relative where it lies below."""
    path = Path(filename)
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):  # it lies elsewhere, or the folder is gone
        return filename
