"""This module edits how functions are written, in ways that change no result."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Case, Edit, cases

# What is edited, the module, the text in it before and after, and what that must do.
_CASES: tuple[Case, ...] = (
    (
        "a captured local's name",
        "def make(alpha, beta):\n    def inner(x):\n"
        "        return x * beta + alpha\n    return inner\nstep = make(1, 2)\n",
        "alpha",
        "zeta",
        "same",
    ),
    (
        "a captured local's name, within the body",
        "def step(x):\n    alpha, beta = 1, 2\n"
        "    def inner(y):\n        return y * beta + alpha\n    return inner(x)\n",
        "alpha",
        "zeta",
        "same",
    ),
    (
        "the name of a function within the body",
        "def step(x):\n    def inner(y):\n        return y * 2\n    return inner(x)\n",
        "inner",
        "doubled",
        "same",
    ),
    (
        "the name of a helper that is only called",
        "def helper(x):\n    return x\ndef step(x):\n    return helper(x)\n",
        "helper",
        "assistant",
        "same",
    ),
    (
        "the name of an argument given by position",
        "def helper(value):\n    return value + 1\ndef step(x):\n    return helper(x)\n",
        "value",
        "number",
        "same",
    ),
    (
        "the order of functions",
        "def a(x):\n    return 1\ndef b(x):\n    return 2\ndef step(x):\n    return a(x) + b(x)\n",
        "def a(x):\n    return 1\ndef b(x):\n    return 2\n",
        "def b(x):\n    return 2\ndef a(x):\n    return 1\n",
        "same",
    ),
    (
        "a conditional expression on two lines",
        "def step(x):\n    return 1 if x else 2\n",
        "1 if x else 2",
        "(1\n            if x\n            else 2)",
        "same",
    ),
    (
        "statements on one line",
        "def step(x):\n    while x:\n        x -= 1\n"
        "        if x == 3: continue\n        if x == 2: break\n    return x\n",
        "if x == 3: continue",
        "if x == 3:\n            continue",
        "same",
    ),
    (
        "a pass",
        "def step(x):\n    if x:\n        x = 1\n    return x\n",
        "x = 1",
        "pass\n        x = 1",
        "same",
    ),
    (
        "nested conditions on other lines",
        "def step(x):\n    for y in x:\n        if y:\n"
        "            if y > 1:\n                if y > 2:\n                    return y\n"
        "                else:\n                    pass\n    return 0\n",
        "                else:\n                    pass\n",
        "                else: pass\n",
        "same",
    ),
    ("parentheses", "def step(x):\n    return x + 1\n", "x + 1", "(x + 1)", "same"),
    (
        "a trailing comma",
        "def step(x):\n    return max(x, 1)\n",
        "max(x, 1)",
        "max(\n        x,\n        1,\n    )",
        "same",
    ),
    (
        "an import that nobody uses",
        "def step(x):\n    return x\n",
        "def step",
        "import json\ndef step",
        "same",
    ),
    (
        "a constant that nobody uses",
        "def step(x):\n    return x\n",
        "def step",
        "UNUSED = 3\ndef step",
        "same",
    ),
    (
        "the module's docstring",
        "'A module.'\ndef step(x):\n    return x\n",
        "'A module.'",
        "'The module.'",
        "same",
    ),
    (
        "an alias of a module",
        "import numpy as np\ndef step(x):\n    return np.mean(x)\n",
        "np",
        "xp",
        "same",
    ),
    (
        "a type comment",
        "def step(x):\n    y = x  # type: int\n    return y\n",
        "int",
        "float",
        "same",
    ),
    (
        "an annotation of a local",
        "def step(x):\n    y: int = x\n    return y\n",
        "int",
        "float",
        "same",
    ),
    (
        "an annotation of a function within",
        "def step(x):\n    def inner(y: int) -> int:\n        return y\n    return inner(x)\n",
        "y: int",
        "y: float",
        "same",
    ),
    (
        "no annotation of a function within",
        "def step(x):\n    def inner(y: int) -> int:\n        return y\n    return inner(x)\n",
        "(y: int) -> int",
        "(y)",
        "same",
    ),
)


def edits() -> Iterator[Edit]:
    """Yield one edit for each case."""
    yield from cases("writing", _CASES)
