"""This benchmark asks for 200,000 decisions while processes are killed, and counts what is wrong.

Clients ask through the front; lanes with their logs, shadows, the controller, the front, Ray's head
and the serving host are killed with SIGKILL in between, and models promoted and split. Then the log
is held against what clients were answered and told: every answered decision must be in it once, as
it was answered, under a version that its generation had, with the outcome that holds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._lane import ENDPOINT, Home, deployed, home
from benchmarks._processes import REPOSITORY
from benchmarks._servers import free_ports
from benchmarks._soak_kills import Kills
from headrace.settings import inherited_environment

_DECISIONS = 200_000
_CLIENTS = 8
_SEED = 6
_SETTLE_SECONDS = 3.0

# one row an id that is in the log, with how often, and what is said of it
_RAW = """
SELECT id, count(*) AS times FROM ({files} SELECT id FROM headrace_fresh_decisions) GROUP BY id
"""


def run() -> Iterator[dict[str, Any]]:
    """Yield how many decisions were lost, doubled or are not as they were answered."""
    from headrace.settings import using_settings
    from serving.placement import Placement

    (port,) = free_ports(1)
    front = using_settings(serving_front="haproxy", serving_front_port=port)
    with front, home("serving") as of:
        deployed(of, with_challenger=True, placement=Placement(replicas=2))
        begun = time.monotonic()
        with Kills(of, _SEED) as kills:
            said, clients = _asked(of, _DECISIONS)
        seconds = time.monotonic() - begun
        time.sleep(_SETTLE_SECONDS)
        found = _compared(of, said)
    wrong = sum(found["wrong"].values())
    yield {
        "name": "decision_soak",
        "value": wrong,
        "unit": "decisions or outcomes",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 0},
        "detail": {
            **found,
            "asked": _DECISIONS,
            "refused_or_unanswered": clients,
            "clients": _CLIENTS,
            "seconds": round(seconds, 1),
            "done_meanwhile": dict(sorted(kills.done.items())),
            "changes_that_failed": len(kills.errors),
            "seed": _SEED,
        },
    }


def _asked(of: Home, decisions: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Let clients ask; return what they were answered and told, and how many failed."""
    bodies = of.written("soak", of.requests())
    path = of.settings.home / "bench" / "said.jsonl"
    arguments = [ENDPOINT, str(bodies), str(_CLIENTS), str(decisions), str(path), str(_SEED)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks._soak_clients", *arguments],
        cwd=REPOSITORY,
        env={**inherited_environment(), **of.settings.as_environment()},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    said = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return said, json.loads(done.stdout.splitlines()[-1])


def _compared(of: Home, said: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what differs between what was said and what is in the log."""
    from headrace.decisions import open_view
    from serving.endpoints import Endpoints
    from serving.hosted import decisions_folder

    answered = {each["decided"]: each for each in said if "decided" in each}
    told: dict[str, float | None] = {}
    for each in said:
        if "told" in each and (each["corrects"] or each["told"] not in told):
            told[each["told"]] = each["value"]
    folder = decisions_folder(of.settings, ENDPOINT)
    view = open_view(folder)
    files = sorted((folder / "parquet" / "decisions").rglob("*.parquet"))
    raw = view.sql(_RAW.format(files=_selected(files))).fetchall()
    times = dict(raw)
    logged = {
        row[0]: row[1:]
        for row in view.sql("SELECT id, model, score, generation FROM decisions").fetchall()
    }
    (rows,) = view.sql("SELECT count(*) FROM decisions").fetchall()[0]
    outcomes = dict(view.sql("SELECT id, value FROM outcomes").fetchall())
    versions = _versions(Endpoints().history(ENDPOINT))
    wrong = {
        "lost": sum(identity not in logged for identity in answered),
        "doubled": rows - len(logged),
        "not_as_answered": sum(
            (each["model"], each["value"]) != logged[identity][:2]
            for identity, each in answered.items()
            if identity in logged
        ),
        "wrong_version": sum(row[0] not in versions.get(row[2], ()) for row in logged.values()),
        "outcomes_lost": sum(identity not in outcomes for identity in told),
        "outcomes_wrong": sum(
            outcomes[identity] != value for identity, value in told.items() if identity in outcomes
        ),
    }
    return {
        "wrong": wrong,
        "answered": len(answered),
        "logged": len(logged),
        # two replicas were asked at the same moment: readers see the record that came first
        "with_two_records": sum(many > 1 for many in times.values()),
        "with_outcome": len(told),
        "generations": len(versions),
    }


def _selected(files: list[Path]) -> str:
    listed = ", ".join(f"'{file}'" for file in files)
    return f"SELECT id FROM read_parquet([{listed}]) UNION ALL" if files else ""  # noqa: S608


def _versions(history: Any) -> dict[int, set[str]]:
    """Return the versions that may have answered in each generation."""
    found = {}
    for change in history:
        route = change.after
        dealt = set() if route.traffic is None else set(route.traffic.shares())
        found[route.generation] = {route.champion} | dealt
    return found
