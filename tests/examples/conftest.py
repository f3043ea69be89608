"""Examples and documents run as a reader runs them: in processes, with a home of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
Run = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path) -> Run:
    """Run Python with some arguments and return what it prints; it must end well."""

    def run(*arguments: str, cwd: Path = REPOSITORY) -> str:
        outer = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")}
        own = {"HEADRACE_HOME": str(home), "HEADRACE_PROJECT": str(REPOSITORY)}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env={**outer, **own, "OMP_WAIT_POLICY": "PASSIVE"},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
