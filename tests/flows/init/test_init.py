"""A repository that `headrace init` makes works as it is: listed, planned, run, cached, tested."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows._init import make_repository
from headrace.errors import ParameterError

BIN = Path(sys.executable).parent
SOURCES = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "late-orders"
    make_repository(folder)
    return folder


@pytest.fixture
def repository(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "late-orders"))


def call(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would, in the repository and without settings from outside."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "PREFECT_"))}
    return subprocess.run(
        [BIN / words[0], *words[1:]],
        cwd=folder,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def run(folder: Path) -> dict[str, str]:
    done = call(folder, "headrace", "run", "--local", "late_orders", "--json")
    assert done.returncode == 0, done.stderr
    return {node["node"]: node["state"] for node in json.loads(done.stdout)["nodes"]}


def test_its_package_has_the_name_of_the_folder(made: Path):
    kept = sorted(p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file())

    assert kept == [
        ".gitignore",
        "Makefile",
        "README.md",
        "data/orders.csv",
        "headrace.toml",
        "late_orders/__init__.py",
        "late_orders/features/__init__.py",
        "late_orders/features/shop_history.py",
        "late_orders/flows/__init__.py",
        "late_orders/flows/late_orders.py",
        "late_orders/operators/__init__.py",
        "late_orders/operators/count_late.py",
        "late_orders/operators/read_orders.py",
        "pyproject.toml",
        "tests/test_operators.py",
    ]
    assert "acme" not in "".join((made / name).read_text() for name in kept)


def test_its_flow_is_listed_and_of_the_bundled_ones_those_of_every_installation(repository: Path):
    listed = call(repository, "headrace", "flows", "--json")

    assert [(f["name"], f["module"]) for f in json.loads(listed.stdout)] == [
        ("label_collect", "flows.label_collect"),
        ("label_rest", "flows.label_rest"),
        ("label_round", "flows.label_round"),
        ("late_orders", "late_orders.flows.late_orders"),
        ("rollout", "flows.rollout"),
    ]


def test_its_flow_is_planned_without_a_problem_and_without_an_uncached_node(repository: Path):
    planned = call(repository, "headrace", "plan", "late_orders", "--json")

    plan = json.loads(planned.stdout)
    assert (planned.returncode, plan["share_uncached"]) == (0, 0.0)
    assert [node["path"] for node in plan["nodes"]] == [
        "read_orders",
        "label_by_outcome",
        "compute_features:shop_history",
        "build",
        "count_late",
    ]


def test_it_runs_and_is_cached_until_the_operator_is_edited(repository: Path):
    first, second = run(repository), run(repository)
    operator = repository / "late_orders" / "operators" / "count_late.py"
    operator.write_text(operator.read_text().replace('"late": late}', '"late": late + 0}'))
    edited = run(repository)

    assert set(first.values()) == {"executed"}
    assert set(second.values()) == {"cached"}
    assert [node for node, state in edited.items() if state == "executed"] == ["count_late"]
    assert (repository / "var" / "headrace.db").is_file()


def test_a_row_more_in_its_file_runs_what_depends_on_it(repository: Path):
    run(repository)
    with (repository / "data" / "orders.csv").open("a") as file:
        file.write("A9999,north,1,2026-03-20T12:00:00Z,2026-03-22T12:00:00Z\n")

    assert set(run(repository).values()) == {"executed"}


def test_its_view_is_in_the_catalogue(repository: Path):
    code = (
        "from features.catalog import catalog; found = catalog()\n"
        "print([v.name for v in found.list()], found.broken)"
    )

    found = call(repository, "python", "-c", code)

    assert found.stdout == "['shop_history'] ()\n"


def test_its_tests_pass(repository: Path):
    tested = call(repository, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")

    assert tested.returncode == 0, tested.stdout
    assert "5 passed" in tested.stdout


def test_its_types_hold(repository: Path):
    checked = call(repository, "python", "-m", "mypy", "--strict", MYPYPATH=str(SOURCES))

    assert checked.stdout == "Success: no issues found in 8 source files\n"


def test_its_code_is_formatted_and_clean(repository: Path):
    formatted = call(repository, "ruff", "format", "--check", "--line-length", "100", ".")
    checked = call(repository, "ruff", "check", ".")

    assert (formatted.returncode, checked.returncode) == (0, 0), formatted.stdout + checked.stdout


def test_the_commands_of_its_readme_and_makefile_exist(repository: Path):
    text = (repository / "README.md").read_text() + (repository / "Makefile").read_text()

    named = set(re.findall(r"(?:\$ |\t)headrace (\w+)", text))

    helped = call(repository, "headrace", "--help").stdout
    assert named == {"flows", "plan", "run", "up", "down", "backup"}
    assert named <= set(helped.split())


def test_the_command_line_says_what_to_do_next(tmp_path: Path):
    told = call(tmp_path, "headrace", "init", "orders", "--name", "acme")

    assert told.returncode == 0
    assert told.stdout.splitlines()[0] == (f"Made {tmp_path / 'orders'} with the package 'acme':")
    assert told.stdout.endswith(
        "\nWhat to do next:\n"
        "  cd orders\n"
        "  headrace plan late_orders          check the flow; nothing runs\n"
        "  headrace run --local late_orders   run it; the second time nothing is computed again\n"
        "  python -m pytest                   its tests\n"
        "  headrace up                        the servers, with a launch form for the flow\n"
    )


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path):
    for name in ("notes.txt", "a", "b", "c", "d", "e"):
        (tmp_path / name).write_text("mine")

    with pytest.raises(ParameterError) as caught:
        make_repository(tmp_path, "acme")

    assert str(caught.value) == (
        f"'{tmp_path}' is not empty: it holds 'a', 'b', 'c', 'd', 'e' and 1 more. Nothing was "
        "touched.\n  Fix: Name a folder that is not there yet, or an empty one."
    )
    assert len(list(tmp_path.iterdir())) == 6
    assert {path.read_text() for path in tmp_path.iterdir()} == {"mine"}


def test_a_fresh_git_repository_is_no_obstacle(tmp_path: Path):
    (tmp_path / "orders" / ".git").mkdir(parents=True)

    made = make_repository(tmp_path / "orders")

    assert made.name == "orders"
    assert (tmp_path / "orders" / "orders" / "flows" / "late_orders.py").is_file()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("late orders", "is no name for a package: lower-case letters, digits and '_', "
                     "beginning with a letter, can be imported everywhere.", id="blank"),
        pytest.param("2026", "is no name for a package: lower-case letters, digits and '_', "
                     "beginning with a letter, can be imported everywhere.", id="digit"),
        pytest.param("import", "is a word of Python, no name for a package.", id="keyword"),
        pytest.param("match", "is a word of Python, no name for a package.", id="soft keyword"),
        pytest.param("tests", "is the name of another folder of the repository.", id="tests"),
        pytest.param("json", "is a module of Python itself.", id="standard library"),
        pytest.param("pandas", "is a package of 'pandas', which is installed: one would hide the "
                     "other.", id="installed"),
        pytest.param("yaml", "is a package of 'PyYAML', which is installed: one would hide the "
                     "other.", id="installed under another name"),
        pytest.param("flows", "is a package of 'headrace', which is installed: one would hide the "
                     "other.", id="ours"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_used_is_refused(tmp_path: Path, name: str, problem: str):
    with pytest.raises(ParameterError) as caught:
        make_repository(tmp_path / "orders", name)

    assert str(caught.value) == f"'{name}' {problem}\n  Fix: Give another name: --name acme"
    assert list(tmp_path.iterdir()) == []
