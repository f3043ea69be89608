"""A look copies what it reads once, and finds in the copy what the whole log says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.content import canonical_json
from headrace.decisions import DecisionLog, compact, open_view
from serving.rollout._figures_gate import _features, _propensities
from serving.rollout._guard_rows import Look, Rows, numbers, rows_of
from serving.rollout.guard_figures import guard_figures, log_copy
from serving.rollout.state import RolloutState
from serving.rule import Rule

FIRST = datetime(2026, 7, 1, tzinfo=UTC)
DAY = 86_400_000_000
BEGINS = round(FIRST.timestamp() * 1e6)
AS_OF = BEGINS + 26 * DAY
STATE = RolloutState(
    endpoint="late",
    generation=3,
    champion="late/1",
    challenger="late/2",
    experiment="e1",
    stage="traffic",
    share=0.3,
    design="ramp",
    began=FIRST,
    since=FIRST,
)
RULE = Rule(
    name="r",
    metric="brier",
    label_window_hours=24.0,
    ramp={"steps": [0.3, 1.0], "begins": "at_once", "patience_ms": 40.0},
    guardrails=[
        {"metric": "error_rate", "max": 0.01},
        {"metric": "calibration", "max": 0.05},
        {"metric": "slice_gap", "by": "carrier", "max_drop": 0.05},
        {"metric": "slice_gap", "by": "airport", "max_drop": 0.05},
        {"metric": "slice_gap", "by": "wind", "max_drop": 0.05},
        {"metric": "label_coverage", "max_gap": 0.02},
        {"metric": "sample_ratio"},
    ],
)
MODELS = ("late/1", "late/2", "late/9")


def write(folder: Path, seed: int, n: int = 250) -> None:
    """Write a log in which all happens that may: twice, late, never, by a third model, broken."""
    random = np.random.default_rng(seed)
    for part in ("compacted", "fresh"):
        with DecisionLog.open(folder, writer=part) as log:
            columns = log.columns(["wind", "carrier", "never"])
            for number in range(n):
                log.append(_records(random, columns, f"{part}-{number}"))
        if part == "compacted":
            compact(folder)


def _records(random: np.random.Generator, columns: int, name: str) -> list[dict[str, Any]]:
    def chance(share: float) -> bool:
        return bool(random.random() < share)

    at = BEGINS + int(random.integers(-5 * DAY, 26 * DAY))
    chances = [0.5, 0.3, 0.2] if chance(0.5) else [0.7, 0.3]
    candidates = list(MODELS[: len(chances)]) if chance(0.9) else None
    model = MODELS[int(random.integers(len(chances)))]
    decision = {
        "kind": "decision", "id": name, "at": at, "logged": at, "columns": columns,
        "features": [
            None if chance(0.2) else float(random.integers(3)),
            None if chance(0.2) else str(random.choice(["AA", "UA"])),
            None,
        ],
        "entity": {"airport": str(random.choice(["JFK", "LGA"]))},
        "experiment": "e1" if at >= BEGINS else "e0", "candidates": candidates,
        "propensities": chances if candidates else None, "assigned": model, "model": model,
        "unit": f"u{random.integers(40)}", "score": float(random.random()),
    }  # fmt: skip
    if chance(0.1):
        decision |= {"model": "late/1", "fallback": "error"}
    records = (
        [decision] if chance(0.95) else [decision, decision | {"score": 0.5, "logged": at + 9}]
    )
    for other in MODELS:
        if other != decision["model"] and chance(0.8):
            said = {"error": "ValueError: no"} if chance(0.1) else {"score": float(random.random())}
            shadow = {"kind": "shadow", "id": name, "logged": at + 1, "model": other, "ms": 3.0}
            records.append(shadow | {"experiment": decision["experiment"]} | said)
    if chance(0.9):
        known = at + int(random.integers(-DAY // 10, 2 * DAY))
        value = None if chance(0.1) else float(random.integers(2))
        outcome = {"kind": "outcome", "id": name, "known_at": known, "logged": max(at, known)}
        records.append(outcome | {"value": value})
        if chance(0.2):
            fix = {"known_at": known + DAY // 2, "logged": known + DAY, "corrects": True}
            records.append(outcome | fix | {"value": 1.0})
    return records


@contextmanager
def looking(folder: Path) -> Iterator[Look]:
    asked: dict[str, Any] = {"rule": RULE, "state": STATE, "as_of_us": AS_OF}
    with open_view(folder) as connection, log_copy(connection, **asked) as log:
        yield Look(log=log, **asked)


@pytest.fixture(params=[1, 2])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write(tmp_path, request.param)
    return tmp_path


def test_rows_of_the_copy_are_those_of_the_whole_log(folder: Path) -> None:
    with looking(folder) as look:
        copied, whole = look.rows, rows_of(look, whole=True)

    assert copied.block.size > 300
    for name in ("block", "outcome", "subject", "other", "known"):
        np.testing.assert_array_equal(getattr(copied, name), getattr(whole, name))
    names = whole.table.column_names
    assert copied.table.select(names).equals(whole.table)


def test_however_many_guardrails_there_are_the_log_is_read_once(folder: Path) -> None:
    asked: dict[str, Any] = {"rule": RULE, "state": STATE, "as_of_us": AS_OF, "live": None}
    with looking(folder) as look:
        found = guard_figures(look.log, **asked)
    with looking(folder) as look:
        for view in ("decisions", "shadows", "outcome_history"):
            look.log.whole.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT error('again')")

        again = guard_figures(look.log, **asked)

    assert [each.counts.get("why") for each in again] == [None] * 7
    assert [canonical_json(e.counts) for e in again] == [canonical_json(e.counts) for e in found]
    values = {each["value"] for each in found[4].counts["slices"]}
    assert values == {"0.0", "1.0", "2.0", "(none)"}


def test_nothing_of_the_copy_is_left_behind(folder: Path) -> None:
    with open_view(folder) as connection:
        with log_copy(connection, rule=RULE, state=STATE, as_of_us=AS_OF):
            pass

        left = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()

    assert left == []


def by_loop(look: Look, rows: Rows, threshold: float) -> tuple[list[float], list[bool]]:
    """Return what `_propensities` does, decision by decision."""
    shadows = look.log.narrow.execute("SELECT id, model, score FROM shadows").fetchall()
    scores = {(name, model): score for name, model, score in shadows}
    chance, tried = [], []
    for row in rows.table.to_pylist():
        same = 0.0
        for candidate, p in zip(row["candidates"] or (), row["propensities"] or (), strict=True):
            is_own = candidate == row["model"]
            score = row["answered"] if is_own else scores.get((row["id"], candidate))
            if score is None:
                same = 0.0
                break
            same += p if (score >= threshold) == (row["answered"] >= threshold) else 0.0
        chance.append(min(same, 1.0))
        tried.append(0 < same < 1)
    return chance, tried


def test_the_chance_of_what_was_decided_is_what_a_loop_finds(folder: Path) -> None:
    more = ", d.id AS id, d.features AS features, d.candidates AS candidates"
    with looking(folder) as look:
        rows = rows_of(look, more=more + ", d.propensities AS propensities", whole=True)
        answered = numbers(rows.table, "answered")
        chance, tried = _propensities(look, rows, answered, 0.5)

        expected = by_loop(look, rows, 0.5)

    assert chance.tolist() == expected[0]
    assert tried.tolist() == expected[1]
    assert 0 < tried.mean() < 1
    maps = [dict(each) for each in rows.table["features"].to_pylist()]
    names = sorted({name for each in maps for name in each})
    expected_features = np.array([[m.get(name) for name in names] for m in maps], dtype=np.float64)
    np.testing.assert_array_equal(_features(rows.table), expected_features)
    assert np.isfinite(expected_features).any()
