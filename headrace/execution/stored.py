"""This module puts artifacts into the store and takes them out again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.artifacts import Artifact, Document, Model, Partitions, Tabular, kind_named
from headrace.contents import DocumentContent, FilesContent, TableContent
from headrace.lineage.records import ArtifactRecord, EdgeRecord
from headrace.schemas import TableSchema

if TYPE_CHECKING:
    from headrace.lineage import InvocationRecord, Lineage
    from headrace.store import Store, Stored

A = TypeVar("A", bound=Artifact)


def put(artifact: A, store: Store) -> tuple[A, ArtifactRecord]:
    """Write an artifact into the store and return the stored handle and its record.

    Raises:
        StoreError: The store cannot take it (disk full, not writable).
    """
    schema, summary = None, {}
    if isinstance(artifact, Tabular):
        kept = store.put_table(artifact.arrow())
        schema = artifact.schema
        content: Any = TableContent.stored(
            store, kept.digest, schema=schema, rows=kept.rows, uri=kept.uri
        )
    elif isinstance(artifact, Model):
        kept = _put_files(artifact, store)
        content = _files(store, kept.digest, uri=kept.uri, notes=artifact.notes)
        summary = {"flavor": artifact.card.flavor, "metrics": dict(artifact.card.metrics)}
    elif isinstance(artifact, Document):
        kept = store.put_document(artifact.document)
        content = _document(store, kept.digest, uri=kept.uri)
        summary = _summary(artifact.document)
    else:
        raise TypeError(artifact.kind)
    record = ArtifactRecord(
        digest=kept.digest,
        kind=artifact.kind,
        schema=None if schema is None else schema.to_json(),
        rows=kept.rows,
        bytes=kept.bytes,
        uri=kept.uri,
        summary=summary,
    )
    return type(artifact).holding(content), record


def _put_files(model: Model, store: Store) -> Stored:
    content: FilesContent = model._known("files")
    if content.stored_in is not None:
        return store.put_files(content.stored_in)
    with tempfile.TemporaryDirectory(prefix="headrace-model-") as folder:
        for name, data in content.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return store.put_files(Path(folder))


def _files(
    store: Store, digest: str, *, uri: str, notes: Mapping[str, Any] | None = None
) -> FilesContent:
    return FilesContent(
        stored_in=store.files(digest), known_digest=digest, notes=dict(notes or {}), uri=uri
    )


def _document(store: Store, digest: str, *, uri: str) -> DocumentContent:
    return DocumentContent(load=lambda: store.read_document(digest), known_digest=digest, uri=uri)


def _summary(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the few values of a document that lists of runs show."""
    metrics = document.get("metrics")
    found: dict[str, Any] = {}
    if isinstance(metrics, Mapping):
        found["metrics"] = {
            k: v["value"] if isinstance(v, Mapping) else v for k, v in metrics.items()
        }
    found.update({k: v for k, v in document.items() if isinstance(v, bool | int | float | str)})
    return found


def get(store: Store, record: ArtifactRecord, *, schema: TableSchema | None = None) -> Artifact:
    """Return the handle of a stored artifact; data is read when asked for.

    Args:
        store: Where it lies.
        record: Its record.
        schema: Its schema in this place, when the record's is another's of the same content.

    Raises:
        DamagedArtifactError: A model's files are not what was written.
    """
    kind = kind_named(record.kind)
    if issubclass(kind, Tabular):
        if schema is None and record.schema is not None:
            schema = TableSchema.from_json(record.schema)
        return kind.holding(
            TableContent.stored(
                store, record.digest, schema=schema, rows=record.rows, uri=record.uri
            )
        )
    if issubclass(kind, Model):
        return kind.holding(_files(store, record.digest, uri=record.uri))
    return kind.holding(_document(store, record.digest, uri=record.uri))


def outputs_of(invocation: InvocationRecord, lineage: Lineage, store: Store) -> dict[str, Artifact]:
    """Return the outputs of a recorded invocation as handles; partitions are put together.

    Raises:
        DamagedArtifactError: A model's files are not what was written.
    """
    schemas = invocation.attributes.get("schemas", {})
    found: dict[str, Artifact] = {}
    parts: dict[str, dict[str, Artifact]] = {
        name: {} for name in invocation.attributes.get("partitions", ())
    }
    for edge in invocation.outputs:
        schema = TableSchema.from_json(schemas[edge.name]) if schemas.get(edge.name) else None
        record = lineage.artifact(edge.digest, kind=edge.kind)
        artifact = get(store, record, schema=schema)
        name, bracket, item = edge.name.partition("[")
        if bracket:
            parts[name][item.removesuffix("]")] = artifact
        else:
            found[edge.name] = artifact
    return found | {name: Partitions.of(items) for name, items in parts.items()}


def flattened(outputs: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """Return outputs with partitions as entries of their own, named "output[partition]"."""
    flat: dict[str, Artifact] = {}
    for name, artifact in outputs.items():
        if isinstance(artifact, Partitions):
            flat.update({f"{name}[{k}]": v for k, v in artifact.items.items()})
        else:
            flat[name] = artifact
    return flat


def edges_of(outputs: Mapping[str, Artifact]) -> tuple[EdgeRecord, ...]:
    """Return the edges that lineage records for named artifacts."""
    return tuple(
        EdgeRecord(name=name, digest=a.digest, kind=a.kind)
        for name, a in flattened(outputs).items()
    )
