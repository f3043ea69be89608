"""This module says whose code something is: the user's, a distribution's, Python's, the kernel's.

The user's code is followed into every helper. That of others counts by name and version.
"""

from __future__ import annotations

import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from enum import Enum
from functools import cache
from types import FunctionType, ModuleType
from typing import NamedTuple

from headrace.identity.installed import Installed, owners


class Owner(Enum):
    """This is whose code something is."""

    FIRST_PARTY = "first-party"
    DISTRIBUTION = "distribution"
    PYTHON = "python"
    KERNEL = "kernel"


class Origin(NamedTuple):
    """This is whose code something is, and which distributions it comes from."""

    owner: Owner
    packages: frozenset[Installed] = frozenset()

    @property
    def followed(self) -> bool:
        """Whether the code counts by what it says rather than by its version."""
        return self.owner is Owner.FIRST_PARTY


FIRST_PARTY = Origin(Owner.FIRST_PARTY)
PYTHON = Origin(Owner.PYTHON)
KERNEL = Origin(Owner.KERNEL)
_KERNEL_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def of_module(module: ModuleType, roots: tuple[str, ...]) -> Origin:
    """Return whose a module is."""
    path = getattr(module, "__file__", None)
    if path is None:
        spec = getattr(module, "__spec__", None)
        folders = list(getattr(module, "__path__", ()))
        if folders:  # a namespace package
            return of_path(os.path.join(folders[0], "__init__.py"), roots, module.__name__)
        builtin = spec is not None and spec.origin in ("built-in", "frozen")
        return PYTHON if builtin or module is sys.modules.get("builtins") else FIRST_PARTY
    return of_path(path, roots, module.__name__)


def of_module_name(name: str, roots: tuple[str, ...]) -> Origin | None:
    """Return whose a module is, without importing anything; None where there is none."""
    module = sys.modules.get(name)
    if module is not None:
        return of_module(module, roots)
    top = name.partition(".")[0]
    if top in sys.modules:
        return of_module(sys.modules[top], roots)
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.origin in ("built-in", "frozen"):
        return PYTHON
    folders = list(spec.submodule_search_locations or ())
    path = spec.origin or (os.path.join(folders[0], "__init__.py") if folders else None)
    return None if path is None else of_path(path, roots, top)


def of_function(function: FunctionType, roots: tuple[str, ...]) -> Origin:
    """Return whose the code of a function is, whatever name a decorator gave it."""
    path = function.__code__.co_filename
    name = function.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    own = module is not None and vars(module) is function.__globals__
    if not path.startswith("<"):
        return of_path(path, roots, name if own and isinstance(name, str) else "")
    # made by `exec`, typed into a shell, or frozen: it is whose its globals are
    return of_module(module, roots) if own and module is not None else FIRST_PARTY


def of_class(cls: type, roots: tuple[str, ...]) -> Origin:
    """Return whose a class is."""
    module = sys.modules.get(cls.__module__) if isinstance(cls.__module__, str) else None
    if module is None:
        return FIRST_PARTY
    origin = of_module(module, roots)
    if origin.owner is Owner.PYTHON and cls.__flags__ & 1 << 9:  # a class that a program made
        # code without a module of its own makes classes that say they are Python's
        found: object = module
        for part in cls.__qualname__.split("."):
            found = getattr(found, part, None)
        made_elsewhere = found is not cls and module.__name__ in ("builtins", "__builtin__")
        return FIRST_PARTY if made_elsewhere else origin
    return origin


@cache
def of_path(path: str, roots: tuple[str, ...], module: str = "") -> Origin:
    """Return whose the file at `path` is; the innermost known folder around it decides."""
    path = os.path.abspath(path)
    best, origin = "", None
    for folder, known in _known_folders(roots):
        if len(folder) > len(best) and path.startswith(folder + os.sep):
            best, origin = folder, known
    if origin is not None and origin.owner is not Owner.DISTRIBUTION:
        return origin
    folder = best or _container(path)
    top = os.path.relpath(path, folder).split(os.sep)[0].partition(".")[0]
    packages = owners(folder, top) or (owners(folder, module.partition(".")[0]) if module else None)
    # what no distribution owns has no version to go by, and is read
    return Origin(Owner.DISTRIBUTION, packages) if packages else FIRST_PARTY


@cache
def _known_folders(roots: tuple[str, ...]) -> tuple[tuple[str, Origin], ...]:
    known = [(_KERNEL_FOLDER, KERNEL)]
    known += [(os.path.abspath(root), FIRST_PARTY) for root in roots]
    known += [(folder, Origin(Owner.DISTRIBUTION)) for folder in _site_folders()]
    known += [(sysconfig.get_path(name), PYTHON) for name in ("stdlib", "platstdlib")]
    return tuple((folder.rstrip(os.sep), origin) for folder, origin in known)


def _site_folders() -> Iterator[str]:
    yield sysconfig.get_path("purelib")
    yield sysconfig.get_path("platlib")
    yield from site.getsitepackages()
    if site.ENABLE_USER_SITE:
        yield site.getusersitepackages()
    for entry in sys.path:
        if os.path.basename(entry) in ("site-packages", "dist-packages"):
            yield os.path.abspath(entry)


@cache
def _container(path: str) -> str:
    """Return the folder that holds the outermost package around a file."""
    folder = os.path.dirname(path)
    while os.path.exists(os.path.join(folder, "__init__.py")):
        folder = os.path.dirname(folder)
    return folder
