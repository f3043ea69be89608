"""These tests specify the export: one file, whole, that other programs read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from headrace.decisions import DecisionLog, compact
from headrace.decisions.exporting import export
from headrace.decisions.summary import summary_of
from headrace.errors import HeadraceError, ParameterError, ServiceError

COLUMNS = ("distance", "wind", "carrier")
SECOND = 1_000_000


@pytest.fixture
def filled(
    folder: Path, decision: Callable[..., Any], shadow: Callable[..., Any],
    outcome: Callable[..., Any],
) -> Path:  # fmt: skip
    """Three decisions, a second apart; the first has outcomes, the second a shadow."""
    with DecisionLog.open(folder, writer="lane") as log:
        log.columns(COLUMNS)
        log.append([decision(f"UA{n}", at=n * SECOND, logged=n) for n in (2, 1, 3)])
        log.append([outcome("UA1", 0.0, logged=4), shadow("UA2", logged=4)])
        log.append([outcome("UA1", 1.0, logged=5) | {"corrects": True, "known_at": 7 * SECOND}])
        log.append([outcome("UA1", 9.0, logged=5) | {"name": "refund", "known_at": 8 * SECOND}])
    return folder


def test_lines_of_json_have_each_decision_with_what_belongs_to_it(filled, tmp_path):
    to = tmp_path / "all.jsonl"

    done = export(filled, to, format="jsonl", beside=["outcomes", "shadows"])

    first, second, third = map(json.loads, to.read_text().splitlines())
    assert (done.decisions, done.bytes) == (3, to.stat().st_size)
    assert (first["id"], first["decided_at"]) == ("UA1", "1970-01-01T00:00:01.000000Z")
    assert first["features"] == {"distance": 1400.0, "wind": None}
    assert first["texts"] == {"carrier": "UA"}
    assert first["answer"] == {"probability": 0.25}
    refund = {"name": "refund", "value": 9.0, "known_at": "1970-01-01T00:00:08.000000Z",
              "corrected": 0, "late": False, "source": None}  # fmt: skip
    late = {"name": "", "value": 1.0, "known_at": "1970-01-01T00:00:07.000000Z", "corrected": 1}
    assert first["outcomes"] == [refund | late, refund]
    assert second["shadows"] == [
        {"model": "flight_delay/4", "experiment": "4-against-3", "score": 0.5, "error": None}
    ]
    assert (third["outcomes"], third["shadows"]) == ([], [])


def test_csv_has_a_row_for_each_decision_and_lists_as_json(filled, tmp_path):
    to = tmp_path / "all.csv"

    export(filled, to, format="csv", beside=["outcomes"])

    with to.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["UA1", "UA2", "UA3"]
    assert json.loads(rows[0]["candidates"]) == ["flight_delay/3"]
    assert json.loads(rows[0]["features"]) == {"distance": 1400.0, "wind": None}
    assert [each["value"] for each in json.loads(rows[0]["outcomes"])] == [1.0, 9.0]


def test_parquet_has_the_types_of_the_view_and_only_the_time_that_was_asked_for(filled, tmp_path):
    to = tmp_path / "some.parquet"

    compact(filled)
    export(
        filled,
        to,
        format="parquet",
        since=datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC),
        until=datetime(1970, 1, 1, 0, 0, 3, tzinfo=UTC),
    )

    [row] = pq.read_table(to).to_pylist()
    assert (row["id"], row["decided_at"]) == ("UA2", datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC))
    assert dict(row["features"]) == {"distance": 1400.0, "wind": None}


def test_a_file_that_is_there_is_replaced_only_when_that_was_said(filled, tmp_path):
    to = tmp_path / "all.csv"
    to.write_text("mine")

    with pytest.raises(ParameterError) as refused:
        export(filled, to, format="csv")

    assert str(refused.value) == (
        f"'{to}' is there already.\n  Fix: Choose another file, or replace it."
    )
    assert to.read_text() == "mine"
    export(filled, to, format="csv", replace=True)
    assert len(to.read_text().splitlines()) == 4


def test_nothing_is_left_of_a_file_that_cannot_be_written(filled, tmp_path):
    with pytest.raises(ServiceError) as refused:
        export(filled, tmp_path / "nowhere" / "all.csv", format="csv")

    assert refused.value.problem.startswith(
        f"The decisions cannot be written to '{tmp_path / 'nowhere' / 'all.csv'}': "
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"format": "json"},
            "There is no format of an export 'json'. Did you mean 'jsonl'?\n"
            "  Fix: Choose one of them.",
            id="format",
        ),
        pytest.param(
            {"format": "csv", "beside": ["outcome"]},
            "There is no thing to export with a decision 'outcome'. Did you mean 'outcomes'?\n"
            "  Fix: Choose some of them.",
            id="beside",
        ),
    ],
)
def test_what_is_unknown_is_refused(filled, tmp_path, options, message):
    with pytest.raises(HeadraceError) as refused:
        export(filled, tmp_path / "x", **options)

    assert str(refused.value) == message


def test_the_summary_is_the_same_before_and_after_compaction(filled):
    with DecisionLog.open(filled, writer="other") as log:
        log.append([{"kind": "outcome", "id": "UA3", "known_at": 1, "logged": 9, "value": 1.0}])
        before = summary_of(filled)
    compact(filled)
    after = summary_of(filled)

    assert (before.decisions, before.shadows, before.outcomes) == (3, 1, 4)
    assert (before.first, before.last) == (1, 9)
    assert (before.segments, before.unsealed, before.files) == (2, 2 - 1, 0)
    assert (after.decisions, after.shadows, after.outcomes) == (3, 1, 4)
    # a decision is as young as the later of the two: when it was decided, and when it was logged
    assert (after.first, after.last) == (1, 3 * SECOND)
    assert after.files == 4
