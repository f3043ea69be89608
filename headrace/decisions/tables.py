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

from headrace.decisions.batch_tables import batch_table
from headrace.decisions.batches import shadows_of
from headrace.decisions.columns import Columns
from headrace.decisions.documents import parsed
from headrace.decisions.feature_maps import feature_maps
from headrace.decisions.fields import FIELDS, Document, column_of, schema_of, values_of
from headrace.decisions.frames import BATCH, COLUMNS, DECISION, LOST, OUTCOME, SCORES, SHADOW, Frame

if TYPE_CHECKING:
    import pyarrow as pa

# So few that their objects stay in the processor's cache and die young: with ten times as many, the
# garbage collector walks over them again and again, which takes as long as parsing them.
_ROWS = 250
TABLES = {DECISION: "decisions", SHADOW: "shadows", OUTCOME: "outcomes"}


def tables_of(
    frames: Iterable[Frame], segment: str, *, rows: int = _ROWS
) -> Iterator[tuple[str, pa.Table]]:
    """Yield the records of a segment as named tables of up to `rows` rows, in the log's order.

    Args:
        frames: All frames of the segment from its begin, with the columns that explain decisions.
        segment: Its name, which with `place` says where a row comes from.
        rows: How many rows are held as Python objects at once.
    """
    names: dict[int, list[str]] = {}
    known: dict[int, Columns] = {}
    waiting: dict[str, list[tuple[bytes, int]]] = {name: [] for name in FIELDS}
    for kind, _, _, payload, offset, _ in frames:
        if kind == COLUMNS:
            document = orjson.loads(payload)
            names[document["id"]] = document["names"]
            known[document["id"]] = Columns.from_json(document)
            continue
        if kind == BATCH:
            if waiting["decisions"]:  # in the log's order
                yield "decisions", _table("decisions", waiting["decisions"], segment, names)
                waiting["decisions"] = []
            document = orjson.loads(payload)
            yield "decisions", batch_table(document, known[document["columns"]], segment, offset)
            continue
        if kind == SCORES:
            if waiting["shadows"]:
                yield "shadows", _table("shadows", waiting["shadows"], segment, names)
                waiting["shadows"] = []
            scores = list(shadows_of(orjson.loads(payload)))
            yield "shadows", _rows("shadows", scores, [offset] * len(scores), segment, names)
            continue
        if kind == LOST:  # what a repair put in the place of damaged bytes
            continue
        table = TABLES[kind]
        found = waiting[table]
        found.append((payload, offset))
        if len(found) >= rows:
            yield table, _table(table, found, segment, names)
            waiting[table] = []
    for table, found in waiting.items():
        if found:
            yield table, _table(table, found, segment, names)


def _table(
    table: str, found: list[tuple[bytes, int]], segment: str, names: dict[int, list[str]]
) -> pa.Table:
    documents = parsed([payload for payload, _ in found])
    return _rows(table, documents, [place for _, place in found], segment, names)


def _rows(
    table: str,
    documents: list[Document],
    places: list[int],
    segment: str,
    names: dict[int, list[str]],
) -> pa.Table:
    import pyarrow as pa

    rest: list[Document] = [{} for _ in documents]
    values = values_of(documents)
    nothing = [None] * len(documents)
    columns = [
        column_of(values.get(name, nothing), name, kind, rest)
        for name, kind in FIELDS[table].items()
    ]
    known = {"kind", *FIELDS[table]}
    if table == "decisions":
        columns += feature_maps(
            values.get("columns", nothing), values.get("features", nothing), names, rest
        )
        known |= {"features"}
    if not values.keys() <= known:
        for document, more in zip(documents, rest, strict=True):
            more.update((key, document[key]) for key in document.keys() - known)
    columns += [
        pa.array([orjson.dumps(more) if more else None for more in rest], pa.string()),
        pa.repeat(pa.scalar(segment, pa.string()), len(places)),
        pa.array(places, pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=schema_of(table))
