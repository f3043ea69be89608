"""Headrace works where it is installed as a package, and not only where its sources lie."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
PACKAGES = ("headrace", "features", "operators", "serving", "flows")
BUILD = "import setuptools.build_meta as backend; print(backend.build_wheel('dist'))"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with Headrace's wheel and, from here, what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    sources = folder / "sources"
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / package, sources / package, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, sources)
    subprocess.run(
        [sys.executable, "-c", BUILD], cwd=sources, check=True, stdout=subprocess.DEVNULL
    )
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    (site,) = folder.glob("venv/lib/*/site-packages")
    (wheel,) = sources.glob("dist/*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    # a folder that is added this way is searched, and its own .pth files are not obeyed: Headrace's
    # sources, which are installed there for editing, stay out of sight
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin" / "python"


def headrace(python: Path, folder: Path, *words: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "PREFECT_"))}
    done = subprocess.run(
        [python, "-m", "flows._command.main", *words],
        cwd=folder,
        env={**inherited, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_repository_is_made_run_and_cached_with_an_installed_headrace(
    python: Path, tmp_path: Path
):
    lies = subprocess.check_output([python, "-P", "-c", "import flows; print(flows.__file__)"])
    assert lies.decode().startswith(str(python.parents[1]))
    headrace(python, tmp_path, "init", "orders")
    repository = tmp_path / "orders"

    states = [
        {
            node["state"]
            for node in json.loads(
                headrace(python, repository, "run", "--local", "late_orders", "--json")
            )["nodes"]
        }
        for _ in range(2)
    ]

    assert states == [{"executed"}, {"cached"}]
    explained = json.loads(headrace(python, repository, "plan", "late_orders", "--json"))
    assert explained["share_uncached"] == 0.0
