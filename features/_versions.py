"""This module numbers the versions of views: a view that means something else has a new number.

The numbers are Feast's: 0 for the first version of a view, whose online table has the view's name,
then 1, 2, … They are kept in `features/versions.json` of the home and never given back.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError, StoreError, UnknownNameError

if TYPE_CHECKING:
    from features.view import FeatureView

# what people may reword without changing what a value means
_WORDS = ("owner", "description", "tags", "freshness_seconds", "stage", "replaced_by", "readers")
_IN_CODE = ("lapses",)  # what its code says
_REFERENCE = re.compile(r"(?P<view>[a-z][a-z0-9_]*)(@v(?P<number>0|[1-9][0-9]*))?")


def version_of(view: FeatureView) -> str:
    """Return the digest of what the view's values mean: its columns, its ttl, what computes it.

    Owner, description of the view, tags, stage, readers and the freshness target do not count.
    """
    from headrace.content import document_digest

    definition = {k: v for k, v in view.definition().items() if k not in (*_WORDS, *_IN_CODE)}
    return document_digest({**definition, "code": _code_of(view)})[:16]


def number_of(view: FeatureView) -> int:
    """Return the number of the view's version in this home; a new version gets the next one.

    Raises:
        StoreError: The numbers cannot be read or written.
    """
    digest = version_of(view)
    known = _numbers().get(view.name, [])
    if not known or known[-1] != digest:
        known = _claim(view.name, digest)
    return len(known) - 1


def latest_number(view: str) -> int | None:
    """Return the newest number that was given to a view, None where none was."""
    known = _numbers().get(view)
    return len(known) - 1 if known else None


def parse_reference(reference: str) -> tuple[str, int | None]:
    """Return name and number of "view" or "view@v2"; without a version the number is None.

    Raises:
        DataError: It is neither.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise DataError(
            f"'{reference}' is no reference to a feature view.",
            remedy="Write the view's name, such as 'airport_weather', or 'airport_weather@v0' for "
            "one of its versions.",
        )
    number = found["number"]
    return found["view"], None if number is None else int(number)


def unknown_version(view: str, number: int, known: list[int]) -> UnknownNameError:
    """Return the error for a version that a view does not have."""
    has = ", ".join(f"v{n}" for n in known) or "none"
    return UnknownNameError(
        f"View '{view}' has no published version v{number}; it has {has}.",
        remedy="Name one of its versions, or none for the current one.",
    )


def features_folder() -> Path:
    """Return the folder of all that is published."""
    from headrace.settings import settings

    return settings().home / "features"


def _code_of(view: FeatureView) -> str:
    from headrace.identity import CodeIdentity, key_of
    from headrace.settings import settings

    return _digest_of(_Same(view.compute), key_of, CodeIdentity, tuple(settings().roots))


class _Same:
    """This compares what it holds by identity, so that a digest is worked out once a process."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.held is other.held

    def __hash__(self) -> int:
        return id(self.held)


@functools.lru_cache(maxsize=1024)
def _digest_of(compute: _Same, key_of: Any, identity: Any, roots: tuple[Path, ...]) -> str:
    code = identity(parts=(), unresolved=())
    key = key_of(
        code, schemas={}, parameters={"c": compute.held}, inputs={}, seed=None, roots=roots
    )
    # the first part is the value with all code that it reaches; packages have parts of their own,
    # and a new version of a library does not make a new version of every view
    return str(next(part.digest for part in key.parts if part.kind == "parameter"))


def _numbers() -> dict[str, list[str]]:
    file = features_folder() / "versions.json"
    try:
        found: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StoreError(
            f"The version numbers of feature views cannot be read: {file}.",
            remedy="Restore the file from a backup; without it versions would be numbered anew.",
        ) from error
    return found


def _claim(view: str, digest: str) -> list[str]:
    from features._files import atomically, locked

    folder = features_folder()
    with locked(folder, "versions"):
        numbers = _numbers()
        known = numbers.setdefault(view, [])
        if not known or known[-1] != digest:
            known.append(digest)
            text = json.dumps(numbers, indent=1, sort_keys=True)
            atomically(folder / "versions.json", lambda path: path.write_text(text, "utf-8"))
    return known
