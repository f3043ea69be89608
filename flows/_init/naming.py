"""This module says which names a package of a user's own may have."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
import sys
from pathlib import Path

from headrace.errors import ParameterError

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")
# what lies beside the package in its repository, or in the home
_FOLDERS = ("data", "tests", "var")


def name_of_folder(folder: Path) -> str:
    """Return the name that a folder's name suggests: "late-orders" gives "late_orders"."""
    return re.sub(r"[^a-z0-9]+", "_", folder.name.lower()).strip("_")


def check_name(name: str) -> None:
    """Refuse a name that cannot be imported, or would hide another package or be hidden by it.

    Raises:
        ParameterError: It is such a name; the message says which of these.
    """
    remedy = "Give another name: --name acme"
    if not _PLAIN.fullmatch(name):
        raise ParameterError(
            f"'{name}' is no name for a package: lower-case letters, digits and '_', beginning "
            "with a letter, can be imported everywhere.",
            remedy=remedy,
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ParameterError(f"'{name}' is a word of Python, no name for a package.", remedy=remedy)
    if name in _FOLDERS:
        raise ParameterError(
            f"'{name}' is the name of another folder of the repository.", remedy=remedy
        )
    if name in sys.stdlib_module_names:
        raise ParameterError(f"'{name}' is a module of Python itself.", remedy=remedy)
    if (owner := _owner(name)) is not None:
        raise ParameterError(
            f"'{name}' is a package of {owner}, which is installed: one would hide the other.",
            remedy=remedy,
        )


def _owner(name: str) -> str | None:
    """Return the distribution that has a top-level package of this name; none where none has."""
    if _is_of_working_directory(name):
        return None
    try:
        if importlib.util.find_spec(name) is None:
            return None
    except (ImportError, ValueError):  # it breaks when looked at, but it is there
        pass
    owners = importlib.metadata.packages_distributions().get(name)
    return f"'{owners[0]}'" if owners else "something"


def _is_of_working_directory(name: str) -> bool:
    """Say whether only a folder that happens to lie here is in the way, not a package."""
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is None or spec.origin is not None:
        return False
    places = [Path(place).parent for place in spec.submodule_search_locations or ()]
    return bool(places) and all(place == Path.cwd() for place in places)
