"""mypy refuses a miswired flow before anything runs, and accepts a well-wired one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SNIPPETS = Path(__file__).with_name("_typing_snippets.py")


@pytest.fixture(scope="module")
def errors() -> dict[int, list[str]]:
    """What mypy says of the snippets, by line."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(SNIPPETS)],
        cwd=SNIPPETS.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[int, list[str]] = {}
    for line in done.stdout.splitlines():
        if said := re.match(rf".*{SNIPPETS.name}:(\d+): error: (.*)", line):
            found.setdefault(int(said[1]), []).append(said[2])
    return found


@pytest.mark.slow
def test_mypy_refuses_exactly_the_snippets_that_are_wrong(errors: dict[int, list[str]]):
    expected = {
        number: line.partition("# refused: ")[2]
        for number, line in enumerate(SNIPPETS.read_text().splitlines(), start=1)
        if "# refused: " in line
    }

    assert len(expected) == 25
    assert {n: said for n, said in errors.items() if n not in expected} == {}
    assert {
        n: (said, errors.get(n))
        for n, said in expected.items()
        if not any(said in each for each in errors.get(n, []))
    } == {}
