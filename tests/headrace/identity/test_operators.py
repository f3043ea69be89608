"""The operators that come with Headrace: each has an identity, so each is cached."""

from __future__ import annotations

import importlib
import pkgutil

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
