"""This benchmark identifies a plan of 200 operators, as a process does that has planned before."""

from __future__ import annotations

import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headrace.identity import CodeIdentity, Memo, identify, key_of

_OPERATORS = 200
_MODULES = 20
_SHARED = 60
_REPEATS = 15

_SHARED_HEAD = """from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

LIMITS = {"late": 15.0, "early": -5.0}
NAMES = re.compile(r"^[A-Z]{3}$")


@dataclass(frozen=True, kw_only=True)
class Window:
    hours: float = 3.0

    def cut(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame["age"] <= self.hours]


def shared_0(frame: pd.DataFrame, scale: float = 1.0) -> pd.DataFrame:
    return frame.assign(x=np.log1p(frame["delay"].clip(lower=LIMITS["early"])) * scale)
"""
_SHARED_FUNCTION = """

def shared_{at}(frame: pd.DataFrame, scale: float = {at}.0) -> pd.DataFrame:
    rows = Window(hours={at}.0).cut(shared_{before}(frame, scale))
    return rows[[NAMES.match(name) is not None for name in rows["origin"]]]
"""
_MODULE_HEAD = """from __future__ import annotations

from headrace.artifacts import Table
from headrace.operation import operator
from headrace.schemas import Schema

from plan_of_200 import shared

THRESHOLD = {at}.5
"""
_OPERATOR = '''

def helper_{at}(frame, above):
    kept = frame[frame["delay"] > above]
    return kept.assign(share=kept["delay"] / (kept["delay"].sum() or 1.0), band=THRESHOLD)


@operator()
def step_{at}(table: Table[Schema], *, above: float = 15.0, column: str = "delay") -> Table[Schema]:
    """Keep and weigh the rows above a threshold."""
    frame = shared.shared_{reach}(table.frame(), scale={at}.0)
    try:
        kept = helper_{at}(frame, above)
    except KeyError as error:
        raise ValueError(f"no column {{column}}") from error
    return Table.of(kept.sort_values([column, "band"]).reset_index(drop=True))
'''


def run() -> Iterator[dict[str, Any]]:
    """Yield one row: milliseconds for each operator, its identity and its key."""
    with tempfile.TemporaryDirectory() as folder:
        steps = _plan(Path(folder))
        start = time.perf_counter()
        first = _identified(steps, Path(folder))
        cold = time.perf_counter() - start
        warm = []
        for _ in range(_REPEATS):
            cpu = time.process_time()
            _identified(steps, Path(folder))
            warm.append(time.process_time() - cpu)
    uncached = sum(bool(code.unresolved) for code in first)
    yield {
        "name": "identity_warm",
        "value": round(statistics.median(warm) / _OPERATORS * 1e3, 4),
        "unit": "ms per operator",
        "baseline": None,
        "baseline_value": None,
        "ratio": None,
        "higher_is_better": False,
        "goal": {"at_most": 1},
        "detail": {
            "cold_ms_per_operator": round(cold / _OPERATORS * 1e3, 4),
            "cold_total_ms": round(cold * 1e3, 1),
            "operators": _OPERATORS,
            "parts_mean": round(statistics.mean(len(code.parts) for code in first), 1),
            "parts_most": max(len(code.parts) for code in first),
            "uncached": uncached,
            "repeats": _REPEATS,
            "measured": "CPU seconds, a new memo each time, identify and key_of; median",
        },
    }


def _identified(steps: list[Any], root: Path) -> list[CodeIdentity]:
    memo = Memo([root])
    found = []
    for at, step in enumerate(steps):
        code = identify(step, memo=memo)
        key_of(
            code,
            schemas={"table": "{}", "return": "{}"},
            parameters={"above": 15.0, "column": "delay"},
            inputs={"table": f"{at:064x}"},
            seed=at,
            memo=memo,
        )
        found.append(code)
    return found


def _plan(folder: Path) -> list[Any]:
    package = folder / "plan_of_200"
    package.mkdir()
    (package / "__init__.py").touch()
    functions = [_SHARED_FUNCTION.format(at=at, before=at - 1) for at in range(1, _SHARED)]
    (package / "shared.py").write_text(_SHARED_HEAD + "".join(functions))
    for module in range(_MODULES):
        mine = range(module, _OPERATORS, _MODULES)
        steps = [_OPERATOR.format(at=at, reach=at % _SHARED) for at in mine]
        (package / f"steps_{module}.py").write_text(_MODULE_HEAD.format(at=module) + "".join(steps))
    sys.path.insert(0, str(folder))
    try:
        modules = [
            importlib.import_module(f"plan_of_200.steps_{at % _MODULES}")
            for at in range(_OPERATORS)
        ]
        return [getattr(module, f"step_{at}") for at, module in enumerate(modules)]
    finally:
        sys.path.remove(str(folder))
