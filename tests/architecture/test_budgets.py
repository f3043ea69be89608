"""Small modules and functions: what separates the admired from the endured is the tail."""

from __future__ import annotations

import ast
import statistics

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
# module -> lines it may have, with the reason beside it
LONGER_MODULES: dict[str, int] = {}
# module.function -> lines it may have, with the reason beside it
LONGER_FUNCTIONS: dict[str, int] = {}


def test_no_module_is_longer_than_400_lines(modules):
    too_long = {m.name: m.lines for m in modules if m.lines > LONGER_MODULES.get(m.name, 400)}

    assert too_long == {}


def test_the_median_module_has_at_most_120_lines(modules):
    written = [m.lines for m in modules if m.lines > 3]  # an empty __init__ is no module

    assert statistics.median(written) <= 120


def test_no_function_is_longer_than_60_lines_without_its_docstring(modules):
    """A docstring is the text of a launch form, and the better for being complete."""
    too_long = {
        module.at(node): f"{node.name} has {length} lines"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := _lines(node) - _lines_of_docstring(node))
        > LONGER_FUNCTIONS.get(f"{module.name}.{node.name}", 60)
    }

    assert too_long == {}


def test_no_module_is_named_for_being_a_drawer(modules):
    drawers = [m.name for m in modules if m.path.stem.strip("_") in FORBIDDEN_NAMES]

    assert drawers == []


def test_every_module_says_in_its_first_line_what_it_is(modules):
    silent = [m.name for m in modules if m.text.strip() and not ast.get_docstring(m.tree)]

    assert silent == []


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def _lines_of_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return _lines(function.body[0]) if ast.get_docstring(function) else 0
