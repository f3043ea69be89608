"""`python -m benchmarks`, with small benchmarks of our own in a copy of the runner."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROW = """{{"name": "{name}", "value": {value}, "unit": "ms", "baseline": "bare",
"baseline_value": 2.0, "ratio": 0.5, "higher_is_better": False,
"goal": {{"at_most": 1.0}}, "detail": "3 repeats"}}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the runner, and no benchmark yet."""
    (tmp_path / "benchmarks").mkdir()
    for name in ("__init__.py", "__main__.py", "_one.py", "_results.py"):
        shutil.copy(REPOSITORY / "benchmarks" / name, tmp_path / "benchmarks" / name)
    return tmp_path


def _add(folder: Path, name: str, *rows: tuple[str, str], then: str = "") -> None:
    yields = "".join(f"    yield {ROW.format(name=n, value=v)}\n" for n, v in rows)
    text = f"def run():\n    print('noise')\n{yields}    {then or 'return'}\n    yield\n"
    (folder / "benchmarks" / f"{name}.py").write_text(text)


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_rows_are_judged_printed_as_json_lines_kept_and_shown(folder: Path):
    _add(folder, "fast", ("fast.cold", "1.0"), ("fast.warm", "1.5"))

    done = _run(folder)

    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [(row["name"], row["meets"]) for row in rows] == [
        ("fast.cold", True),
        ("fast.warm", False),
    ]
    assert rows[0].keys() == {
        "name", "value", "unit", "baseline", "baseline_value", "ratio", "higher_is_better", "goal",
        "meets", "detail", "at", "commit",
    }  # fmt: skip
    assert json.loads((folder / "benchmarks" / "results.json").read_text()) == rows
    assert done.stderr.endswith(
        "benchmark  value   baseline  ratio  goal  met\n"
        "fast.cold  1 ms    2 bare    0.5    ≤ 1   yes\n"
        "fast.warm  1.5 ms  2 bare    0.5    ≤ 1   NO\n"
    )


def test_a_name_runs_all_its_parts_and_a_part_only_itself(folder: Path):
    _add(folder, "fast", ("fast.cold", "1.0"), ("fast.warm", "1.5"))
    _add(folder, "slow", ("slow", "9.0"))

    whole, part = _run(folder, "fast", "--json", "here.json"), _run(folder, "fast.warm")

    assert [row["name"] for row in json.loads((folder / "here.json").read_text())] == [
        "fast.cold",
        "fast.warm",
    ]
    assert whole.stdout.count("\n") == 2
    assert [json.loads(line)["name"] for line in part.stdout.splitlines()] == ["fast.warm"]


def test_rows_of_other_names_are_kept(folder: Path):
    _add(folder, "fast", ("fast", "1.0"))
    _add(folder, "slow", ("slow", "9.0"))
    _run(folder)
    _add(folder, "fast", ("fast", "0.5"))

    _run(folder, "fast")

    kept = json.loads((folder / "benchmarks" / "results.json").read_text())
    assert [(row["name"], row["value"]) for row in kept] == [("fast", 0.5), ("slow", 9.0)]


def test_one_that_cannot_run_says_why_and_the_others_run(folder: Path):
    _add(folder, "a_broken", ("a_broken.first", "1.0"), then="raise OSError('no such data')")
    _add(folder, "b_killed", then="import os; os._exit(9)")
    _add(folder, "c_fine", ("c_fine", "1.0"))

    done = _run(folder)

    names = [json.loads(line)["name"] for line in done.stdout.splitlines()]
    assert names == ["a_broken.first", "c_fine"]
    assert done.stderr.endswith(
        "a_broken did not run: no such data\n"
        "b_killed did not run: its process ended with exit code 9\n"
    )
    assert done.returncode == 1


def test_a_row_without_a_value_meets_nothing_and_fails_only_when_asked_for(folder: Path):
    _add(folder, "fast", ("fast", "None"))

    among_all, by_name = _run(folder), _run(folder, "fast")

    assert json.loads(among_all.stdout)["meets"] is False
    assert (among_all.returncode, by_name.returncode) == (0, 1)
    assert by_name.stderr.endswith("fast did not run: 3 repeats\n")


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        pytest.param("fsat", 2, "Error: There is no benchmark 'fsat'. Did you mean 'fast'?\n"
                     "  Fix: Name a benchmark, or none for all of them.\n", id="name"),
        pytest.param("fast.wram", 1, "fast.wram did not run: the benchmark has no such part\n",
                     id="part"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_refused(folder: Path, asked: str, code: int, message: str):
    _add(folder, "fast", ("fast", "1.0"))

    done = _run(folder, asked)

    assert done.stderr.endswith(message)
    assert done.returncode == code


def test_a_value_that_is_not_a_number_meets_nothing():
    sys.path.insert(0, str(REPOSITORY))
    try:
        from benchmarks._results import meets
    finally:
        sys.path.remove(str(REPOSITORY))

    assert meets(math.nan, {"at_most": 1.0}) is False
    assert meets(math.nan, {"at_least": 1.0}) is False
    assert meets(1.0, {"at_most": 1.0, "at_least": 1.0}) is True
    assert meets(1.0, None) is None
