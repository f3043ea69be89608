"""This runs the tests in two processes side by side, each with a home and servers of its own.

`python tests/side_by_side.py` is what `make test` calls: half of the tests wait for servers most of
the time, so two processes on two cores take little more than the longer half. What the second one
says is shown when the first is done.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
# those that mostly wait for servers; whatever is not named here runs in the other process
WITH_SERVERS = ("crashes", "flows", "services", "deploy")
ELSEWHERE = ("architecture", "browser")  # `make check`, `make test-browser`


def main(arguments: list[str]) -> int:
    folders = sorted(p.name for p in HERE.iterdir() if any(p.rglob("test_*.py")))
    others = [name for name in folders if name not in (*WITH_SERVERS, *ELSEWHERE)]
    with tempfile.TemporaryFile("w+") as said:
        beside = subprocess.Popen(
            command(others, arguments), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            first = subprocess.run(command(WITH_SERVERS, arguments), check=False).returncode
            second = beside.wait()
        finally:
            beside.kill()
        said.seek(0)
        sys.stdout.write(said.read())
    return first or second


def command(names: tuple[str, ...] | list[str], arguments: list[str]) -> list[str]:
    folders = [str(HERE / name) for name in names]
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *folders, *arguments]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
