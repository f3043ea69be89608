"""These tests specify how records become rows: each by itself, whatever lies beside it."""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.decisions.fields import FIELDS, schema_of
from headrace.decisions.frames import COLUMNS, DECISION, OUTCOME, SHADOW, Frame
from headrace.decisions.tables import tables_of

Document = dict[str, Any]
KINDS = {"decisions": DECISION, "shadows": SHADOW, "outcomes": OUTCOME}
LISTS = {7: ["distance", "wind", "carrier"], 8: ["tail"], 9: []}
# Nothing of it fits a column, so what lies in one table with it is looked at value by value.
MISFITS: dict[str, Document] = {
    table: {name: {"a": [1]} for name in (*fields, "strange")} for table, fields in FIELDS.items()
}
MISFITS["decisions"] |= {"entity": 1, "answer": 1}

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
whole = st.integers(-(1 << 63), (1 << 64) - 1)
number = st.floats(allow_nan=False, allow_infinity=False) | whole
cell = number | text | st.booleans() | st.none()
anything = cell | st.lists(cell, max_size=2) | st.dictionaries(text, cell, max_size=2)
fitting = {
    "text": text | st.none(),
    "instant": st.integers(0, 1 << 52) | st.none(),
    "integer": st.integers(0, 9) | st.none(),
    "flag": st.booleans() | st.none(),
    "number": number | st.none(),
    "json": st.fixed_dictionaries({"probability": number}) | st.none(),
    "texts": st.fixed_dictionaries({"origin": text}, optional={"dest": text | st.none()}),
    "names": st.lists(text | st.none(), max_size=2),
    "numbers": st.lists(number, max_size=2),
}


@st.composite
def documents(draw: st.DrawFn, table: str, *, regular: bool) -> Document:
    fields = {name: fitting[kind] for name, kind in FIELDS[table].items() if name != "columns"}
    if table == "decisions":
        number = draw(st.sampled_from(sorted(LISTS)))
        width = len(LISTS[number])
        fields["columns"] = st.just(number)
        fields["features"] = st.lists(cell, min_size=width, max_size=width)
    if regular:
        return draw(st.fixed_dictionaries(fields))
    loose = {name: fits | anything for name, fits in fields.items() if name != "columns"}
    return draw(st.fixed_dictionaries({}, optional={**fields, **loose, "extra": anything}))


def table_of(table: str, found: list[Document], **options: Any) -> pa.Table:
    """Return the rows of documents that lie 100 bytes apart."""
    frames = [
        Frame(COLUMNS, 0, 0, orjson.dumps({"id": number, "names": names}), 0, 0)
        for number, names in LISTS.items()
    ]
    frames += [
        Frame(KINDS[table], 0, 0, orjson.dumps(document), 100 * position, 0)
        for position, document in enumerate(found)
    ]
    return pa.concat_tables([part for _, part in tables_of(frames, "lane-1", **options)])


def table_among_misfits(table: str, found: list[Document]) -> pa.Table:
    """Return the same rows from a table in which every other row is a misfit."""
    mixed = []
    for document in found:
        misfit = dict(MISFITS[table])
        if table == "decisions":
            number = document.get("columns")
            misfit["columns"] = number  # it then goes with the features of its neighbour
            misfit["features"] = [[1]] * len(LISTS.get(number, [1]))
        mixed += [document, misfit]
    rows = table_of(table, mixed).take(list(range(0, len(mixed), 2)))
    places = pa.array([100 * position for position in range(len(found))])
    return rows.set_column(rows.num_columns - 1, "place", places)


@pytest.mark.parametrize("table", FIELDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_regular_records_become_the_rows_they_become_among_misfits(table, data):
    found = data.draw(st.lists(documents(table, regular=True), min_size=1, max_size=6))

    rows = table_of(table, found)

    assert rows.equals(table_among_misfits(table, found))
    assert rows.schema == schema_of(table)
    rows.validate(full=True)


@pytest.mark.parametrize("table", FIELDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_records_become_the_rows_they_become_among_misfits(table, data):
    found = data.draw(st.lists(documents(table, regular=False), min_size=1, max_size=6))

    rows = table_of(table, found)

    assert rows.equals(table_among_misfits(table, found))
    rows.validate(full=True)


@settings(max_examples=60, deadline=None)
@given(found=st.lists(documents("decisions", regular=True), min_size=1, max_size=6))
def test_how_many_records_are_read_at_once_changes_no_row(found):
    assert table_of("decisions", found, rows=1).equals(table_of("decisions", found))


@settings(max_examples=60, deadline=None)
@given(found=st.lists(documents("decisions", regular=True), min_size=1, max_size=6))
def test_every_feature_of_a_regular_decision_is_in_one_of_the_maps(found):
    rows = table_of("decisions", found).to_pylist()

    for document, row in zip(found, rows, strict=True):
        named = dict(zip(LISTS[document["columns"]], document["features"], strict=True))
        texts = {name: value for name, value in named.items() if isinstance(value, str)}
        numbers = {name: value for name, value in named.items() if name not in texts}
        assert dict(row["texts"]) == texts
        assert dict(row["features"]) == {
            name: None if value is None else float(value) for name, value in numbers.items()
        }
        assert row["more"] is None
