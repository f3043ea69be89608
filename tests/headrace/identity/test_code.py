"""Code objects: how code is written does not count, and what it does always does."""

from __future__ import annotations

import ast
import asyncio.base_events
import configparser
import csv
import json.decoder
import statistics
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.identity.analysis import analyse
from headrace.identity.symbols import Analysis

MODULES = [asyncio.base_events, configparser, csv, json.decoder, statistics, textwrap]


def codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from codes_in(constant)


def what_it_says(analysis: Analysis) -> tuple[object, ...]:
    uses = [[(use.path, use.flags, use.slot) for use in unit] for unit in analysis.units]
    return analysis.digest, uses, analysis.free, analysis.label


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_code_that_is_formatted_anew_says_the_same(module):
    text = Path(module.__file__).read_text()
    written = compile(text, "written", "exec", dont_inherit=True)
    formatted = compile(ast.unparse(ast.parse(text)), "formatted", "exec", dont_inherit=True)

    pairs = list(zip(codes_in(written), codes_in(formatted), strict=True))

    assert len(pairs) > 5
    for one, other in pairs:
        assert what_it_says(analyse(one)) == what_it_says(analyse(other)), one.co_qualname


def body_of(text: str) -> types.CodeType:
    return next(codes_in(compile(text, "body", "exec", dont_inherit=True)))


NAMES = st.sampled_from(["a", "b", "k", "m", "w", "x", "y", "zz"])


@given(st.lists(NAMES, min_size=4, max_size=4, unique=True))
def test_names_of_locals_do_not_count_captured_or_not(names):
    text = """
        def step(table):
            one = table + 1
            two = [three * one for three in table]
            def inner(four):
                nonlocal one
                one = four
                return two
            with open(one) as handle:
                try:
                    return inner(handle)
                except ValueError as error:
                    return error, locals
        """
    text = textwrap.dedent(text)
    renamed = text
    for old, new in zip(["one", "two", "three", "four"], names, strict=True):
        renamed = renamed.replace(old, f"local_{new}")

    assert analyse(body_of(text)).digest == analyse(body_of(renamed)).digest


@given(st.permutations(["a", "b", "c"]))
def test_which_local_is_used_where_does_count(order):
    text = "def step(a, b, c):\n    def inner():\n        return {}, {}, {}\n    return inner\n"

    same = (
        analyse(body_of(text.format("a", "b", "c"))).digest
        == analyse(body_of(text.format(*order))).digest
    )

    assert same == (order == ["a", "b", "c"])


NUMBERS = st.integers(0, 3)
EXPRESSIONS = st.recursive(
    st.one_of(NUMBERS.map(str), st.sampled_from(["x", "y", "LIMIT", "'t'", "0.0", "-0.0", "True"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "<", "and", "or", "=="]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
        inner.map(lambda part: f"[z for z in {part}]"),
        inner.map(lambda part: f"(not {part})"),
        st.tuples(inner, inner).map(lambda p: f"f({p[0]}, k={p[1]})"),
    ),
    max_leaves=6,
)


INPUTS = [(x, y) for x in (0, 1, 0.0, -0.0, True, "t", [1]) for y in (2, "t", [0])]


def results_of(text: str) -> tuple[types.CodeType, list[str]]:
    names = {"LIMIT": 2, "f": lambda x, k: [x, k], "__name__": "made"}
    exec(f"def step(x, y):\n    return {text}\n", names)  # noqa: S102
    step: Any = names["step"]
    results = []
    for x, y in INPUTS:
        try:
            results.append(repr(step(x, y)))
        except TypeError as error:
            results.append(str(error))
    return step.__code__, results


@given(EXPRESSIONS, EXPRESSIONS)
def test_two_bodies_that_say_the_same_do_the_same(first, second):
    (one, results), (other, other_results) = results_of(first), results_of(second)

    if what_it_says(analyse(one)) == what_it_says(analyse(other)):
        assert results == other_results


@given(EXPRESSIONS)
def test_a_body_says_the_same_whenever_it_is_compiled(text):
    one, other = (
        body_of(f"def step(x, y):\n    return {text}\n"),
        body_of(f"def step(x,\n  y):\n    # again\n\n    return (\n{text}\n)\n"),
    )

    assert what_it_says(analyse(one)) == what_it_says(analyse(other))
