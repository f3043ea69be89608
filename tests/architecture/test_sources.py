"""What no module may do, read from the source."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator

WRITES = {"update", "setdefault", "pop", "putenv"}
PRESENT = {
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "Timestamp": {"now", "utcnow", "today"},
    "pendulum": {"now", "today"},
}


def test_only_the_command_line_prints(modules):
    prints = [
        module.at(node)
        for module in modules
        if not module.within("flows._command")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]

    assert prints == []


def test_only_the_settings_read_the_environment_and_only_doors_set_it(modules, repository):
    config = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    doors = [door for each in contracts for door in each.get("allowed_importers", ())]

    reads = [
        module.at(node)
        for module in modules
        if not module.within("headrace.settings")
        for node in _environment_uses(module.tree, may_set=module.within(*doors))
    ]

    assert reads == []


def test_only_the_clock_asks_for_the_time(modules):
    asks = [
        module.at(node)
        for module in modules
        if not module.within("headrace.clock")
        for node in _time_uses(module.tree)
    ]

    assert asks == []


def test_reading_and_setting_the_environment_are_told_apart():
    read = "import os\nx = os.environ['A']\ny = os.getenv('A')\nz = os.environ.get('A')\n"
    renamed = "from os import environ, getenv\n"
    written = "import os\nos.environ['A'] = '1'\nos.environ.update(B='2')\ndel os.environ['A']\n"

    def lines(source: str, *, may_set: bool) -> list[int]:
        return sorted(n.lineno for n in _environment_uses(ast.parse(source), may_set=may_set))

    assert lines(read, may_set=True) == [2, 3, 4]
    assert lines(renamed, may_set=True) == [1]
    assert lines(written, may_set=True) == []
    assert lines(written, may_set=False) == [2, 3, 4]


def test_asking_for_the_time_is_found_and_measuring_a_duration_is_not():
    asks = (
        "import time, datetime\nfrom time import time\nfrom datetime import datetime as dt\n"
        "time.time()\ndatetime.datetime.now()\ndatetime.date.today()\npd.Timestamp.now()\n"
        "dt.now()\n"
    )
    measures = "import time\ntime.monotonic()\ntime.perf_counter()\ntime.sleep(1)\nclock.now()\n"

    assert sorted(node.lineno for node in _time_uses(ast.parse(asks))) == [2, 4, 5, 6, 7, 8]
    assert list(_time_uses(ast.parse(measures))) == []


def _environment_uses(tree: ast.Module, *, may_set: bool) -> Iterator[ast.expr | ast.stmt]:
    allowed = set(map(id, _set_environments(tree))) if may_set else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            if {alias.name for alias in node.names} & {"environ", "environb", "getenv"}:
                yield node
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
            and node.attr in {"environ", "environb", "getenv"}
            and id(node) not in allowed
        ):
            yield node


def _set_environments(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        set_item = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
        if set_item or (isinstance(node, ast.Attribute) and node.attr in WRITES):
            yield node.value


def _time_uses(tree: ast.Module) -> Iterator[ast.expr | ast.stmt]:
    names = {key: key for key in PRESENT}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        for alias in node.names:
            if node.module == "datetime" and alias.name in PRESENT:
                names[alias.asname or alias.name] = alias.name
            if node.module == "time" and alias.name in PRESENT["time"]:
                yield node
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            last = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if node.attr in PRESENT.get(names.get(last, ""), ()):
                yield node
