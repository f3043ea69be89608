"""The operators that come with Headrace: each has an identity, so each is cached."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import operators
from headrace.identity import Memo, identify
from headrace.operation import Operator

NAMES = sorted(
    info.name
    for info in pkgutil.iter_modules(operators.__path__, "operators.")
    if not info.name.rpartition(".")[2].startswith("_")
)


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_can_be_seen_through(name):
    module = importlib.import_module(name)
    memo = Memo()
    found = [value for value in vars(module).values() if isinstance(value, Operator)]

    unresolved = {
        operator.name: identify(operator, memo=memo).unresolved
        for operator in found
        if not operator.options.effect
    }

    assert {name: reasons for name, reasons in unresolved.items() if reasons} == {}


def test_the_keys_of_the_trainers_do_not_depend_on_which_libraries_are_loaded():
    script = (
        "import sys\n"
        "for name in sys.argv[1:]: __import__(name)\n"
        "from operators import select, train_sklearn, train_torch, train_xgboost\n"
        "from headrace.identity import identify\n"
        "for m in (select.select, train_sklearn.train_sklearn, train_torch.train_torch,\n"
        "          train_xgboost.train_xgboost):\n"
        "    code = identify(m.body)\n"
        "    print([p.digest for p in code.parts if p.name == 'structure'], code.unresolved)\n"
    )

    def keys(*loaded: str) -> str:
        command = [sys.executable, "-c", script, *loaded]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert keys() == keys("sklearn.ensemble", "xgboost", "skops.io", "torch", "pandas")
