"""What a node may use of the machine changes no result, and so no key."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.execution import Session
from headrace.settings import using_settings

STEP = '''
from __future__ import annotations

from headrace import Report, flow, operator


@operator({options})
def add_up(*, last: int) -> Report:
    """Add up the numbers from 1."""
    return Report.of({{"passed": True, "sum": sum(range(last + 1))}})


@flow
def adding(*, last: int = 4) -> Report:
    """Add up."""
    return add_up(last=last)
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty first-party package that can be imported, and a home of its own."""
    folder = tmp_path / "limited_steps"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with using_settings(
        home=tmp_path / "home", roots=[folder], gpus=1, limits={"warehouse": 1, "licence": 2}
    ):
        yield folder


def run_with(options: str, package: Path) -> tuple[str, str]:
    """Return the node's state and key digest when the operator is decorated in this way."""
    (package / "steps.py").write_text(STEP.format(options=options), encoding="utf-8")
    for name in [name for name in sys.modules if name.startswith("limited_steps")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    steps = importlib.import_module("limited_steps.steps")
    from headrace.execution import run_plan

    outcome = run_plan(steps.adding.plan_with({}), Session.of_settings()).outcomes["add_up"]
    assert outcome.invocation is not None
    return outcome.state, str(outcome.invocation.key)


def test_limits_gpus_and_memory_are_no_part_of_the_key(package: Path):
    state, key = run_with("", package)
    others = [
        run_with(options, package)
        for options in (
            'limits=("warehouse",)',
            'limits=("warehouse", "licence")',
            'gpu=1, memory="1MB", cpu=2',
        )
    ]

    assert state == "executed"
    assert others == [("cached", key)] * 3
