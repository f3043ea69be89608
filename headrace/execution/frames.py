"""This module finds where in a traceback a body begins, and the kernel's part ends."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from types import TracebackType

import headrace

_KERNEL = f"{Path(headrace.__file__).parent}{os.sep}"


def frames_of_body(frames: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the kernel's frames that lead to the body; None if all are."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_KERNEL):
        frames = frames.tb_next
    return frames


def told_of_body(error: BaseException) -> str:
    """Return an error with its traceback from the body on, as Python shows it."""
    return "".join(
        traceback.format_exception(type(error), error, frames_of_body(error.__traceback__))
    )
