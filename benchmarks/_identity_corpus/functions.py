"""This module edits what functions do, what they capture, and what they ask of each other."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Case, Edit, cases

# What is edited, the module, the text in it before and after, and what that must do.
_CASES: tuple[Case, ...] = (
    (
        "a closure's value",
        "def make(n):\n    def inner(x):\n        return x + n\n    return inner\nstep = make(1)\n",
        "make(1)",
        "make(2)",
        "changes",
    ),
    (
        "which of two closures",
        "def make(n):\n    def inner(x):\n        return x * 2 + n\n"
        "    return inner\none, two = make(1), make(2)\ndef step(x):\n    return one(two(x))\n",
        "one, two = make(1), make(2)",
        "two, one = make(1), make(2)",
        "changes",
    ),
    (
        "which of two functions does which",
        "def a(x):\n    return x + 1\ndef b(x):\n"
        "    return x * 2\ndef step(x):\n    return a(b(x))\n",
        "a(b(x))",
        "b(a(x))",
        "changes",
    ),
    (
        "two captured locals swapped",
        "def step(x):\n    alpha, beta = 1, 2\n    def inner(y):\n"
        "        return y * beta + alpha\n    return inner(x)\n",
        "beta + alpha",
        "alpha + beta",
        "changes",
    ),
    (
        "a name that pandas gives a column",
        "def late(x):\n    return x.max()\ndef step(x):\n    return x.agg([late])\n",
        "late",
        "latest",
        "changes",
    ),
    (
        "two arguments given by name, swapped",
        "def helper(a, b):\n    return a - b\ndef step(x):\n    return helper(a=x, b=1)\n",
        "(a, b):\n    return a - b",
        "(b, a):\n    return b - a",
        "uncached ok",
    ),
    (
        "two arguments given by name, taken for each other",
        "def helper(a, b):\n    return a - b\ndef step(x):\n    return helper(a=x, b=1)\n",
        "(a, b):\n    return a - b",
        "(b, a):\n    return a - b",
        "changes",
    ),
    (
        "arguments that were numbered alike",
        "def helper(a, b):\n    return a - b\ndef step(x):\n    return helper(a=x, b=1)\n",
        "(a, b):\n    return a - b",
        "(b, a):\n    return b - a",
        "changes",
    ),
    ("an operator", "def step(x):\n    return x + 1\n", "+", "-", "changes"),
    ("is and equals", "def step(x):\n    return x == None\n", "==", "is", "changes"),
    ("a negation", "def step(x):\n    return x in (1, 2)\n", "in (", "not in (", "changes"),
    ("and and or", "def step(x):\n    return x and 1\n", "and", "or", "changes"),
    (
        "arms of a condition",
        "def step(x):\n    if x:\n        return 1\n    return 2\n",
        "if x",
        "if not x",
        "changes",
    ),
    (
        "break and continue",
        "def step(x):\n    for y in x:\n        if y:\n            break\n"
        "        print(y)\n    return y\n",
        "break",
        "continue",
        "changes",
    ),
    (
        "what an exception is",
        "def step(x):\n    try:\n        return int(x)\n    except ValueError:\n        return 0\n",
        "ValueError",
        "TypeError",
        "changes",
    ),
    (
        "what is guarded",
        "def step(x):\n    y = 0\n    try:\n        y = int(x)\n        x = y + 1\n"
        "    except ValueError:\n        return x\n    return x, y\n",
        "        x = y + 1\n    except ValueError:\n        return x\n",
        "    except ValueError:\n        return x\n    x = y + 1\n",
        "changes",
    ),
    (
        "an else of a loop",
        "def step(x):\n    for y in x:\n        if y:\n            break\n"
        "    else:\n        y = 9\n    return y\n",
        "y = 9",
        "y = 8",
        "changes",
    ),
    (
        "the arguments of a call, by name",
        "def step(x):\n    return sorted(x, reverse=True)\n",
        "reverse=True",
        "key=None",
        "changes",
    ),
    ("an attribute of local data", "def step(x):\n    return x.min()\n", "min", "max", "changes"),
    ("an f-string", "def step(x):\n    return f'{x} late'\n", "late", "early", "changes"),
    ("a conversion in an f-string", "def step(x):\n    return f'{x!r}'\n", "!r", "!s", "changes"),
    (
        "a star",
        "def helper(*x):\n    return x\ndef step(x):\n    return helper(x)\n",
        "*x",
        "x",
        "changes",
    ),
    (
        "a generator and a list",
        "def step(x):\n    return (y for y in x)\n",
        "(y for y in x)",
        "[y for y in x]",
        "changes",
    ),
    ("yield and return", "def step(x):\n    yield x\n", "yield x", "return x", "changes"),
    (
        "a walrus",
        "def step(x):\n    if (y := x + 1) > 2:\n        return y\n",
        "x + 1",
        "x + 2",
        "changes",
    ),
    (
        "what is unpacked",
        "def step(x):\n    a, *b = x\n    return a\n",
        "a, *b",
        "*a, b",
        "changes",
    ),
    ("a slice", "def step(x):\n    return x[1:]\n", "[1:]", "[:1]", "changes"),
    (
        "a match",
        "def step(x):\n    match x:\n        case [a, b]:\n            return a\n"
        "        case {'k': v}:\n            return v\n",
        "'k'",
        "'l'",
        "changes",
    ),
    ("an assertion", "def step(x):\n    assert x > 1\n    return x\n", "x > 1", "x > 2", "changes"),
    (
        "a recursive function",
        "def helper(n):\n    return n and helper(n - 1)\ndef step(x):\n    return helper(x)\n",
        "n - 1",
        "n - 2",
        "changes",
    ),
    (
        "functions that call each other",
        "def even(n):\n    return n == 0 or odd(n - 1)\n"
        "def odd(n):\n    return n != 0 and even(n - 1)\ndef step(x):\n    return even(x)\n",
        "n != 0",
        "n != 1",
        "changes",
    ),
    (
        "a decorator's argument",
        "import functools\ndef times(n):\n    def wrap(f):\n"
        "        @functools.wraps(f)\n        def inner(x):\n            return f(x) * n\n"
        "        return inner\n    return wrap\n@times(2)\ndef step(x):\n    return x\n",
        "times(2)",
        "times(3)",
        "changes",
    ),
    (
        "a decorator less",
        "def twice(f):\n    return lambda x: f(f(x))\n@twice\ndef helper(x):\n"
        "    return x + 1\ndef step(x):\n    return helper(x)\n",
        "@twice\n",
        "",
        "changes",
    ),
    (
        "a parameter named in a query",
        "LIMIT = 3\ndef step(x):\n    return x.query('v > @LIMIT')\n",
        "LIMIT = 3",
        "LIMIT = 4",
        "changes",
    ),
    (
        "a query in a constant",
        "LIMIT = 3\nQUERY = 'v > @LIMIT'\ndef step(x):\n    return x.query(QUERY)\n",
        "LIMIT = 3",
        "LIMIT = 4",
        "changes",
    ),
    (
        "a table named in SQL",
        "import duckdb, pandas as pd\nRATES = pd.DataFrame({'a': [1]})\n"
        "def step(x):\n    return duckdb.sql('select * from RATES').df()\n",
        "[1]",
        "[2]",
        "changes",
    ),
    (
        "a local seen by name",
        "def step(x):\n    total = 1\n    return locals()\n",
        "total",
        "sum_",
        "changes",
    ),
    (
        "a docstring that is read",
        "def helper(x):\n    'One.'\n    return x\ndef step(x):\n    return helper.__doc__\n",
        "'One.'",
        "'Two.'",
        "changes",
    ),
    (
        "an annotation that is read",
        "import typing\ndef helper(x: int):\n    return x\n"
        "def step(x):\n    return typing.get_type_hints(helper)\n",
        "x: int",
        "x: float",
        "changes",
    ),
    (
        "a signature that is read",
        "import inspect\ndef helper(x: int):\n    return x\n"
        "def step(x):\n    return inspect.signature(helper)\n",
        "x: int",
        "x: float",
        "changes",
    ),
    (
        "a function's name that is read",
        "def helper(x):\n    return x\ndef step(x):\n    return helper.__name__\n",
        "helper",
        "assistant",
        "changes",
    ),
)


def edits() -> Iterator[Edit]:
    """Yield one edit for each case."""
    yield from cases("functions", _CASES)
