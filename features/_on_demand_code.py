"""This module finds the function of an on-demand view by name, and tells whether it is the same.

An endpoint runs the function in a process of its own, maybe much later than it was deployed. What
the function is made of is kept with the endpoint, so that other code is never run in its place.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from headrace.errors import DefinitionError


def code_of(view: str, function: Any, roots: Sequence[Path]) -> str:
    """Return the digest of a function and all that it reaches, as cache keys have it.

    Args:
        view: Name of its view, for the message.
        function: The function.
        roots: Folders of first-party code.

    Raises:
        DefinitionError: Something that it reaches cannot be seen through.
    """
    from headrace.identity import identify, key_of

    code = identify(function, roots=tuple(roots))
    key = key_of(
        code, schemas={}, parameters={}, inputs={}, seed=None, roots=tuple(roots), memo=None
    )
    if key.digest is None:
        raise DefinitionError(
            f"The code of on-demand view '{view}' cannot be seen through, so that nobody could "
            f"tell whether an endpoint runs the same: {' '.join(key.unresolved)}",
            remedy="Compute it without what is named here.",
        )
    return key.digest[:32]


def require_importable(view: str, function: Any, roots: Sequence[Path]) -> None:
    """Refuse a function that another process would not find by its module and name.

    Raises:
        DefinitionError: It would not.
    """
    module, name = function.__module__, function.__qualname__
    found = None if module == "__main__" else getattr(sys.modules.get(module), name, None)
    if found is not function:
        raise DefinitionError(
            f"On-demand view '{view}' computes with '{module}.{name}', which no other process can "
            "import.",
            remedy="Define it at the top level of a module under one of the roots in "
            "headrace.toml, under its own name.",
        )


def same_function(
    view: str, module: str, function: str, code: str, roots: Sequence[Path]
) -> FunctionType:
    """Import a function by name and return it if it is what it was.

    A module that was imported before may be older than its file; then it is read once more, with
    the first-party modules that the function reaches, into module objects of their own: whoever
    holds the old function keeps it as it was.

    Args:
        view: Name of the view, for messages.
        module: Module of the function.
        function: Its name there.
        code: The digest it has to have.
        roots: Folders of first-party code.

    Raises:
        DefinitionError: There is no such function, or it is another one by now.
    """
    _make_importable(roots)
    found = _imported(view, module, function)
    if code_of(view, found, roots) == code:
        return found
    with _anew(_modules_of(found, roots)):
        found = _imported(view, module, function)
        if code_of(view, found, roots) != code:
            raise DefinitionError(
                f"On-demand view '{view}' is computed by '{module}.{function}', which is not what "
                "it was at deploy: its code, or a version of what it uses, has changed since.",
                remedy="Run the flow that deploys the endpoint again, with a model that was "
                "trained on what it computes now; or restore what was deployed.",
            )
    return found


@contextlib.contextmanager
def _anew(names: Iterable[str]) -> Iterator[None]:
    """Let modules be imported once more, and put the old ones back where that fails."""
    importlib.invalidate_caches()
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        yield
    except BaseException:
        sys.modules.update(before)
        raise


def _imported(view: str, module: str, function: str) -> FunctionType:
    try:
        found = getattr(importlib.import_module(module), function, None)
    except Exception as error:  # a user's module may raise anything
        raise DefinitionError(
            f"The function '{module}.{function}' of on-demand view '{view}' cannot be imported: "
            f"{type(error).__name__}: {error}".rstrip(".")
            + ".",
            remedy="Keep its module under one of the roots in headrace.toml, and importable.",
        ) from error
    if not isinstance(found, FunctionType):
        raise DefinitionError(
            f"Module '{module}' has no function '{function}', by which on-demand view '{view}' is "
            "computed.",
            remedy="Restore it, or run the flow that deploys the endpoint again.",
        )
    return found


def _modules_of(function: FunctionType, roots: Sequence[Path]) -> set[str]:
    """Return the function's module, and the first-party modules of what it reaches."""
    from headrace.identity import identify

    names = {function.__module__}
    for part in identify(function, roots=tuple(roots)).parts:
        if part.kind in ("code", "class", "constant"):
            pieces = part.name.split(".")
            names |= {".".join(pieces[:n]) for n in range(1, len(pieces))}
    folders = [str(root.resolve()) for root in roots]

    def is_first_party(name: str) -> bool:
        file = getattr(sys.modules.get(name), "__file__", None)
        return (
            file is not None
            and any(str(Path(file).resolve()).startswith(f"{folder}/") for folder in folders)
            and Path(file).name != "__init__.py"
        )

    return {name for name in names if is_first_party(name)} | {function.__module__}


def _make_importable(roots: Sequence[Path]) -> None:
    """Let modules under the roots be imported by the names that the catalogue gives them."""
    for folder in import_folders(roots):
        if folder not in sys.path:
            sys.path.append(folder)


def import_folders(roots: Sequence[Path]) -> tuple[str, ...]:
    """Return the folders that modules under the roots are imported from."""
    found: dict[str, None] = {}
    for start in roots:
        for folder in (start, start / "features"):
            top = folder
            while (top / "__init__.py").is_file():
                top = top.parent
            if folder.is_dir():
                found[str(top.absolute())] = None
    return tuple(found)
