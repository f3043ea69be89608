"""This module holds what is inside artifacts: in memory, or read from the store when asked for."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.errors import DefinitionError, StoreError, UnknownNameError
from headrace.schemas import TableSchema

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from headrace.models import ModelCard
    from headrace.store import Store

CARD = "model.json"


@dataclass(eq=False, kw_only=True)
class TableContent:
    """These are the rows of a tabular artifact.

    Args:
        load: Returns the Arrow table; called once.
        schema: What is known of the columns.
        known_digest: The digest, when the store has it.
        known_rows: The number of rows, when the store has it.
        uri: Where it is stored; empty in memory.
    """

    load: Callable[[], pa.Table]
    schema: TableSchema | None
    known_digest: str | None = None
    known_rows: int | None = None
    uri: str = ""

    @classmethod
    def of(
        cls, data: pd.DataFrame | pa.Table | Mapping[str, Any], *, schema: TableSchema | None
    ) -> TableContent:
        """Hold data in memory, conformed to the schema when there is one."""
        from headrace.conform import as_arrow, conform, inferred_schema

        table = as_arrow(data)
        if schema is None:
            schema = inferred_schema(table)
        else:
            table = conform(table, schema, where=f"Data for schema '{schema.name}'")
        return cls(load=lambda: table, schema=schema, known_rows=table.num_rows)

    @classmethod
    def stored(
        cls, store: Store, digest: str, *, schema: TableSchema | None, rows: int | None, uri: str
    ) -> TableContent:
        """Read the data from a store when it is first asked for."""
        names = None if schema is None else schema.names
        return cls(
            load=lambda: store.read_table(digest, names),
            schema=schema,
            known_digest=digest,
            known_rows=rows,
            uri=uri,
        )

    @functools.cached_property
    def _table(self) -> pa.Table:
        return self.load()

    def arrow(self) -> pa.Table:
        """Return the rows."""
        return self._table

    @functools.cached_property
    def digest(self) -> str:
        """The digest of the logical content."""
        from headrace.content import table_digest

        return self.known_digest or table_digest(self._table)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self._table.num_rows if self.known_rows is None else self.known_rows

    def projected(self, schema: TableSchema, *, where: str) -> TableContent:
        """Return the content with the declared columns only, types widened, or refuse it."""
        from headrace.conform import conform

        if self.schema == schema:
            return self
        return TableContent(
            load=lambda: conform(self._table, schema, where=where),
            schema=schema,
            known_digest=self.known_digest,
            known_rows=self.known_rows,
            uri=self.uri,
        )


@dataclass(eq=False, kw_only=True)
class FilesContent:
    """These are the files of a model: in memory, or in a directory of the store."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    stored_in: Path | None = None
    known_digest: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    uri: str = ""

    @classmethod
    def of_model(
        cls, files: Mapping[str, bytes], *, card: ModelCard, notes: Mapping[str, Any] | None
    ) -> FilesContent:
        """Hold a model's files in memory, the card among them.

        Raises:
            DefinitionError: A file is no bytes, or has the name of the card.
        """
        for name, data in files.items():
            if name == CARD or not isinstance(data, bytes):
                wrong = "has the name of its card" if name == CARD else f"is {type(data).__name__}"
                raise DefinitionError(
                    f"File '{name}' of a model {wrong}.",
                    remedy="Give every file a name of its own and its content as bytes.",
                )
        card_bytes = json.dumps(card.to_json(), indent=1, sort_keys=True).encode()
        return cls(files={**files, CARD: card_bytes}, notes=dict(notes or {}))

    @functools.cached_property
    def digest(self) -> str:
        """The digest of names and contents."""
        from headrace.content import bytes_digest

        return self.known_digest or bytes_digest(self.files)

    def names(self) -> tuple[str, ...]:
        """Return the file names, sorted."""
        if self.stored_in is None:
            return tuple(sorted(self.files))
        root = self.stored_in
        return tuple(sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()))

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            UnknownNameError: There is no such file.
        """
        if name not in self.names():
            raise UnknownNameError.of(
                "file of the model", name, self.names(), remedy="Read a file that the model has."
            )
        if self.stored_in is not None:
            return (self.stored_in / name).read_bytes()
        return self.files[name]

    def document(self, name: str) -> dict[str, Any]:
        """Return a JSON file's content."""
        loaded: dict[str, Any] = json.loads(self.read(name))
        return loaded

    def directory(self) -> Path:
        """Return the directory of the files."""
        if self.stored_in is None:
            raise StoreError(
                "This model is in memory only and has no directory.",
                remedy="Take it from a finished run, or read its files with `model.read(name)`.",
            )
        return self.stored_in


@dataclass(eq=False, kw_only=True)
class DocumentContent:
    """This is the JSON-like data of an evaluation or report."""

    load: Callable[[], dict[str, Any]]
    known_digest: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    uri: str = ""

    @classmethod
    def of(cls, document: Mapping[str, Any], *, notes: Mapping[str, Any] | None) -> DocumentContent:
        """Hold a document in memory.

        Raises:
            DefinitionError: It holds what JSON cannot, or is no mapping with text keys.
        """
        try:
            plain: dict[str, Any] = json.loads(json.dumps(dict(document)))
        except (TypeError, ValueError) as error:
            raise DefinitionError(
                f"The document cannot be written as JSON: {error}.",
                remedy="Hold numbers, text, lists and dicts; write numpy values as `float(x)`.",
            ) from error
        if not all(isinstance(key, str) for key in document):
            raise DefinitionError(
                f"The document has keys that are no text: {sorted(map(repr, document))[:3]}.",
                remedy="Use text keys.",
            )
        return cls(load=lambda: plain, notes=dict(notes or {}))

    @functools.cached_property
    def document(self) -> dict[str, Any]:
        """The data."""
        return self.load()

    @functools.cached_property
    def digest(self) -> str:
        """The digest of the canonical JSON."""
        from headrace.content import document_digest

        return self.known_digest or document_digest(self.document)
