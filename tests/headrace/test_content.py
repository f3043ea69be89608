"""These tests specify what counts as equal content, for tables, documents and directories."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from headrace.content import (
    bytes_digest,
    canonical_json,
    document_digest,
    files_digest,
    table_digest,
)
from headrace.errors import BoundaryError, DataError, StoreError

TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int8(), st.integers(-128, 127)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint16(), st.integers(0, 2**16 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=4)),
    (pa.binary(), st.binary(max_size=4)),
    (pa.binary(2), st.binary(min_size=2, max_size=2)),
    (pa.timestamp("us", "UTC"), st.integers(-(2**40), 2**40)),
    (pa.date32(), st.integers(-9_999, 9_999)),
    (pa.decimal128(9, 2), st.decimals(-9_999, 9_999, places=2)),
    (pa.list_(pa.string()), st.lists(st.none() | st.text(max_size=2), max_size=3)),
    (pa.list_(pa.int8(), 2), st.lists(st.integers(0, 9), min_size=2, max_size=2)),
    (
        pa.struct([("a", pa.int8()), ("b", pa.string())]),
        st.fixed_dictionaries({"a": st.none() | st.integers(0, 9), "b": st.text(max_size=2)}),
    ),
    (
        pa.map_(pa.string(), pa.int8()),
        st.dictionaries(st.text(max_size=2), st.integers(0, 9), max_size=2).map(
            lambda pairs: list(pairs.items())
        ),
    ),
]


@st.composite
def tables(draw: st.DrawFn, *, min_rows: int = 0) -> pa.Table:
    rows = draw(st.integers(min_rows, 12))
    chosen = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4))
    columns = [
        pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), kind)
        for kind, values in chosen
    ]
    return pa.table(columns, names=[f"c{position}" for position in range(len(columns))])


def same(left: Any, right: Any) -> bool:
    """Say whether two Python values are one content: NaN is NaN, and 0.0 is not -0.0."""
    return repr(left) == repr(right)


@given(tables(), st.lists(st.integers(0, 12), max_size=4))
def test_the_digest_does_not_depend_on_chunks(table: pa.Table, cuts: list[int]):
    edges = [0, *sorted(min(cut, table.num_rows) for cut in cuts), table.num_rows]
    pieces = [table.slice(start, end - start) for start, end in itertools.pairwise(edges)]

    chunked = pa.concat_tables(pieces)

    assert table_digest(chunked) == table_digest(table)


@given(tables(), st.data())
def test_the_digest_of_a_slice_is_that_of_its_rows(table: pa.Table, data: st.DataObject):
    start = data.draw(st.integers(0, table.num_rows))
    size = data.draw(st.integers(0, table.num_rows - start))
    copied = pa.table(
        [pa.array(c.to_pylist()[start : start + size], c.type) for c in table.columns],
        names=table.column_names,
    )

    sliced = table.slice(start, size)

    assert table_digest(sliced) == table_digest(copied)


@given(st.lists(st.none() | st.text(max_size=3), max_size=20))
def test_the_digest_does_not_depend_on_the_encoding(values: list[str | None]):
    plain = pa.array(values, pa.string())
    encodings: Sequence[pa.Array] = [
        plain.cast(pa.large_string()),
        plain.cast(pa.string_view()),
        plain.dictionary_encode(),
        pc.run_end_encode(plain),
        pa.array(values, pa.dictionary(pa.int8(), pa.large_string(), ordered=True)),
    ]

    digests = {table_digest(pa.table({"c": each})) for each in [plain, *encodings]}

    assert len(digests) == 1


@given(st.lists(st.none() | st.lists(st.integers(0, 9), max_size=3), max_size=9))
def test_the_digest_does_not_depend_on_the_kind_of_list(values: list[list[int] | None]):
    kinds = [pa.list_(pa.int8()), pa.large_list(pa.int8()), pa.list_view(pa.int8())]

    digests = {table_digest(pa.table({"c": pa.array(values, kind)})) for kind in kinds}

    assert len(digests) == 1


@given(tables())
def test_a_writer_of_parquet_does_not_change_the_digest(table: pa.Table):
    kept = table.select([f.name for f in table.schema if not pa.types.is_fixed_size_list(f.type)])
    sink = pa.BufferOutputStream()
    parquet.write_table(kept, sink, compression="gzip", row_group_size=3, data_page_version="2.0")

    back = parquet.read_table(pa.BufferReader(sink.getvalue()))

    assert table_digest(back) == table_digest(kept)


@settings(max_examples=300)
@given(tables(min_rows=1), st.data())
def test_every_change_of_a_cell_changes_the_digest(table: pa.Table, data: st.DataObject):
    position = data.draw(st.integers(0, table.num_columns - 1))
    row = data.draw(st.integers(0, table.num_rows - 1))
    column = table.column(position)
    values = column.to_pylist()
    strategy = next(values for kind, values in TYPES if kind == column.type)
    raw = data.draw(st.none() | strategy)
    other = pa.array([raw], column.type).to_pylist()[0]
    equal = same(values[row], other)

    values[row] = other
    changed = table.set_column(
        position, table.schema.field(position), pa.array(values, column.type)
    )

    assert (table_digest(changed) == table_digest(table)) is equal


@given(tables(min_rows=2), st.data())
def test_swapping_rows_that_differ_changes_the_digest(table: pa.Table, data: st.DataObject):
    first, second = data.draw(st.permutations(range(table.num_rows)))[:2]
    order = list(range(table.num_rows))
    order[first], order[second] = order[second], order[first]
    rows = [tuple(row.values()) for row in table.to_pylist()]
    equal = same(rows[first], rows[second])

    swapped = table.take(order)

    assert (table_digest(swapped) == table_digest(table)) is equal


@given(tables())
def test_renaming_or_reordering_columns_changes_the_digest(table: pa.Table):
    renamed = table.rename_columns([f"x{name}" for name in table.column_names])
    widened = table.append_column("more", pa.nulls(table.num_rows))

    digests = {table_digest(each) for each in (table, renamed, widened)}

    assert len(digests) == 3


def digest_of(values: Any, kind: pa.DataType | None = None) -> str:
    return table_digest(pa.table({"c": pa.array(values, kind)}))


NAN = float("nan")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param(digest_of([None], pa.float64()), digest_of([NAN]), id="null and NaN"),
        pytest.param(digest_of([0.0]), digest_of([-0.0]), id="zero and minus zero"),
        pytest.param(digest_of([""]), digest_of([None], pa.string()), id="empty text and null"),
        pytest.param(digest_of(["ab", "c"]), digest_of(["a", "bc"]), id="where text is cut"),
        pytest.param(digest_of([1], pa.int32()), digest_of([1], pa.int64()), id="widths"),
        pytest.param(digest_of([1]), digest_of([1.0]), id="whole and floating numbers"),
        pytest.param(digest_of(["a"]), digest_of([b"a"]), id="text and bytes"),
        pytest.param(digest_of([[], [1]]), digest_of([[1], []]), id="where a list is cut"),
        pytest.param(
            digest_of([1], pa.timestamp("us", "UTC")),
            digest_of([1_000], pa.timestamp("ns", "UTC")),
            id="units of time",
        ),
        pytest.param(
            digest_of([1], pa.timestamp("us", "UTC")),
            digest_of([1], pa.timestamp("us", "Asia/Tokyo")),
            id="time zones",
        ),
        pytest.param(
            digest_of([1], pa.timestamp("us")), digest_of([1], pa.timestamp("us", "UTC")), id="zone"
        ),
        pytest.param(
            digest_of([{"a": None}], pa.struct([("a", pa.int8())])),
            digest_of([None], pa.struct([("a", pa.int8())])),
            id="a struct of null and null",
        ),
        pytest.param(digest_of([{"a": 1}]), digest_of([{"b": 1}]), id="the names within a struct"),
        pytest.param(digest_of([], pa.int8()), digest_of([], pa.int16()), id="empty, by type"),
        pytest.param(digest_of([None]), digest_of([None, None]), id="how many nulls"),
    ],
)
def test_content_that_code_can_tell_apart_has_two_digests(left: str, right: str):
    assert left != right


def test_every_nan_is_the_same():
    quiet = np.array([0x7FF8000000000001, 0xFFF8000000000000], np.uint64).view(np.float64)

    digests = {digest_of(quiet[:1]), digest_of(quiet[1:]), digest_of([NAN])}

    assert len(digests) == 1


def test_what_lies_beneath_a_null_does_not_count():
    mask = np.array([False, True, False])
    numbers = [pa.array(np.array([1, hidden, 3]), mask=mask) for hidden in (2, 99)]
    valid = pa.py_buffer(b"\x05")
    offsets = pa.py_buffer(np.array([0, 1, 3, 4], np.int32))
    hidden_text = pa.Array.from_buffers(
        pa.string(), 3, [valid, offsets, pa.py_buffer(b"axxb")], null_count=1
    )

    digests = [digest_of(each) for each in [*numbers, hidden_text, pa.array(["a", None, "b"])]]

    assert digests[0] == digests[1]
    assert digests[2] == digests[3]


def test_metadata_and_nullability_do_not_count():
    table = pa.table({"c": [1, 2]})
    schema = pa.schema([pa.field("c", pa.int64(), nullable=False, metadata={"unit": "min"})])
    described = pa.table({"c": [1, 2]}, schema=schema).replace_schema_metadata({"by": "pandas"})

    assert table_digest(described) == table_digest(table)


def test_a_digest_stays_what_it_was_over_the_years():
    moment = datetime(2013, 1, 1, tzinfo=UTC)
    table = pa.table(
        {
            "delay": [1.5, None],
            "carrier": ["UA", "AA"],
            "at": pa.array([moment, None], pa.timestamp("us", "UTC")),
        }
    )

    digest = table_digest(table)

    assert digest == "5fa4f2c3a2b77b2a4d86cc1b2f11a101afd1fd7a82e719b8ab1e0dbeed257e45"


def test_a_large_table_has_the_digest_of_its_parts_in_threads():
    table = pa.table({"a": np.arange(300_000), "b": np.arange(300_000).astype(str)})

    digest = table_digest(table)

    assert digest == table_digest(pa.concat_tables([table.slice(0, 7), table.slice(7)]))


def test_a_union_has_no_digest_and_says_what_to_do():
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])

    with pytest.raises(BoundaryError) as caught:
        digest_of(union)

    assert str(caught.value) == (
        "The column 'c' has the type sparse_union<0: int64=0>, which has no digest.\n"
        "  Fix: split the union into one column for each of its types."
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_the_order_of_keys_does_not_change_a_documents_digest(document: dict[str, Any]):
    turned = dict(reversed(document.items()))

    assert document_digest(turned) == document_digest(document)


def test_a_document_is_canonical_json():
    document = {"b": (1, 1.0, True, None), "a": {"ä": -0.0, "x": float("inf"), "n": NAN}}

    written = canonical_json(document)

    assert written == (b'{"a":{"n":NaN,"x":Infinity,"\\u00e4":-0.0},"b":[1,1.0,true,null]}')


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param(
            {"slices": [{"at": datetime(2013, 1, 1, tzinfo=UTC)}]},
            "The value at $.slices[0].at is of type datetime, which JSON cannot hold.\n"
            "  Fix: use dicts, lists, text, numbers, booleans and None; write a time as "
            "value.isoformat() and an array as value.tolist().",
            id="a time",
        ),
        pytest.param(
            {"by_hour": {5: 0.1}},
            "The key 5 at $.by_hour is of type int; a document's keys are text.\n"
            "  Fix: write it as text: '5'.",
            id="a key that is a number",
        ),
    ],
)
def test_a_document_that_json_cannot_hold_is_refused_with_the_place(
    document: dict[str, Any], message: str
):
    with pytest.raises(DataError) as caught:
        document_digest(document)

    assert str(caught.value) == message


def write(directory: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    return directory


def test_a_directory_is_its_paths_and_contents(tmp_path: Path):
    files = {"model.json": b"{}", "weights/w": b"\x00\x01"}
    plain = write(tmp_path / "plain", files)
    other = write(tmp_path / "other", dict(reversed(files.items())))
    (other / "model.json").chmod(0o600)
    (other / "empty").mkdir()
    renamed = write(tmp_path / "renamed", {"model.jsn": b"{}", "weights/w": b"\x00\x01"})
    changed = write(tmp_path / "changed", {"model.json": b"{}", "weights/w": b"\x00\x02"})

    digests = [files_digest(each) for each in (plain, other, renamed, changed)]

    assert digests[0] == digests[1] == bytes_digest(files)
    assert len(set(digests)) == 3


def test_a_file_is_no_directory(tmp_path: Path):
    path = write(tmp_path, {"model.json": b"{}"}) / "model.json"

    with pytest.raises(StoreError) as caught:
        files_digest(path)

    assert str(caught.value) == (
        f"'{path}' is not a directory.\n"
        "  Fix: give the directory that holds the files, not one of the files."
    )
