"""`headrace decisions` as people use it, in a home of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flows._command.main import app
from headrace.clock import VirtualClock, as_us, using_clock
from headrace.decisions import DecisionLog, compact
from headrace.errors import HeadraceError
from headrace.lineage.database import Database
from headrace.settings import settings, using_settings
from serving.endpoints import Endpoints, EndpointSpec

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC: dict[str, Any] = {
    "model": "flight_delay", "task": "classification", "clock": "live", "space": "headrace",
}  # fmt: skip
Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The log of an endpoint: two decisions in January, one today, with an outcome."""
    with using_settings(home=tmp_path), using_clock(VirtualClock(NOON)):
        folder = settings().home / "decisions" / "flight_delay"
        for days in (60, 59, 0):
            moment = as_us(NOON - timedelta(days=days))
            with DecisionLog.open(folder, writer="lane") as log:
                log.append(
                    [
                        {"kind": "decision", "id": f"UA{days}", "at": moment, "logged": moment,
                         "columns": log.columns(["distance"]), "features": [719.0],
                         "model": "flight_delay/1", "score": 0.5, "answer": {"probability": 0.5}},
                        {"kind": "outcome", "id": f"UA{days}", "logged": moment,
                         "known_at": moment, "value": 1.0},
                    ]
                )  # fmt: skip
        yield folder


@pytest.fixture
def run(folder: Path) -> Run:
    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["decisions", *words], catch_exceptions=False)

    return run


def deploy(**options: Any) -> None:
    endpoints = Endpoints(Database(settings().database_url))
    spec = EndpointSpec(**SPEC, **options)
    endpoints.declare("flight_delay", spec=spec, champion="flight_delay/1", reason="first")


def test_logs_are_listed_with_what_they_hold(run: Run):
    text, document = run("list").output, json.loads(run("list", "--json").output)

    assert [line.split() for line in text.splitlines()] == [
        ["endpoint", "decisions", "shadows", "outcomes", "size",
         "oldest", "(UTC)", "newest", "(UTC)"],
        ["flight_delay", "3", "0", "3", "1.3", "KB",
         "2025-12-31", "12:00", "2026-03-01", "12:00"],
    ]  # fmt: skip
    assert (document[0]["endpoint"], document[0]["oldest"]) == (
        "flight_delay",
        "2025-12-31T12:00:00+00:00",
    )


def test_a_log_says_that_nothing_is_dropped_while_there_is_no_retention(run: Run):
    deploy()

    text = run("show", "flight_delay").output

    assert text.splitlines() == [
        "'flight_delay' has logged 3 decisions, 0 shadow scores and 3 outcomes, from "
        "2025-12-31 12:00 to 2026-03-01 12:00 UTC.",
        "  Segments: 3 of 1.3 KB, 0 of them open.",
        "  Parquet:  0 files of 0 bytes.",
        "  Nothing is ever dropped: the endpoint has no retention.",
    ]


def test_a_log_says_what_its_retention_would_drop(run: Run, folder: Path):
    deploy(
        retention={"keep_days": 14.0, "at_least_decisions": 1},
        outcomes=[{"name": "", "window_hours": 24.0 * 10}],
    )
    compact(folder)

    text = run("show", "flight_delay").output
    document = json.loads(run("show", "flight_delay", "--json").output)

    assert text.splitlines()[3:] == [
        "  Kept for 14 days, at least the newest 1; what was logged since 2026-02-09 12:00 UTC "
        "stays.",  # twice the time of an outcome is longer
        f"  Would be dropped now: 2 decisions, 0 shadow scores, 2 outcomes "
        f"({document['would_drop']['bytes'] / 1000:.1f} KB).",
    ]
    assert document["retention"] == {
        "keep_days": 14.0, "at_least_decisions": 1, "window_hours": 240.0, "experiments": [],
    }  # fmt: skip
    assert document["would_drop"]["decisions"] == 2


def test_decisions_are_exported_by_day_and_with_what_became_of_them(run: Run, tmp_path: Path):
    to = tmp_path / "january.jsonl"

    said = run("export", "flight_delay", "--to", str(to), "--from", "2026-01-01",
               "--until", "2026-02-01", "--with", "outcomes,shadows")  # fmt: skip
    with pytest.raises(HeadraceError) as again:
        run("export", "flight_delay", "--to", str(to))

    [row] = map(json.loads, to.read_text().splitlines())
    assert said.output == f"Wrote 1 decisions to {to} ({to.stat().st_size} bytes).\n"
    assert (row["id"], row["outcomes"][0]["value"], row["shadows"]) == ("UA59", 1.0, [])
    assert str(again.value) == (
        f"'{to}' is there already.\n  Fix: Choose another file, or replace it."
    )


def test_a_moment_that_is_none_is_refused(run: Run, tmp_path: Path):
    to = str(tmp_path / "x.csv")

    with pytest.raises(HeadraceError) as refused:
        run("export", "flight_delay", "--to", to, "--from", "soon")

    assert str(refused.value) == (
        "'soon' is no moment for --from.\n"
        "  Fix: Give a day or a moment, such as 2026-01-31 or 2026-01-31T18:00+01:00."
    )


def test_a_damaged_log_is_repaired_and_says_what_is_lost(run: Run, folder: Path):
    path = folder / "segments" / "lane-1.log"
    content = bytearray(path.read_bytes())
    place = content.index(b'"score"')
    content[place] ^= 1
    path.write_bytes(content)
    start, end = content.rindex(b"\xffHR", 0, place), content.index(b"\xffHR", place)

    looked = run("repair", "flight_delay", "--dry-run").output.splitlines()
    untouched = path.read_bytes()
    done = run("repair", "flight_delay").output.splitlines()
    after = run("repair", "flight_delay").output

    what = f"lane-1: bytes {start:,} to {end:,} are damaged; lost: 1 decision (UA60)."
    assert looked == [
        what, "Nothing was changed. `headrace decisions repair flight_delay` sets it aside."
    ]  # fmt: skip
    assert untouched == content
    assert done == [
        what,
        f"  Set aside: {folder / 'set_aside' / f'lane-1.{start}-{end}.bin'}",
        "The log of 'flight_delay' opens again; what is lost stays lost.",
    ]
    assert after == "The log of 'flight_delay' is not damaged.\n"
    with DecisionLog.open(folder, writer="lane") as log:
        assert log.outcome("UA60") is not None


def test_a_log_that_is_not_there_is_said_with_those_that_are(run: Run):
    with pytest.raises(HeadraceError) as refused:
        run("show", "flight_dealy")

    assert str(refused.value) == (
        "There is no decision log of an endpoint 'flight_dealy'. Did you mean 'flight_delay'?\n"
        "  Fix: Run `headrace decisions list` to see those there are."
    )
