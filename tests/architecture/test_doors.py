"""One door to each third-party system; import-linter keeps them shut, this that each has a lock."""

from __future__ import annotations

import ast
import tomllib

import pytest

SYSTEMS = ("prefect", "mlflow", "feast", "great_expectations", "ray", "optuna")


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_that_is_imported_has_a_contract_which_says_where(system, modules, repository):
    config = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = config["tool"]["importlinter"]["contracts"]
    protected = {name for each in contracts for name in each.get("protected_modules", ())}

    importers = [
        module.at(node)
        for module in modules
        for node in ast.walk(module.tree)
        if system in _imported(node)
    ]

    assert importers == [] or system in protected


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return {node.module.partition(".")[0]}
    return set()
