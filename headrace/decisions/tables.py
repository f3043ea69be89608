"""This module turns the records of a segment into Arrow tables, the same for every model.

Models differ in their features, and files of Parquet should not: so the features of a decision are
two maps, `features` from names to numbers and `texts` from names to text. `features['distance']` is
then a DOUBLE in every query, whether the models of the log have that feature or not, and a new
model needs no new column. What a document holds beside the columns below, or with another type, is
kept as JSON in `more`: nothing is lost, and nothing stops a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import orjson

from headrace.decisions.feature_maps import feature_maps
from headrace.decisions.fields import FIELDS, Document, column_of, schema_of
from headrace.decisions.frames import COLUMNS, DECISION, OUTCOME, SHADOW, Frame

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = {DECISION: "decisions", SHADOW: "shadows", OUTCOME: "outcomes"}


def tables_of(
    frames: Iterable[Frame], segment: str, *, rows: int = 2000
) -> Iterator[tuple[str, pa.Table]]:
    """Yield the records of a segment as named tables of up to `rows` rows, in the log's order.

    Args:
        frames: All frames of the segment from its begin, with the columns that explain decisions.
        segment: Its name, which with `place` says where a row comes from.
        rows: How many rows are held as Python objects at once.
    """
    names: dict[int, list[str]] = {}
    waiting: dict[str, list[tuple[Document, int]]] = {name: [] for name in FIELDS}
    for frame in frames:
        document = orjson.loads(frame.payload)
        if frame.kind == COLUMNS:
            names[document["id"]] = document["names"]
            continue
        table = TABLES[frame.kind]
        waiting[table].append((document, frame.offset))
        if len(waiting[table]) >= rows:
            yield table, _table(table, waiting.pop(table), segment, names)
            waiting[table] = []
    for table, documents in waiting.items():
        if documents:
            yield table, _table(table, documents, segment, names)


def _table(
    table: str, found: list[tuple[Document, int]], segment: str, names: dict[int, list[str]]
) -> pa.Table:
    import pyarrow as pa

    schema = schema_of(table)
    documents = [document for document, _ in found]
    rest: list[Document] = [{} for _ in documents]
    columns = [column_of(documents, name, kind, rest) for name, kind in FIELDS[table].items()]
    known = {"kind", *FIELDS[table]}
    if table == "decisions":
        columns += feature_maps(documents, names, rest)
        known |= {"features"}
    for document, more in zip(documents, rest, strict=True):
        if not document.keys() <= known:
            more.update((key, document[key]) for key in document.keys() - known)
    columns += [
        pa.array([orjson.dumps(more).decode() if more else None for more in rest], pa.string()),
        pa.array([segment] * len(found), pa.string()),
        pa.array([place for _, place in found], pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
