"""This runs the tests in two processes side by side, each with a home and servers of its own.

`make test` calls `python tests/side_by_side.py`: many tests wait for servers most of the time, so
that two processes on two cores take little more than half as long. A folder of tests is run by one
process; the longest come first, and what it says is shown when it is done. Arguments are pytest's.
What is marked lengthy or services is left out.
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
LONGEST_FIRST = ("flows", "headrace", "crashes", "end_to_end", "serving", "operators", "features")
# `make check`, `make test-browser`, `make test-labelstudio`
ELSEWHERE = ("architecture", "browser", "labelstudio")
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
    """Run all folders, two at a time; returns 1 when a test fails or a folder cannot be run."""
    folders = {p.name for p in HERE.iterdir() if any(p.rglob("test_*.py"))} - {*ELSEWHERE}
    order = [*LONGEST_FIRST, *sorted(folders - {*LONGEST_FIRST})]
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda name: run(name, arguments), order))
    failed = [name for name, code in zip(order, codes, strict=True) if code]
    print("All tests passed." if not failed else f"Failed in: {', '.join(failed)}.", flush=True)
    return 1 if failed else 0


def run(name: str, arguments: list[str]) -> int:
    """Run the tests of a folder, write what they said, and return their exit code."""
    begun = time.monotonic()
    done = subprocess.run(
        [*PYTEST, str(HERE / name), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    sys.stdout.write(f"--- tests/{name}, {time.monotonic() - begun:.0f} s\n{done.stdout}")
    sys.stdout.flush()
    return 0 if done.returncode == NOTHING_SELECTED else done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
