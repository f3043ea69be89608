"""Events that are told from a terminal, when Prefect is not there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path


def emit(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]  # free again when the command runs: nobody answers
    return subprocess.run(
        [Path(sys.executable).with_name("headrace"), "emit", *words],
        env=os.environ | {"HEADRACE_HOME": str(home), "HEADRACE_PREFECT_PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_event_that_nobody_can_be_told_is_an_error(tmp_path: Path) -> None:
    told = emit(tmp_path, "shop.closed", "--resource", "shop.berlin", "-p", "day=2013-07-04")

    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.endswith(
        "was not told of 'shop.closed' (ConnectError).\n"
        "  Fix: Start it with `headrace up`; what waits for the event was not started.\n"
    )


def test_the_help_has_an_example(tmp_path: Path) -> None:
    shown = emit(tmp_path, "--help")

    assert "Example: headrace emit shop.closed --resource shop.berlin" in shown.stdout
