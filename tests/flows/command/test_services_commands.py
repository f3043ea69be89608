from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.settings import Settings


def headrace(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [Path(sys.executable).with_name("headrace"), *words],
        env=os.environ | {"COLUMNS": "80"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_every_command_has_help_with_an_example(command: str):
    done = headrace(command, "--help")

    assert done.returncode == 0
    assert f"Example: headrace {command}" in done.stdout


def test_without_a_command_the_help_is_shown_as_for_wrong_usage():
    nothing, asked = headrace(), headrace("--help")

    assert nothing.returncode == 2
    assert asked.returncode == 0
    assert (nothing.stdout + nothing.stderr).strip() == asked.stdout.strip()


def test_a_mistyped_command_is_refused_with_the_nearest():
    done = headrace("stauts")

    assert done.returncode == 2
    assert done.stderr == (
        "Usage: headrace [OPTIONS] COMMAND [ARGS]...\n"
        "Try 'headrace -h' for help.\n\n"
        "Error: No such command 'stauts'. Did you mean 'status'?\n"
    )


def test_an_error_is_told_with_its_remedy_and_without_a_traceback(tmp_path: Path):
    done = headrace("up", "prefct", HEADRACE_HOME=str(tmp_path))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: There is no service 'prefct'. Did you mean 'prefect'?\n"
        "  Fix: Name a service, or none for all of them.\n"
    )


@pytest.mark.parametrize("words", [("--debug", "up", "prefct"), ("up", "prefct", "--debug")])
def test_debug_shows_where_an_error_comes_from(words: tuple[str, ...], tmp_path: Path):
    done = headrace(*words, HEADRACE_HOME=str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert "There is no service 'prefct'." in done.stderr


def test_a_wrong_setting_is_told_by_every_command():
    done = headrace("status", HEADRACE_PREFECT_PORT="many")

    assert done.returncode == 1
    assert done.stderr == (
        "Error: The setting 'prefect_port' is 'many': input should be a valid integer, unable to "
        "parse string as an integer.\n"
        "  Fix: Correct it in the environment variable HEADRACE_PREFECT_PORT.\n"
    )


def test_a_held_port_ends_up_at_once(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])

        done = headrace("up", HEADRACE_HOME=str(tmp_path), HEADRACE_PREFECT_PORT=port)

    assert done.returncode == 1
    assert done.stderr.startswith(
        f"Error: The Prefect server cannot listen on 127.0.0.1:{port}: the port is held by process "
        f"{os.getpid()} ("
    )


def test_down_where_nothing_runs_says_so_and_leaves_no_trace(tmp_path: Path):
    done = headrace("down", HEADRACE_HOME=str(tmp_path / "home"))

    assert (done.returncode, done.stdout) == (0, "Nothing was running.\n")
    assert not (tmp_path / "home").exists()


def test_up_again_changes_nothing_and_says_so(servers: Settings):
    before = _pids()

    done = headrace("up", "prefect", "mlflow")

    assert done.returncode == 0
    assert done.stdout == (
        "Everything was up already; nothing was changed.\n"
        f"  Prefect server   {servers.prefect_url}\n"
        f"  MLflow server    {servers.mlflow_url}\n"
    )
    assert _pids() == before


def test_status_names_state_address_process_and_log(servers: Settings):
    told = {each["name"]: each for each in _services()}
    table = headrace("status").stdout.splitlines()

    prefect = told["prefect"]
    assert (prefect["state"], prefect["url"]) == ("ready", servers.prefect_url)
    assert Path(prefect["log"]) == servers.log_folder / "prefect.log"
    assert told["runner"]["state"] == "stopped"
    assert table[0].split() == ["service", "state", "address", "process", "log"]
    assert table[1].split()[2:5] == ["ready", prefect["url"], str(prefect["pid"])]


def _services() -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(headrace("status", "--json").stdout)["services"]
    return told


def _pids() -> dict[str, int]:
    return {each["name"]: each["pid"] for each in _services()}
