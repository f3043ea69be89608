"""`headrace store` as people use it, on a home of their own and without a registry."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

FLOWS = '''
"""Flows of these tests."""
from headrace import Report, flow, operator


@operator()
def brew(*, litres: int) -> Report:
    """Brew some tea."""
    return Report.of({"passed": True, "litres": litres})


@flow
def tea(*, litres: int = 2) -> Report:
    """Make tea."""
    return brew(litres=litres)
'''
PLAIN = """
from tea import tea
run = tea.run(litres={litres})
print(run.id, run.outcomes['brew'].state)
"""


class Home:
    """This is a home with a flow, in which commands are run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "tea.py").write_text(FLOWS)
        with socket.create_server(("127.0.0.1", 0)) as held:
            self.port = held.getsockname()[1]  # free again when commands run: nobody answers

    def _run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        ours = {
            "HEADRACE_HOME": str(self.path / "home"),
            "HEADRACE_MLFLOW_PORT": str(self.port),
            "HEADRACE_ROOTS": str(self.path),
        }
        return subprocess.run(
            command,
            cwd=self.path,
            env=os.environ | ours,
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `headrace …`."""
        return self._run(Path(sys.executable).with_name("headrace"), *words)

    def tea(self, litres: int) -> tuple[str, str]:
        """Run the flow in process; return the run's id and what became of its node."""
        done = self._run(sys.executable, "-c", PLAIN.format(litres=litres))
        run, state = done.stdout.split()
        return run, state


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_what_only_older_runs_need_is_collected_and_made_again_when_it_is_needed(home: Home):
    old, _ = home.tea(1)
    home.tea(2)

    said = home("store", "gc", "--keep", "last=1", "--dry-run", "--without-registry", "--json")
    done = home("store", "gc", "--keep", "last=1", "--without-registry", "--json")
    explained = home("explain", f"run:{old}")
    _, state = home.tea(1)

    planned, removed = json.loads(said.stdout), json.loads(done.stdout)
    assert planned["removed"] == removed["removed"]
    assert (planned["dry_run"], removed["dry_run"]) == (True, False)
    assert removed["removed"]["document"]["count"] == 1
    assert removed["kept"]["document"]["count"] == 1
    assert "brew" in explained.stdout
    assert state == "executed"


def test_without_an_answer_of_the_registry_nothing_is_removed(home: Home):
    home.tea(1)

    done = home("store", "gc", "--keep", "0d")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.endswith(
        "So nobody knows which models are registered.\n"
        "  Fix: Start it with `headrace up --only mlflow`; or add --without-registry, which takes "
        "every model that was ever registered from here for registered.\n"
    )
    assert json.loads(home("store", "show", "--json").stdout)["held"]["document"]["count"] == 1


def test_what_goes_is_told_in_words(home: Home):
    home.tea(1)
    home.tea(2)

    done = home("store", "gc", "--keep", "last=1", "--without-registry")

    first, _, head, row, _, last = done.stdout.rstrip("\n").split("\n")
    assert first.startswith("Removed 1 pieces of ")
    assert head.split() == ["what", "count", "size", "oldest", "(UTC)", "newest", "(UTC)"]
    assert row.split()[:2] == ["documents", "1"]
    assert last == (
        "Runs that keep their artifacts: 0 running or paused, 0 recent, 1 newest, 0 tagged."
    )


def test_a_wrong_rule_is_refused_before_anything_is_looked_at(home: Home):
    done = home("store", "gc", "--keep", "month")

    assert done.returncode == 1
    assert done.stderr.startswith("Error: 'month' does not say which runs to keep.\n")


def test_verify_reads_everything_and_names_the_runs_that_a_damage_concerns(home: Home):
    run, _ = home.tea(1)
    sound = home("store", "verify")
    (document,) = (home.path / "home" / "store").glob("objects/*/*/document.json")
    document.chmod(0o644)
    document.write_text("{}")

    damaged = home("store", "verify", "--json")

    assert (sound.returncode, sound.stdout) == (
        0,
        "1 artifacts were read; 0 of them are damaged.\n",
    )
    assert damaged.returncode == 1
    (damage,) = json.loads(damaged.stdout)["damaged"]
    assert damage["runs"] == [run]


@pytest.mark.parametrize("command", ["gc", "show", "verify"])
def test_every_command_has_help_with_an_example(home: Home, command: str):
    done = home("store", command, "--help")

    assert done.returncode == 0
    assert f"Example: headrace store {command}" in done.stdout
