"""This module keeps how far a reader of a log has come."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from headrace.errors import DamagedArtifactError, ParameterError


@dataclass(frozen=True)
class Position:
    """This is a place in a log: how far each of its segments was read; it survives restarts."""

    offsets: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, int]:
        """Return the position as a JSON object."""
        return dict(self.offsets)

    @classmethod
    def from_json(cls, document: Mapping[str, int]) -> Position:
        """Read a position.

        Raises:
            ParameterError: It is no object of names and whole numbers.
        """
        if not isinstance(document, dict) or not all(
            isinstance(name, str) and type(offset) is int and offset >= 0
            for name, offset in document.items()
        ):
            raise ParameterError(
                f"A position in a decision log is {document!r:.80}.",
                remedy="Give what `Position.to_json` returned.",
            )
        return cls(dict(document))


def save_cursor(folder: Path, name: str, position: Position) -> None:
    """Keep a position as `<folder>/cursors/<name>.json`, in place of the one before.

    Raises:
        OSError: It cannot be written; the one before is kept.
    """
    path = _cursor(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        draft.write_bytes(orjson.dumps(position.to_json()))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def load_cursor(folder: Path, name: str) -> Position | None:
    """Return the position that was kept under a name, or None.

    Raises:
        DamagedArtifactError: The file holds something else.
    """
    path = _cursor(folder, name)
    try:
        return Position.from_json(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, ParameterError) as error:
        raise DamagedArtifactError(
            f"The cursor '{path}' holds no position in a decision log.",
            remedy="Remove the file; its reader then begins with the oldest decision.",
        ) from error


def _cursor(folder: Path, name: str) -> Path:
    if not name or not name.replace("-", "_").isidentifier():
        raise ParameterError(
            f"A cursor is named {name!r}.", remedy="Use letters, digits, '_' and '-'."
        )
    return Path(folder) / "cursors" / f"{name}.json"
