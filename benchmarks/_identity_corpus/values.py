"""This module edits constants of every type that code keeps in a module, a class or a default."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Edit, Expected, source

_IMPORTS = """import collections, dataclasses, datetime, decimal, enum, fractions, functools
import logging, math, operator, pathlib, random, re, string, types, typing, uuid, zoneinfo
import numpy as np, pandas as pd, pyarrow as pa, pydantic
"""

# What is edited, the expression before and after, and what that must do.
_EXPRESSIONS: tuple[tuple[str, str, str, Expected], ...] = (
    ("1 and True", "1", "True", "changes"),
    ("1 and 1.0", "1", "1.0", "changes"),
    ("0.0 and -0.0", "0.0", "-0.0", "changes"),
    ("NaN and infinity", "float('nan')", "float('inf')", "changes"),
    ("NaN made otherwise", "float('nan')", "math.nan", "same"),
    ("None and False", "None", "False", "changes"),
    ("text and bytes", "'a'", "b'a'", "changes"),
    ("tuple and list", "(1, 2)", "[1, 2]", "changes"),
    ("nesting", "((1, 2), 3)", "(1, (2, 3))", "changes"),
    ("text cut elsewhere", "('ab', 'c')", "('a', 'bc')", "changes"),
    ("order of a list", "[1, 2]", "[2, 1]", "changes"),
    ("order of a set", "{'a', 'b', 'c'}", "{'c', 'b', 'a'}", "same"),
    ("a member of a set", "{'a', 'b'}", "{'a', 'c'}", "changes"),
    ("set and frozen set", "{1}", "frozenset({1})", "changes"),
    ("order of a dictionary, which may be iterated", "{1: 2, 3: 4}", "{3: 4, 1: 2}", "changes"),
    (
        "order of an ordered dictionary",
        "collections.OrderedDict(a=1, b=2)",
        "collections.OrderedDict(b=2, a=1)",
        "changes",
    ),
    ("a key of a dictionary", "{1: 'a'}", "{'1': 'a'}", "changes"),
    (
        "a default dictionary's factory",
        "collections.defaultdict(int)",
        "collections.defaultdict(list)",
        "changes",
    ),
    ("a counter", "collections.Counter('aab')", "collections.Counter('abb')", "changes"),
    (
        "a deque's length",
        "collections.deque([1], maxlen=2)",
        "collections.deque([1], maxlen=3)",
        "changes",
    ),
    ("a big number", "10**40", "10**40 + 1", "changes"),
    ("a complex number", "1 + 2j", "1 - 2j", "changes"),
    ("a regular expression", "re.compile('a+')", "re.compile('a*')", "changes"),
    ("a regular expression's flags", "re.compile('a')", "re.compile('a', re.I)", "changes"),
    ("a date", "datetime.date(2013, 1, 1)", "datetime.date(2013, 1, 2)", "changes"),
    (
        "a time zone",
        "datetime.datetime(2013, 1, 1, tzinfo=datetime.timezone.utc)",
        "datetime.datetime(2013, 1, 1)",
        "changes",
    ),
    (
        "a zone by name",
        "zoneinfo.ZoneInfo('America/New_York')",
        "zoneinfo.ZoneInfo('America/Chicago')",
        "changes",
    ),
    ("a duration", "datetime.timedelta(minutes=120)", "datetime.timedelta(hours=3)", "changes"),
    (
        "a duration written otherwise",
        "datetime.timedelta(minutes=120)",
        "datetime.timedelta(hours=2)",
        "same",
    ),
    ("a decimal's digits", "decimal.Decimal('1.0')", "decimal.Decimal('1.00')", "changes"),
    ("a fraction", "fractions.Fraction(1, 2)", "fractions.Fraction(1, 3)", "changes"),
    ("a UUID", "uuid.UUID(int=1)", "uuid.UUID(int=2)", "changes"),
    ("a path", "pathlib.Path('a')", "pathlib.Path('b')", "changes"),
    ("a path and its text", "pathlib.PurePosixPath('a')", "'a'", "changes"),
    ("a range", "range(3)", "range(4)", "changes"),
    ("a slice", "slice(1, 2)", "slice(1, 3)", "changes"),
    ("a lambda in a list", "[lambda x: x]", "[lambda x: -x]", "changes"),
    ("a lambda's argument name", "[lambda x, y=1: x]", "[lambda x, z=1: x]", "changes"),
    (
        "a partial's argument",
        "functools.partial(round, ndigits=1)",
        "functools.partial(round, ndigits=2)",
        "changes",
    ),
    ("a partial's function", "functools.partial(max, 1)", "functools.partial(min, 1)", "changes"),
    ("a built-in function", "[abs]", "[round]", "changes"),
    ("a method of text", "str.upper", "str.lower", "changes"),
    ("a bound method of text", "'a,b'.split", "'a;b'.split", "changes"),
    ("an item getter", "operator.itemgetter(1)", "operator.itemgetter(2)", "changes"),
    ("a function of a library", "np.mean", "np.median", "changes"),
    (
        "a function of Arrow",
        "pa.compute.add if hasattr(pa, 'compute') else pa.array",
        "pa.table",
        "changes",
    ),
    ("a type", "int", "float", "changes"),
    ("a type with arguments", "list[int]", "list[str]", "changes"),
    ("a union of types", "int | None", "float | None", "changes"),
    ("a literal type", "typing.Literal[1]", "typing.Literal[True]", "changes"),
    (
        "what annotates a type",
        "typing.Annotated[int, 'm']",
        "typing.Annotated[int, 'km']",
        "changes",
    ),
    ("an array's value", "np.array([1, 2])", "np.array([1, 3])", "changes"),
    ("an array's type", "np.array([1, 2])", "np.array([1, 2], dtype='int32')", "changes"),
    ("an array's shape", "np.zeros((2, 3))", "np.zeros((3, 2))", "changes"),
    ("an array in another memory order", "np.ones((2, 3))", "np.ones((2, 3), order='F')", "same"),
    (
        "an array of objects",
        "np.array([1, 'a'], dtype=object)",
        "np.array([1, 'b'], dtype=object)",
        "changes",
    ),
    ("a scalar of numpy", "np.float32(1)", "np.float64(1)", "changes"),
    ("a data type", "np.dtype('int8')", "np.dtype('int16')", "changes"),
    (
        "a random generator's seed",
        "np.random.default_rng(1)",
        "np.random.default_rng(2)",
        "changes",
    ),
    ("Python's random generator's seed", "random.Random(1)", "random.Random(2)", "changes"),
    ("a frame's value", "pd.DataFrame({'a': [1, 2]})", "pd.DataFrame({'a': [1, 3]})", "changes"),
    ("a frame's column", "pd.DataFrame({'a': [1, 2]})", "pd.DataFrame({'b': [1, 2]})", "changes"),
    (
        "a frame's index",
        "pd.DataFrame({'a': [1, 2]})",
        "pd.DataFrame({'a': [1, 2]}, index=[1, 0])",
        "changes",
    ),
    ("a frame's type", "pd.DataFrame({'a': [1, 2]})", "pd.DataFrame({'a': [1, 2.0]})", "changes"),
    (
        "a frame built column by column",
        "pd.DataFrame({'a': [1, 2], 'b': [3, 4]})",
        "pd.DataFrame({'a': [1, 2]}).assign(b=[3, 4])",
        "same",
    ),
    (
        "a frame of text",
        "pd.DataFrame({'a': ['x', None]})",
        "pd.DataFrame({'a': ['y', None]})",
        "changes",
    ),
    (
        "a frame's categories",
        "pd.DataFrame({'a': pd.Categorical(['x'], ['x', 'y'])})",
        "pd.DataFrame({'a': pd.Categorical(['x'], ['x', 'z'])})",
        "changes",
    ),
    ("a series' name", "pd.Series([1], name='a')", "pd.Series([1], name='b')", "changes"),
    ("a time stamp", "pd.Timestamp('2013-01-01')", "pd.Timestamp('2013-01-02')", "changes"),
    ("a missing value", "pd.NA", "pd.NaT", "changes"),
    (
        "an interval of an index",
        "pd.MultiIndex.from_tuples([(1, 2)])",
        "pd.MultiIndex.from_tuples([(1, 3)])",
        "changes",
    ),
    ("an Arrow table's value", "pa.table({'a': [1, 2]})", "pa.table({'a': [1, 3]})", "changes"),
    (
        "an Arrow table's type",
        "pa.table({'a': pa.array([1], pa.int8())})",
        "pa.table({'a': pa.array([1], pa.int16())})",
        "changes",
    ),
    (
        "an Arrow array's chunks",
        "pa.chunked_array([[1], [2]])",
        "pa.chunked_array([[1, 2]])",
        "same",
    ),
    (
        "an Arrow schema",
        "pa.schema([('a', pa.int8())])",
        "pa.schema([('a', pa.int16())])",
        "changes",
    ),
    ("a namespace", "types.SimpleNamespace(a=1)", "types.SimpleNamespace(a=2)", "changes"),
    (
        "a view of a dictionary",
        "types.MappingProxyType({1: 2})",
        "types.MappingProxyType({1: 3})",
        "changes",
    ),
    ("a template", "string.Template('$a')", "string.Template('$b')", "changes"),
    ("a logger", "logging.getLogger('a')", "logging.getLogger('b')", "same"),
    ("an object of its own", "object()", "object()", "same"),
    ("a comment beside it", "(1, 2)", "(1, 2)  # two", "same"),
    ("a number written otherwise", "1000", "1_000", "same"),
    ("text quoted otherwise", "'a'", '"a"', "same"),
    ("text in two pieces", "'ab'", "'a' 'b'", "same"),
    ("a sum written out", "60 * 60", "3600", "same"),
)


def _module(template: str, expression: str) -> str:
    return _IMPORTS + template.replace("VALUE", expression)


_HOLDERS = {
    "a constant": "LIMIT = VALUE\ndef step(x):\n    return LIMIT, x\n",
    "an attribute of a class": "class Rule:\n    limit = VALUE\n\ndef step(x):\n"
    "    return Rule.limit, x\n",
    "a default": "def step(x, limit=VALUE):\n    return limit, x\n",
    "an object's state": "class Rule:\n    def __init__(self, limit):\n        self.limit = limit\n"
    "RULE = Rule(VALUE)\ndef step(x):\n    return RULE.limit, x\n",
}


def edits() -> Iterator[Edit]:
    """Yield an edit of each value, held as a constant, and of every third one held otherwise."""
    for number, (what, before, after, expected) in enumerate(_EXPRESSIONS):
        for at, (holder, template) in enumerate(_HOLDERS.items()):
            if at and (number + at) % 3:
                continue
            yield source(
                f"{what}, in {holder}",
                "values",
                _module(template, before),
                _module(template, after),
                expected,
            )
