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


@given(EXPRESSIONS, EXPRESSIONS)
def test_two_bodies_that_say_the_same_compile_to_the_same(first, second):
    one, other = (body_of(f"def step(x, y):\n    return {text}\n") for text in (first, second))

    if what_it_says(analyse(one)) == what_it_says(analyse(other)):
        # the compiler folds and shortens, so texts may differ: then the instructions may not
        assert one.co_code == other.co_code
        assert [repr(c) for c in one.co_consts if not isinstance(c, types.CodeType)] == [
            repr(c) for c in other.co_consts if not isinstance(c, types.CodeType)
        ]
        assert one.co_names == other.co_names
