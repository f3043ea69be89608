"""The repository speaks of the project alone: of no machine, and of no place packages come from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

MACHINE = re.compile(r"(?:^|[^a-zA-Z0-9_.])/(?:work|farm|root|Users/\w+|home/\w+|opt/wheels)/")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|download\.pytorch\.org|^--?(?:extra-)?index-url"
    r"|https?://[^ \"]*/simple(?:[/\" ]|$)"
)


@pytest.mark.parametrize("pattern", [MACHINE, REGISTRY], ids=["machine paths", "registries"])
def test_no_file_names(pattern: re.Pattern[str], repository: Path):
    found = [
        f"{path.relative_to(repository)}:{number}"
        for path in _files(repository)
        for number, line in enumerate(_lines(path), start=1)
        if pattern.search(line)
    ]

    assert found == []


def test_the_patterns_find_what_they_are_for():
    assert MACHINE.search("see " + "/".join(["", "work", "main"]))
    assert MACHINE.search("'" + "/".join(["", "home", "somebody", "x"]))
    assert not MACHINE.search("artifacts/work/here and https://example.org/homework/")
    assert REGISTRY.search("https://pypi" + ".org/project/x")
    assert REGISTRY.search("--index" + "-url x".replace("x", "y"))


def test_constraints_pin_every_package_to_one_version_and_name_no_place(repository: Path):
    lines = (repository / "constraints.txt").read_text().splitlines()

    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []


def _files(repository: Path) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (repository / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:  # a picture
        return []
