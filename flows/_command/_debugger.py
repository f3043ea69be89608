"""This module calls a body under Python's debugger, pdb."""

from __future__ import annotations

import functools
import inspect
import pdb
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from flows._command import _screen
from headrace.execution.again import Again, call_again, frames_of_body

if TYPE_CHECKING:
    from headrace.execution.again import Body, CalledAgain


class _Left(BaseException):
    """This is raised when the debugger is left in the middle of the body."""


class _Debugger(pdb.Pdb):
    """This is pdb, which says that it was left, and shows a failure in the user's own code.

    Args:
        roots: Folders of the user's code.
        body: What is looked into.
    """

    def __init__(self, roots: Sequence[Path], body: Body) -> None:
        super().__init__()
        self.prompt = "(pdb) "
        self._roots = tuple(roots)
        self._file = inspect.unwrap(body).__code__.co_filename  # may lie outside the roots
        self.left = False

    def set_quit(self) -> None:
        """Remember that it was left before the body came to its end."""
        self.left = True
        super().set_quit()

    def get_stack(
        self, f: FrameType | None, t: TracebackType | None
    ) -> tuple[list[tuple[FrameType, int]], int]:
        """Begin after a failure at the last frame of the user's code; `down` goes deeper."""
        stack, index = super().get_stack(f, t)
        if f is not None:
            return stack, index
        own = [i for i, (frame, _) in enumerate(stack) if self._is_own(frame)]
        return stack, own[-1] if own else 0

    def _is_own(self, frame: FrameType) -> bool:
        file = frame.f_code.co_filename
        return file == self._file or any(Path(file).is_relative_to(r) for r in self._roots)


def debugged(again: Again, *, roots: Sequence[Path]) -> CalledAgain | None:
    """Call a node's body again, stopping at its first line and where it fails.

    Args:
        again: The prepared node.
        roots: Folders of the user's code.

    Returns:
        What came of it; None when the debugger was left.
    """
    debugger = _Debugger(roots, again.operator.body)

    def through(body: Body) -> Body:
        @functools.wraps(body)
        def stepped(*args: Any, **kwargs: Any) -> Any:
            made = debugger.runcall(body, *args, **kwargs)
            if debugger.left:
                raise _Left
            return made

        return stepped

    _screen.write("The debugger stops at the first line of the body; `h` tells what to type.")
    try:
        called = call_again(again, through=through, tell=_screen.write)
    except _Left:
        _screen.write("The debugger was left; nothing was recorded.")
        return None
    if called.error is not None:
        _look_into(debugger, again, called.error)
    return called


def _look_into(debugger: _Debugger, again: Again, error: BaseException) -> None:
    frames = frames_of_body(again, error)
    _screen.write(f"{type(error).__name__}: {error}")
    if frames is None:
        _screen.write("It failed outside the body: what it takes or gives is not as declared.")
        return
    _screen.write("The debugger stops where it failed; `q` ends it.")
    debugger.reset()
    debugger.interaction(None, frames)
