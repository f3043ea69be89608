"""This module finds the user's own functions that somebody has put on a library's class."""

from __future__ import annotations

from functools import cached_property
from types import FunctionType

from headrace.identity import origins


def patches_of(cls: type, roots: tuple[str, ...]) -> list[tuple[str, FunctionType]]:
    """Return the functions of first-party files on a class of others, by attribute, in order.

    The class counts by its distribution's version, which says nothing of what was added to it.

    Args:
        cls: A class that is not the user's.
        roots: Folders whose code is followed.
    """
    found = []
    for base in cls.__mro__:
        if origins.of_class(base, roots).followed:
            continue
        for name, value in list(vars(base).items()):
            found += [
                (name, function)
                for function in _functions(value)
                if not function.__code__.co_filename.startswith("<")
                and origins.of_function(function, roots).followed
            ]
    return sorted(found, key=lambda patch: patch[0])


def _functions(value: object) -> list[FunctionType]:
    """Return the functions behind an attribute of a class, as far as descriptors show them."""
    if isinstance(value, FunctionType):
        return [value]
    if isinstance(value, staticmethod | classmethod):
        held: tuple[object, ...] = (value.__func__,)
    elif isinstance(value, property):
        held = (value.fget, value.fset, value.fdel)
    elif isinstance(value, cached_property):
        held = (value.func,)
    else:
        held = ()
    return [function for function in held if isinstance(function, FunctionType)]
