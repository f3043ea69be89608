"""Votes as files: with types, one JSON object a line, and CSV that no spreadsheet executes."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pyarrow.parquet
import pytest

from headrace.labels.items import VoteRecord
from serving.labeling.export import COLUMNS, exported

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def _vote(**more) -> VoteRecord:
    values = {
        "number": 1, "entity": "e1", "batch": "b", "rater": "ada", "source": "person",
        "label": "sport", "skipped": None, "seconds": 1.5, "at": AT, "as_of": AT,
        "schema_version": "0" * 12, "slice": "chosen", "gold": None, "suggested": None,
        "suggested_by": None, "suggestion_shown": False,
    }  # fmt: skip
    return VoteRecord(**values | more)


def test_parquet_has_types_and_the_columns_of_a_vote():
    content = exported([_vote(), _vote(number=2, label=None, skipped="unclear")], "parquet")

    table = pyarrow.parquet.read_table(io.BytesIO(content))
    types = {field.name: str(field.type) for field in table.schema}
    assert table.column_names == list(COLUMNS)
    assert types["at"] == "timestamp[us, tz=UTC]"
    assert (types["seconds"], types["suggestion_shown"]) == ("double", "bool")
    assert table["label"].to_pylist() == ["sport", None]
    assert table["at"].to_pylist() == [AT, AT]


def test_no_votes_are_a_file_with_the_same_columns():
    empty = pyarrow.parquet.read_table(io.BytesIO(exported([], "parquet")))

    assert (
        empty.schema
        == pyarrow.parquet.read_table(io.BytesIO(exported([_vote()], "parquet"))).schema
    )
    assert exported([], "jsonl") == b""
    assert exported([], "csv").decode() == ",".join(COLUMNS) + "\r\n"


def test_json_lines_say_all_that_a_vote_says():
    [line] = exported([_vote(label="zwölf\n\u202e")], "jsonl").splitlines()

    told = json.loads(line)
    assert tuple(told) == COLUMNS
    assert told["label"] == "zwölf\n\u202e"
    assert told["at"] == "2026-03-01T12:30:00+00:00"
    assert told["skipped"] is None


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("\t=1", "'\t=1"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        ("-1.5", "-1.5"),
        ("1e-3", "1e-3"),
        ('plain, with "quotes"\nand lines', 'plain, with "quotes"\nand lines'),
    ],
)
def test_csv_lets_no_spreadsheet_take_text_for_a_formula(text: str, cell: str):
    content = exported([_vote(skipped=text, entity=text)], "csv").decode()

    _, row = csv.reader(io.StringIO(content, newline=""))
    assert row[COLUMNS.index("skipped")] == cell
    assert row[COLUMNS.index("entity")] == cell


def test_csv_writes_nothing_for_null_and_the_moment_with_its_zone():
    content = exported([_vote()], "csv").decode()

    _, row = csv.reader(io.StringIO(content, newline=""))
    assert row[COLUMNS.index("gold")] == ""
    assert row[COLUMNS.index("at")] == "2026-03-01T12:30:00+00:00"
    assert row[COLUMNS.index("suggestion_shown")] == "false"


def test_the_page_gives_the_votes_of_a_task_or_of_one_batch(labeling, rater):
    from headrace.labels.items import NewItem
    from headrace.labels.schema import LabelSchema
    from headrace.labels.task import LabelTask

    task = LabelTask(
        name="news", labels=LabelSchema(choices=("a", "b")), entity="d", show=("t",),
        gold_share=0.0, overlap=1,
    )  # fmt: skip
    batches = [
        labeling.ask_for(task, [NewItem(entity=name, as_of=AT, shown={"t": name})])
        for name in ("one", "two")
    ]
    judge = rater("judge", adjudicates=True)
    judge.vote("a", request="request-1")
    judge.vote("b", request="request-2")

    whole = judge.get("/export/news.jsonl")
    second = judge.get(f"/export/news.csv?batch={batches[1].id}")
    none = judge.get("/export/news.csv?batch=other")
    form = judge.get("/export/news.xlsx")

    assert [json.loads(line)["label"] for line in whole.text.splitlines()] == ["a", "b"]
    assert whole.headers["content-disposition"] == 'attachment; filename="news-votes.jsonl"'
    assert len(second.text.splitlines()) == 2
    assert (none.status_code, form.status_code) == (404, 404)
