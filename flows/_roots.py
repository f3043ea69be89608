"""This module imports the modules of the configured roots in which something is declared."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from headrace.errors import DefinitionError
from headrace.settings import settings


def modules_with(text: re.Pattern[str]) -> Iterator[ModuleType]:
    """Import the modules of the roots, without a leading underscore, in whose text this stands.

    Raises:
        DefinitionError: One cannot be imported.
    """
    for root in settings().roots:
        package = (root / "__init__.py").is_file()
        folder = str(root.parent if package else root)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            private = any(part.startswith(("_", ".")) for part in parts)
            if private or not text.search(path.read_text(encoding="utf-8")):
                continue
            name = ".".join((root.name, *parts) if package else parts)
            yield _imported(name, path)


def _imported(name: str, path: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DefinitionError(
            f"The flow module {path} cannot be imported: {error}.",
            remedy="Correct the module, or take it out of the roots in headrace.toml.",
        ) from error
