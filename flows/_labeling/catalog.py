"""This module finds labeling loops by name: in the roots, or where a notebook declares them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from flows._roots import modules_with
from headrace.errors import DefinitionError, UnknownNameError

if TYPE_CHECKING:
    from flows._labeling.loop import LabelLoop

_DECLARED = re.compile(r"\bLabelLoop\(")
_at_hand: ContextVar[tuple[LabelLoop, ...]] = ContextVar("headrace_label_loops", default=())


def find_loops() -> dict[str, LabelLoop]:
    """Return the loops of all roots by name, sorted, and those that are at hand.

    Raises:
        DefinitionError: Two loops have the same name, or a module cannot be imported.
    """
    from flows._labeling.loop import LabelLoop

    found = {loop.name: loop for loop in _at_hand.get()}
    places = dict.fromkeys(found, "this process")
    for module in modules_with(_DECLARED):
        for value in vars(module).values():
            if not isinstance(value, LabelLoop):
                continue
            other = found.setdefault(value.name, value)
            if other is not value and places[value.name] != "this process":
                raise DefinitionError(
                    f"Two labeling loops are called '{value.name}': in {places[value.name]} and "
                    f"{module.__name__}.",
                    remedy="Give the task of one of them another name.",
                )
            places.setdefault(value.name, module.__name__)
    return dict(sorted(found.items()))


def loop_named(name: str) -> LabelLoop:
    """Return a loop by its name.

    Raises:
        UnknownNameError: There is no such loop; the message offers the nearest.
    """
    loops = find_loops()
    if name in loops:
        return loops[name]
    raise UnknownNameError.of(
        "labeling loop",
        name,
        loops,
        remedy="Declare one, `LOOP = LabelLoop(...)`, in a module of your roots; "
        "docs/guide/labeling.md shows how.",
    )


@contextlib.contextmanager
def at_hand(loop: LabelLoop) -> Iterator[None]:
    """Let the block find a loop that no module of the roots declares, or find it instead."""
    token = _at_hand.set((*_at_hand.get(), loop))
    try:
        yield
    finally:
        _at_hand.reset(token)
