"""This module runs benchmarks: python -m benchmarks [NAME ...] [--json FILE].

Each runs in a process of its own, so that none warms another's caches or takes the others with it.
Standard output has one JSON object a row and nothing else; the table and the reasons are on
standard error.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._results import complete, merge, table
from headrace.clock import SystemClock
from headrace.errors import HeadraceError, UnknownNameError
from headrace.settings import inherited_environment

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the benchmarks there are: the modules of this folder without a leading underscore."""
    return sorted(
        path.stem
        for path in FOLDER.iterdir()
        if not path.name.startswith(("_", "."))
        and (path.suffix == ".py" or (path / "__init__.py").is_file())
    )


def chosen(asked: list[str]) -> list[str]:
    """Return the benchmarks that were asked for, all when none was; `name.part` means one row.

    Raises:
        UnknownNameError: There is no such benchmark.
    """
    known = names()
    for name in asked:
        if name.partition(".")[0] not in known:
            raise UnknownNameError.of(
                "benchmark", name, known, remedy="Name a benchmark, or none for all of them."
            )
    return list(dict.fromkeys(name.partition(".")[0] for name in asked)) or known


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; 0 when all of it ran, 1 when some did not, 2 for a wrong request."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", help="a benchmark, or name.part; all by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write this run's rows there")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    asked = parser.parse_args(arguments)
    if asked.list:
        print("\n".join(names()))
        return 0
    try:
        rows, failures = _run_all(chosen(asked.name), asked.name)
        merge(rows, FOLDER / "results.json")
    except HeadraceError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print("\n" + table(rows), file=sys.stderr)
    for name, reason in failures.items():
        print(f"{name} did not run: {reason}", file=sys.stderr)
    return 1 if failures else 0


def _run_all(run: list[str], asked: list[str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    commit, at = _commit(), SystemClock().now().isoformat(timespec="seconds")
    rows: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    for name in run:
        print(f"{name} ...", file=sys.stderr, flush=True)
        for answer in _run_one(name):
            if "failure" in answer:
                failures[name] = answer["failure"]
                continue
            if not _is_asked_for(answer["name"], asked):
                continue
            row = complete(answer, at=at, commit=commit)
            print(json.dumps(row), flush=True)
            rows.append(row)
            if row["value"] is None and asked:
                failures[row["name"]] = str(row["detail"])
    produced = {row["name"] for row in rows}
    for name in asked:
        if "." in name and name not in produced and name.partition(".")[0] not in failures:
            failures[name] = "the benchmark has no such part"
    return rows, failures


def _run_one(name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one benchmark as they come; a failure at the end if it did not finish."""
    finished = False
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks._one", name],
        cwd=FOLDER.parent,
        env=inherited_environment() | {"OMP_WAIT_POLICY": "PASSIVE"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        for line in child.stdout or ():
            answer = json.loads(line)
            finished = finished or "finished" in answer or "failure" in answer
            if "finished" not in answer:
                yield answer
    if not finished:
        yield {"failure": f"its process ended with exit code {child.returncode}"}


def _is_asked_for(row: str, asked: list[str]) -> bool:
    return not asked or row in asked or row.partition(".")[0] in asked


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=FOLDER.parent, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = "-changed" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "--short=12", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
