"""This module holds the laws of a store as tests, for whoever writes a store of their own.

Say how yours is made, and pytest does the rest:

    class TestMyStore(StoreContract):
        def make_store(self, tmp_path):
            return MyStore(tmp_path)

A store that keeps these laws can take the place of any other.
"""
# ruff: noqa: S101

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from headrace.content import document_digest, files_digest, table_digest
from headrace.errors import StoreError, UnknownNameError
from headrace.store.port import Store

_UNKNOWN = "0" * 64


class StoreContract:
    """These tests hold for every store; subclass this and say how yours is made."""

    def make_store(self, tmp_path: Path) -> Store:
        """Return a new, empty store; called once for each test."""
        raise NotImplementedError("A subclass of StoreContract says how its store is made.")

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """Make the store for one test."""
        return self.make_store(tmp_path)

    @pytest.fixture
    def table(self) -> pyarrow.Table:
        """Make a table with what is easily lost: zones, categories, nulls, NaN, metadata."""
        return _awkward_table()

    def test_a_table_comes_back_as_it_was_put(self, store: Store, table: pyarrow.Table) -> None:
        """Types, dictionaries, zones, nulls and metadata survive."""
        stored = store.put_table(table)

        back = store.read_table(stored.digest)

        assert back.schema.equals(table.schema, check_metadata=True)
        assert table_digest(back) == table_digest(table)

    def test_what_is_stored_is_named_by_its_content(
        self, store: Store, table: pyarrow.Table, tmp_path: Path
    ) -> None:
        """The digest is that of `headrace.content`."""
        source = _directory(tmp_path)

        stored = [
            store.put_table(table),
            store.put_document({"auc": 0.5}),
            store.put_files(source),
        ]

        assert [each.digest for each in stored] == [
            table_digest(table),
            document_digest({"auc": 0.5}),
            files_digest(source),
        ]
        assert [each.rows for each in stored] == [table.num_rows, None, None]
        assert all(each.bytes > 0 and each.uri for each in stored)

    def test_only_the_columns_asked_for_are_read_in_that_order(
        self, store: Store, table: pyarrow.Table
    ) -> None:
        """Projection is the store's."""
        stored = store.put_table(table)

        back = store.read_table(stored.digest, ["carrier", "delay"])

        assert back.column_names == ["carrier", "delay"]
        assert table_digest(back) == table_digest(table.select(["carrier", "delay"]))

    def test_an_unknown_column_is_named_with_the_nearest(
        self, store: Store, table: pyarrow.Table
    ) -> None:
        """The message offers what there is."""
        stored = store.put_table(table)

        with pytest.raises(UnknownNameError, match="Did you mean 'delay'"):
            store.read_table(stored.digest, ["dealy"])

    def test_an_empty_table_keeps_its_columns(self, store: Store, table: pyarrow.Table) -> None:
        """No rows is content too."""
        stored = store.put_table(table.slice(0, 0))

        back = store.read_table(stored.digest)

        assert (back.num_rows, back.schema) == (0, table.schema)

    def test_a_document_comes_back_as_it_was_put(self, store: Store) -> None:
        """Nesting, text, infinities and null survive."""
        document = {
            "slices": [{"carrier": "ÅB", "auc": 0.1 + 0.2}],
            "worst": float("-inf"),
            "n": None,
        }

        stored = store.put_document(document)

        assert store.read_document(stored.digest) == document

    def test_files_come_back_as_they_were_put(self, store: Store, tmp_path: Path) -> None:
        """Directories below survive, and later changes of the source do not matter."""
        source = _directory(tmp_path)
        stored = store.put_files(source)
        (source / "model.json").write_text("changed")

        kept = store.files(stored.digest)

        assert (kept / "model.json").read_text() == "{}"
        assert (kept / "weights" / "w.bin").read_bytes() == bytes(range(256))
        assert files_digest(kept) == stored.digest

    def test_the_same_content_again_changes_nothing(
        self, store: Store, table: pyarrow.Table
    ) -> None:
        """The second writer gets the first one's copy, whatever his chunks."""
        first = store.put_table(table)
        chunked = pyarrow.concat_tables([table.slice(0, 1), table.slice(1)])

        second = store.put_table(chunked)

        assert second == first
        assert list(store.digests()) == [first.digest]

    def test_what_was_never_put_is_not_there(self, store: Store) -> None:
        """Reading it says so."""
        has = store.has(_UNKNOWN)

        assert not has
        for read in (store.read_table, store.read_document, store.files):
            with pytest.raises(UnknownNameError):
                read(_UNKNOWN)

    def test_content_is_read_as_what_it_is(self, store: Store) -> None:
        """A document is no table."""
        stored = store.put_document({"auc": 0.5})

        with pytest.raises(StoreError):
            store.read_table(stored.digest)

    def test_what_was_discarded_can_be_put_again(self, store: Store, table: pyarrow.Table) -> None:
        """Discarding twice, or what was never there, is harmless."""
        stored = store.put_table(table)

        store.discard(stored.digest)
        store.discard(stored.digest)
        gone = not store.has(stored.digest) and list(store.digests()) == []
        again = store.put_table(table)

        assert gone
        assert again.digest == stored.digest
        assert store.has(stored.digest)

    def test_it_may_be_in_use_several_times_over(self, store: Store, table: pyarrow.Table) -> None:
        """Runs use it at the same time, and write and read meanwhile."""
        with store.in_use(), store.in_use():
            stored = store.put_table(table)

            assert store.has(stored.digest)

    def test_a_name_that_is_no_digest_reaches_nothing(self, store: Store) -> None:
        """A name such as `..` neither reads nor discards anything."""
        stored = store.put_document({"auc": 0.5})

        for name in ("", ".", "..", "../..", stored.digest[:2], "*" * 64):
            store.discard(name)
            assert not store.has(name)

        assert store.has(stored.digest)


def _directory(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "weights").mkdir(parents=True)
    (source / "model.json").write_text("{}")
    (source / "weights" / "w.bin").write_bytes(bytes(range(256)))
    return source


def _awkward_table() -> pyarrow.Table:
    moment = datetime(2013, 1, 1, 5, tzinfo=UTC)
    carriers = pyarrow.dictionary(pyarrow.int8(), pyarrow.string())
    codes = pyarrow.dictionary(pyarrow.int32(), pyarrow.int64())
    field = pyarrow.field
    columns: list[tuple[pyarrow.Field, list[Any]]] = [
        (field("carrier", carriers), ["UA", None, "AA"]),
        (field("delay", pyarrow.float64(), metadata={"unit": "min"}), [1.5, None, float("nan")]),
        (field("at", pyarrow.timestamp("s", "America/New_York")), [moment, None, moment]),
        (field("hour", pyarrow.time32("s")), [None, 1, 2]),
        (field("code", codes), [7, 8, None]),
        (field("vector", pyarrow.list_(pyarrow.float32(), 2)), [[1, 2], None, [3, 4]]),
        (field("tags", pyarrow.list_(pyarrow.string())), [["a"], [], None]),
        (field("late", pyarrow.bool_(), nullable=False), [True, False, True]),
    ]
    schema = pyarrow.schema([each for each, _ in columns], metadata={"source": "flights"})
    arrays = [pyarrow.array(values, each.type) for each, values in columns]
    return pyarrow.Table.from_arrays(arrays, schema=schema)
