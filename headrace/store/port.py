"""This module states what every store promises; `StoreContract` holds the same as tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, kw_only=True)
class Stored:
    """This says where content was put.

    Args:
        digest: The sha256 of the logical content, in hex; the name to read it by.
        uri: Where it lies, for people; never needed to read it.
        bytes: The size of what is kept, without the manifest.
        rows: The number of rows of a table, else None.
    """

    digest: str
    uri: str
    bytes: int
    rows: int | None


class Store(Protocol):
    """This port keeps tables, documents and directories of files under their digests.

    Content is written once and never changed. Whoever writes the same content second, in this
    process or another, gets the first one's copy (so an equal table may come back with the first
    writer's encoding and metadata). Nothing is visible before it is whole, and nothing is returned
    that is not what was written.
    """

    def put_table(self, table: pyarrow.Table) -> Stored:
        """Keep a table; types, dictionaries, time zones and metadata come back as they were."""
        ...

    def put_document(self, document: dict[str, Any]) -> Stored:
        """Keep a JSON-like document: an evaluation or a report."""
        ...

    def put_files(self, directory: Path) -> Stored:
        """Keep a copy of the files of a directory: a model."""
        ...

    def read_table(self, digest: str, columns: Sequence[str] | None = None) -> pyarrow.Table:
        """Return a table, or only these columns of it, in this order.

        Raises:
            UnknownNameError: The digest is not in the store, or the table has no such column.
            DamagedArtifactError: What is kept is no longer what was written.
        """
        ...

    def read_document(self, digest: str) -> dict[str, Any]:
        """Return a document; raises as `read_table` does."""
        ...

    def files(self, digest: str) -> Path:
        """Return the directory of the kept files, to be read only; raises as `read_table` does."""
        ...

    def has(self, digest: str) -> bool:
        """Say whether the content is here and intact, so that it need not be made again."""
        ...

    def digests(self) -> Iterator[str]:
        """Yield the digests of everything that is kept, in no particular order."""
        ...

    def discard(self, digest: str) -> None:
        """Move the content aside, so that it can be written again; unknown digests are ignored."""
        ...

    def in_use(self) -> AbstractContextManager[None]:
        """Let nothing be collected until the block ends; any number may use it at a time."""
        ...
