"""A public thing is read by strangers: in an editor, in `headrace --help`, in the Prefect UI."""

from __future__ import annotations

import ast
from collections.abc import Iterator

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def test_every_public_function_and_class_has_a_docstring(modules):
    silent = [
        f"{module.at(node)} {node.name}"
        for module in modules
        for node in _public(module.tree)
        if not ast.get_docstring(node)
    ]

    assert silent == []


def test_the_first_line_of_a_docstring_is_a_sentence_of_fewer_than_90_characters(modules):
    wrong = [
        f"{module.at(node)} {node.name}"
        for module in modules
        for node in _public(module.tree)
        if (text := ast.get_docstring(node))
        and (len(first := text.splitlines()[0]) >= 90 or first[-1] not in ".:?")
    ]

    assert wrong == []


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[Documented]:
    for node in tree.body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            decorators = {ast.unparse(each).rpartition(".")[2] for each in node.decorator_list}
            if not decorators & {"overload", "setter"}:  # the first, or the getter, speaks for them
                yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)
