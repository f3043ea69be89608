"""This runs the tests in three processes side by side, each with a home and servers of its own.

`make test` calls `python tests/side_by_side.py`: many tests wait for servers most of the time, so
that it takes three processes to keep two cores busy. A folder of tests is run by one process, and
the type checker is one more; the longest come first, and what one says is shown when it is done.
Arguments are pytest's. What is marked lengthy or services is left out.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
AT_ONCE = 3
LONGEST_FIRST = (
    "flows",
    "serving",
    "headrace",
    "end_to_end",
    "operators",
    "examples",
    "crashes",
    "features",
)
# `make lint`, `make test-browser`, `make test-labelstudio`
ELSEWHERE = ("architecture", "browser", "labelstudio")
TYPES = (sys.executable, "-m", "mypy")
PYTEST = (
    sys.executable,
    "-m",
    "pytest",
    "-p",
    "no:cacheprovider",
    "-m",
    "not lengthy and not services",
)
NOTHING_SELECTED = 5


def main(arguments: list[str]) -> int:
    """Run everything, some at a time; returns 1 when a test fails or a folder cannot be run."""
    folders = {p.name for p in HERE.iterdir() if any(p.rglob("test_*.py"))} - {*ELSEWHERE}
    order = [*LONGEST_FIRST, *sorted(folders - {*LONGEST_FIRST})]
    commands = {f"tests/{name}": (*PYTEST, str(HERE / name), *arguments) for name in order}
    # first, because a test of headrace asks mypy too, which then remembers what it found
    commands = {"types": TYPES, **commands}
    begun = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = dict(zip(commands, pool.map(run, commands, commands.values()), strict=True))
    took = ", ".join(f"{name} {seconds:.0f}" for name, (_, seconds) in done.items())
    failed = [name for name, (code, _) in done.items() if code]
    print(f"--- {time.monotonic() - begun:.0f} s in all: {took}")
    print("All tests passed." if not failed else f"Failed in: {', '.join(failed)}.", flush=True)
    return 1 if failed else 0


def run(name: str, command: Sequence[str]) -> tuple[int, float]:
    """Run a command, write what it said, and return its exit code and how long it took."""
    begun = time.monotonic()
    done = subprocess.run(
        command,
        cwd=HERE.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    seconds = time.monotonic() - begun
    sys.stdout.write(f"--- {name}, {seconds:.0f} s\n{done.stdout}")
    sys.stdout.flush()
    return 0 if done.returncode == NOTHING_SELECTED else done.returncode, seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
