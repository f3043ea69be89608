"""What a run that is killed, that finds the disk full, or that has a twin, leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from headrace.content import document_digest, table_digest
from headrace.execution import Session
from headrace.settings import using_settings
from headrace.store import LocalStore

FLOW = dedent(
    '''
    """A flow of tables that are large enough to be met while they are written."""

    from __future__ import annotations

    import time
    from pathlib import Path
    from typing import Protocol

    from headrace import Report, Schema, Table, flow, operator


    class Noise(Schema, Protocol):
        """Numbers that do not compress."""

        value: int


    @operator()
    def draw(*, rows: int, seed: int) -> Table[Noise]:
        """Draw numbers."""
        import numpy as np

        values = np.random.default_rng(seed).integers(0, 2**62, rows)
        return Table[Noise].of({"value": values})


    @operator()
    def shift(noise: Table[Noise], *, by: int) -> Table[Noise]:
        """Shift numbers."""
        frame = noise.frame()
        return Table.of(frame.assign(value=frame.value + by))


    @operator()
    def wait_for(noise: Table[Noise], *, gate: str) -> Table[Noise]:
        """Wait until somebody makes a file."""
        while not Path(gate).exists():
            time.sleep(0.02)
        return noise


    @operator()
    def count(noise: Table[Noise]) -> Report:
        """Count rows."""
        return Report.of({"passed": True, "rows": noise.rows})


    @operator()
    def add_up(reports: list[Report]) -> Report:
        """Add counts up."""
        return Report.of({"rows": sum(report.document["rows"] for report in reports)})


    @flow
    def gated(*, gate: str) -> Report:
        """Wait in the middle."""
        return count(wait_for(draw(rows=1_000, seed=1), gate=gate))


    @flow
    def heavy(*, tables: int = 6, rows: int = 1_000_000) -> Report:
        """Write tables one after the other."""
        noise = draw(rows=rows, seed=1)
        for by in range(1, tables):
            noise = shift(noise, by=by)
        return count(noise)


    @flow
    def mixed() -> Report:
        """Write a small table and a large one."""
        small, large = draw(rows=10_000, seed=1), draw(rows=500_000, seed=2)
        return add_up([count(shift(small, by=1)), count(shift(large, by=1))])
    '''
)

RUN = dedent(
    """
    import json, resource, sys
    from crash_flows import noise
    from headrace.execution import Session, run_plan

    name, arguments, most_bytes = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    finished = run_plan(getattr(noise, name).plan_with(arguments), Session.of_settings())
    print(json.dumps({
        "run": finished.id,
        "state": finished.state,
        "nodes": {p: [o.state, type(o.error).__name__, o.message]
                  for p, o in finished.outcomes.items()},
        "digests": {p: {n: a.digest for n, a in o.outputs.items()}
                    for p, o in finished.outcomes.items()},
    }))
    """
)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of processes that share one home, which the settings point to too."""
    root = tmp_path / "crash_flows"
    root.mkdir()
    (root / "__init__.py").touch()
    (root / "noise.py").write_text(FLOW, encoding="utf-8")
    home = tmp_path / "home"
    with using_settings(home=home, roots=[root]):
        yield os.environ | {
            "PYTHONPATH": str(tmp_path),
            "HEADRACE_HOME": str(home),
            "HEADRACE_ROOTS": str(root),
        }


def start(
    environment: dict[str, str], flow: str, *, most_bytes: int = 0, **arguments: Any
) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, flow, json.dumps(arguments), str(most_bytes)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(said)
    return found


def states(finished: dict[str, Any]) -> dict[str, str]:
    return {path: node[0] for path, node in finished["nodes"].items()}


def assert_everything_visible_is_whole(store: LocalStore) -> int:
    """Read every object there is, compare it to its digest, and return how many there are."""
    digests = list(store.digests())
    for digest in digests:
        if next(store.root.glob(f"objects/*/{digest}/document.json"), None):
            assert document_digest(store.read_document(digest)) == digest
        else:
            assert table_digest(store.read_table(digest)) == digest
    return len(digests)


def test_a_run_that_was_killed_goes_on_from_what_was_done(
    environment: dict[str, str], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    killed = start(environment, "gated", gate=str(gate))
    lineage = Session.of_settings().lineage
    while not (runs := lineage.runs()) or not lineage.invocations(runs[0].id):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    gate.touch()

    again = outcome(start(environment, "gated", gate=str(gate)))

    assert states(again) == {"draw": "cached", "wait_for": "executed", "count": "executed"}
    new, old = lineage.runs()
    assert (new.id, new.state) == (again["run"], "completed")
    assert old.state == "crashed"
    assert [(i.node, i.state) for i in lineage.invocations(old.id)] == [("draw", "executed")]


def test_a_run_killed_while_it_writes_leaves_nothing_half_visible(
    environment: dict[str, str],
) -> None:
    session = Session.of_settings()
    assert isinstance(session.store, LocalStore)
    staging = session.store.root / "staging"
    left: set[Path] = set()
    for done in (0, 3):  # the second run gets further, since it goes on from what the first did
        writer = start(environment, "heavy")
        while len(list(session.store.digests())) < done or not set(staging.iterdir()) - left:
            assert writer.poll() is None
            time.sleep(0.001)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        left |= set(staging.iterdir())
        assert_everything_visible_is_whole(session.store)

    finished = outcome(start(environment, "heavy"))

    assert left  # at least one was really caught writing
    assert finished["state"] == "completed"
    assert states(finished)["draw"] == "cached"
    assert assert_everything_visible_is_whole(session.store) == 7


def test_a_full_disk_fails_what_does_not_fit_and_keeps_the_rest(
    environment: dict[str, str],
) -> None:
    stopped = outcome(start(environment, "mixed", most_bytes=2_000_000))

    resumed = outcome(start(environment, "mixed"))

    assert stopped["state"] == "failed"
    assert states(stopped) == {
        "draw": "executed",
        "draw#2": "failed",
        "shift": "executed",
        "count": "executed",
        "shift#2": "skipped",
        "count#2": "skipped",
        "add_up": "skipped",
    }
    _, kind, message = stopped["nodes"]["draw#2"]
    root = Path(environment["HEADRACE_HOME"]) / "store"
    assert kind == "StoreError"
    assert message.startswith(f"The store at '{root}' cannot write an artifact: [Errno 27] ")
    assert message.endswith(".\n  Fix: free some space or move the store, then run again.")
    assert list((root / "staging").iterdir()) == []
    assert resumed["state"] == "completed"
    assert states(resumed) == {
        "draw": "cached",
        "draw#2": "executed",
        "shift": "cached",
        "count": "cached",
        "shift#2": "executed",
        "count#2": "executed",
        "add_up": "executed",
    }


def test_two_runs_at_once_on_one_home_agree(environment: dict[str, str]) -> None:
    arguments = {"tables": 4, "rows": 100_000}

    one, two = (start(environment, "heavy", **arguments) for _ in range(2))
    first, second = outcome(one), outcome(two)

    assert (first["state"], second["state"]) == ("completed", "completed")
    assert first["digests"] == second["digests"]
    session = Session.of_settings()
    assert isinstance(session.store, LocalStore)
    assert assert_everything_visible_is_whole(session.store) == 5
    runs = session.lineage.runs()
    assert {run.id: run.state for run in runs} == {
        first["run"]: "completed",
        second["run"]: "completed",
    }
    for run in runs:
        invocations = session.lineage.invocations(run.id)
        assert [i.node for i in invocations] == list(first["nodes"])
        assert {i.state for i in invocations} <= {"executed", "cached"}
        made = {e.digest for i in invocations for e in i.outputs}
        assert made == {d for node in first["digests"].values() for d in node.values()}
    third = outcome(start(environment, "heavy", **arguments))
    assert set(states(third).values()) == {"cached"}
