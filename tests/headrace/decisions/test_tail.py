"""These tests specify the reader that follows a log: each decision once, wherever it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.decisions import (
    DecisionLog,
    Position,
    Tail,
    compact,
    load_cursor,
    open_view,
    save_cursor,
)
from headrace.errors import DamagedArtifactError, ParameterError

COLUMNS = ("distance", "wind", "carrier")
Make = Callable[..., dict[str, Any]]
Open = Callable[..., DecisionLog]


def ids(found: list[tuple[Position, dict[str, Any]]]) -> list[str]:
    return [document["id"] for _, document in found]


@pytest.fixture
def log(open_log: Open) -> DecisionLog:
    log = open_log()
    log.columns(COLUMNS)
    return log


def test_a_tail_reads_decisions_as_they_come_and_only_decisions(
    log, folder, decision, shadow, outcome
):
    tail = Tail.open(folder)

    before = tail.poll()
    log.append([decision("UA1"), shadow("UA1"), decision("UA2")])
    first = tail.poll()
    log.append([outcome("UA1", 1.0), decision("UA3")])
    second = tail.poll()
    tail.close()

    assert before == []
    assert [document for _, document in first] == [decision("UA1"), decision("UA2")]
    assert ids(second) == ["UA3"]


def test_a_tail_goes_on_after_a_position_that_was_kept_as_json(log, folder, decision):
    log.append([decision(f"UA{number}") for number in range(5)])
    first = Tail.open(folder)
    position, _ = first.poll(limit=3)[-1]
    first.close()

    again = Tail.open(folder, Position.from_json(json.loads(json.dumps(position.to_json()))))
    found = again.poll()

    assert ids(found) == ["UA3", "UA4"]
    assert again.names(found[0][1]["columns"]) == COLUMNS  # explained before the position
    again.close()


def test_what_is_skipped_is_counted(log, folder, decision):
    log.append([decision(f"UA{number}") for number in range(5)])
    tail = Tail.open(folder)
    tail.poll(limit=2)

    skipped = tail.skip_to_newest()
    log.append([decision("UA5")])
    found = tail.poll()

    assert skipped == 3
    assert ids(found) == ["UA5"]
    assert tail.names(found[0][1]["columns"]) == COLUMNS
    tail.close()


def test_a_tail_may_be_opened_before_there_is_a_log(folder, open_log, decision):
    tail = Tail.open(folder)
    log = open_log()
    log.columns(COLUMNS)

    log.append([decision("UA1")])

    assert ids(tail.poll()) == ["UA1"]
    tail.close()


def test_columns_that_no_decision_had_are_not_known(folder):
    tail = Tail.open(folder)

    with pytest.raises(ParameterError) as refused:
        tail.names(7)

    tail.close()
    assert str(refused.value) == (
        "No decision that was read has columns 7.\n"
        "  Fix: Ask for the `columns` of a decision that `poll` returned."
    )


def test_what_was_compacted_and_removed_is_forgotten_by_the_position(open_log, folder, decision):
    with open_log(segment_bytes=4096) as log:
        log.columns(COLUMNS)
        for number in range(40):
            log.append([decision(f"UA{number}", logged=number)])
    tail = Tail.open(folder)
    tail.poll()
    many = len(tail.position.offsets)

    compact(folder, remember=1)
    with open_log() as log:
        log.columns(COLUMNS)
        log.append([decision("UA40", logged=40)])
        found = tail.poll()

    assert ids(found) == ["UA40"]
    assert len(tail.position.offsets) == 2 < many
    tail.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 2), st.integers(1, 12)),
        st.tuples(st.just("poll"), st.integers(1, 7), st.just(0)),
        st.tuples(st.just("restart reader"), st.just(0), st.just(0)),
        st.tuples(st.just("restart writer"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("compact"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=steps, segment_bytes=st.sampled_from([4096, 6000, 10_000]))
def test_each_decision_is_read_once_whoever_begins_segments_or_restarts(steps, segment_bytes):
    """Sequences of what processes may do; the order is kept within a writer."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        written, read = _play(folder, steps, segment_bytes)

    assert sorted(read) == sorted(written)
    for writer in "012":
        assert [i for i in read if i[0] == writer] == [i for i in written if i[0] == writer]


def _play(
    folder: Path, steps: list[tuple[str, int, int]], segment_bytes: int
) -> tuple[list[str], list[str]]:
    def start(writer: int) -> DecisionLog:
        log = DecisionLog.open(folder, writer=f"w{writer}", segment_bytes=segment_bytes)
        log.columns(COLUMNS)
        return log

    def keep(found: list[tuple[Position, dict[str, Any]]]) -> Position:
        read.extend(ids(found))
        return found[-1][0] if found else position

    from headrace.decisions.documents import columns_id

    logs = {writer: start(writer) for writer in range(3)}
    written: list[str] = []
    read: list[str] = []
    position = Position()
    tail = Tail.open(folder)
    for step, first, second in [*steps, ("poll", 10_000, 0)]:
        if step == "append":
            names = [f"{first}/{len(written) + n}" for n in range(second)]
            logs[first].append(
                [
                    {
                        "kind": "decision", "id": each, "logged": len(written) + n,
                        "columns": columns_id(COLUMNS), "features": [1.0, 2.0, "x" * 300],
                    }
                    for n, each in enumerate(names)
                ]
            )  # fmt: skip
            written += names
        elif step == "poll":
            position = keep(tail.poll(limit=first))
        elif step == "restart reader":
            tail.close()
            tail = Tail.open(folder, position)
        elif step == "restart writer":
            logs[first].close()
            logs[first] = start(first)
        else:
            compact(folder)
    tail.close()
    for log in logs.values():
        log.close()
    return written, read


def test_a_cursor_keeps_a_position_under_a_name(folder):
    nothing = load_cursor(folder, "shadow")
    save_cursor(folder, "shadow", Position({"lane-1": 7}))
    save_cursor(folder, "shadow", Position({"lane-1": 9, "lane-2": 0}))

    assert nothing is None
    assert load_cursor(folder, "shadow") == Position({"lane-1": 9, "lane-2": 0})
    assert load_cursor(folder, "other") is None
    assert [path.name for path in (folder / "cursors").iterdir()] == ["shadow.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"lane-1": -1}', '{"lane-1": "7"}'])
def test_a_damaged_cursor_is_told(folder, content):
    save_cursor(folder, "shadow", Position())
    path = folder / "cursors" / "shadow.json"
    path.write_text(content)

    with pytest.raises(DamagedArtifactError) as damaged:
        load_cursor(folder, "shadow")

    assert str(damaged.value) == (
        f"The cursor '{path}' holds no position in a decision log.\n"
        "  Fix: Remove the file; its reader then begins with the oldest decision."
    )


def test_a_cursor_has_a_name_that_a_file_may_have(folder):
    with pytest.raises(ParameterError) as refused:
        save_cursor(folder, "../x", Position())

    assert str(refused.value) == (
        "A cursor is named '../x'.\n  Fix: Use letters, digits, '_' and '-'."
    )


def test_scores_of_many_decisions_in_one_record_are_shadows_as_any_others(
    log, folder, shadow, decision
):
    alike = {"model": "flight_delay/4", "experiment": "4-against-3", "ms": 0.1}
    many = {"kind": "scores", "id": "UA1", "logged": 3, "ids": ["UA1", "UA2"],
            "scores": [0.5, None], **alike}  # fmt: skip
    log.append([decision("UA1"), many, shadow("UA3", logged=4)])
    expected = [
        {"kind": "shadow", "id": "UA1", "logged": 3, "score": 0.5, **alike},
        {"kind": "shadow", "id": "UA2", "logged": 3, "score": None, **alike},
        shadow("UA3", logged=4),
    ]
    tail = Tail.open(folder, kinds=("shadow",))

    found = [document for _, document in tail.poll()]
    tail.close()

    assert found == expected
    assert log.stats().shadows == 3
    question = "SELECT id, score, experiment, ms FROM shadows ORDER BY id"
    before = open_view(folder).execute(question).fetchall()
    log.close()
    assert compact(folder).shadows == 3
    assert open_view(folder).execute(question).fetchall() == before == [
        ("UA1", 0.5, "4-against-3", 0.1),
        ("UA2", None, "4-against-3", 0.1),
        ("UA3", 0.5, "4-against-3", 0.1),
    ]  # fmt: skip


def test_scores_are_of_as_many_ids(log):
    with pytest.raises(ParameterError) as refused:
        log.append([{"kind": "scores", "id": "UA1", "logged": 3, "ids": ["a"], "scores": []}])

    assert str(refused.value) == (
        "The scores 'UA1' are not of as many ids.\n"
        "  Fix: Give 'ids' and 'scores' as lists of one length, at least 1."
    )


def test_all_that_is_new_is_read_at_once_with_one_position(log, folder, decision, outcome):
    log.append([decision("UA1"), outcome("UA1", 1.0), decision("UA2"), decision("UA3")])
    tail = Tail.open(folder, kinds=("decision", "outcome"))

    first, position = tail.poll_all(limit=2)
    second, after = tail.poll_all()
    again = Tail.open(folder, position, kinds=("decision", "outcome"))

    assert first == [decision("UA1"), outcome("UA1", 1.0)]
    assert second == [decision("UA2"), decision("UA3")]
    assert again.poll_all() == (second, after)
    assert again.names(second[0]["columns"]) == COLUMNS  # explained before the position
    tail.close(), again.close()
