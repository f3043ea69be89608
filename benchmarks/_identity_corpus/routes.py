"""This module edits one function, in every way that an operator can come to call it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Edit, Expected

_PRELUDE = """
LIMIT = 15
NAMES = {"late": 1, "early": 0}


def inner(x):
    return x + 1


def deeper(x):
    return inner(x) * 2
"""
_TARGET = '''
def target(x, scale=2, *, offset=0.5):
    """Return the scaled value."""
    total = 0
    for value in [x, x + 1]:
        if value > LIMIT:
            total += deeper(value) * scale
    label = "late" if total else "early"
    return round(total, 3) + offset + NAMES[label], f"{total:.2f}", [v * 2 for v in (x, total)]
'''

# What is edited in the function or in what it uses, and what that must do.
_EDITS: tuple[tuple[str, str, str, Expected], ...] = (
    ("a constant of the module", "LIMIT = 15", "LIMIT = 20", "changes"),
    ("the type of a constant", "LIMIT = 15", "LIMIT = 15.0", "changes"),
    ("a value in a dictionary", '"early": 0', '"early": -1', "changes"),
    ("a helper of a helper", "return x + 1", "return x + 2", "changes"),
    ("a helper", "return inner(x) * 2", "return inner(x) * 3", "changes"),
    ("a default", "scale=2", "scale=3", "changes"),
    ("a keyword-only default", "offset=0.5", "offset=0.25", "changes"),
    ("a comparison", "value > LIMIT", "value >= LIMIT", "changes"),
    ("a built-in function", "round(total, 3)", "abs(total)", "changes"),
    ("a format", ":.2f", ":.3f", "changes"),
    ("a comprehension", "v * 2 for v", "v * 4 for v", "changes"),
    ("a string", '"late" if', '"early" if', "changes"),
    ("a statement more", "    total = 0\n", "    total = 0\n    x = x - 1\n", "changes"),
    ("the order of two operations", "offset + NAMES[label]", "NAMES[label] - offset", "changes"),
    ("a comment", "    total = 0\n", "    # the sum so far\n    total = 0  # none\n", "same"),
    ("a docstring", "Return the scaled value.", "Return it, scaled and rounded.", "same"),
    ("no docstring", '    """Return the scaled value."""\n', "", "same"),
    ("blank lines", "    for value in", "\n\n    for value in", "same"),
    ("names of locals", "total", "running_sum", "same"),
    ("a name in a comprehension", "v * 2 for v in", "each * 2 for each in", "same"),
    ("a line broken in two", "if value > LIMIT:", "if (\n            value\n > LIMIT):", "same"),
    ("an annotation", "def target(x,", "def target(x: float,", "same"),
    ("a type comment", "    total = 0\n", "    total = 0  # type: int\n", "same"),
    ("a function nobody calls", "\ndef deeper", "\ndef unused():\n    pass\ndef deeper", "same"),
)


def _block(text: str, *, first: str = "", decorator: str = "", indent: int = 0) -> str:
    if first:
        text = text.replace("def target(", f"def target({first}, ")
    if decorator:
        text = text.replace("def target(", f"{decorator}\ndef target(")
    return textwrap.indent(text, "    " * indent)


# How `step` comes to the function: the files, with PRELUDE and TARGET (or its variants) in place.
_ROUTES: dict[str, dict[str, str]] = {
    "the body itself": {"edited/main.py": "PRELUDE\nTARGET\nstep = target\n"},
    "a call": {"edited/main.py": "PRELUDE\nTARGET\ndef step(x):\n    return target(x)\n"},
    "a helper of a helper": {
        "edited/main.py": "PRELUDE\nTARGET\ndef between(x):\n    return target(x)\n"
        "def step(x):\n    return between(x)\n"
    },
    "from-import": {
        "edited/main.py": "from edited.other import target\ndef step(x):\n    return target(x)\n",
        "edited/other.py": "PRELUDE\nTARGET",
    },
    "from-import under another name": {
        "edited/main.py": "from .other import target as t\ndef step(x):\n    return t(x)\n",
        "edited/other.py": "PRELUDE\nTARGET",
    },
    "attribute of a module": {
        "edited/main.py": "import edited.other\ndef step(x):\n    return edited.other.target(x)\n",
        "edited/other.py": "PRELUDE\nTARGET",
    },
    "attribute of an aliased module": {
        "edited/main.py": "from edited import other as o\ndef step(x):\n    return o.target(x)\n",
        "edited/other.py": "PRELUDE\nTARGET",
    },
    "an import within the body": {
        "edited/main.py": "def step(x):\n    from edited.other import target\n"
        "    return target(x)\n",
        "edited/other.py": "PRELUDE\nTARGET",
    },
    "a module imported within the body": {
        "edited/main.py": "def step(x):\n    import edited.other as other\n"
        "    return [other.target(y) for y in x]\n",
        "edited/other.py": "PRELUDE\nTARGET",
    },
    "a relative import within the body": {
        "edited/main.py": "def step(x):\n    from . import other\n    return other.target(x)\n",
        "edited/other.py": "PRELUDE\nTARGET",
    },
    "re-exported by a package": {
        "edited/main.py": "from edited.sub import target\ndef step(x):\n    return target(x)\n",
        "edited/sub/__init__.py": "from edited.sub.deep import target\n",
        "edited/sub/deep.py": "PRELUDE\nTARGET",
    },
    "getattr with a constant name": {
        "edited/main.py": "from edited import other\ndef step(x):\n"
        "    return getattr(other, 'target')(x)\n",
        "edited/other.py": "PRELUDE\nTARGET",
    },
    "import_module with a constant name": {
        "edited/main.py": "from importlib import import_module\ndef step(x):\n"
        "    return import_module('edited.other').target(x)\n",
        "edited/other.py": "PRELUDE\nTARGET",
    },
    "a method": {
        "edited/main.py": "PRELUDE\nclass Scaler:\nMETHOD\ndef step(x):\n"
        "    return Scaler().target(x)\n"
    },
    "an inherited method": {
        "edited/main.py": "PRELUDE\nclass Base:\nMETHOD\nclass Scaler(Base):\n    pass\n"
        "def step(x):\n    return Scaler().target(x)\n"
    },
    "a method of a base in another module": {
        "edited/main.py": "from edited.other import Base\nclass Scaler(Base):\n    pass\n"
        "def step(x):\n    return Scaler().target(x)\n",
        "edited/other.py": "PRELUDE\nclass Base:\nMETHOD\n",
    },
    "super": {
        "edited/main.py": "PRELUDE\nclass Base:\nMETHOD\nclass Scaler(Base):\n"
        "    def target(self, x):\n        return super().target(x)\n"
        "def step(x):\n    return Scaler().target(x)\n"
    },
    "a static method": {
        "edited/main.py": "PRELUDE\nclass Scaler:\nSTATIC\ndef step(x):\n"
        "    return Scaler.target(x)\n"
    },
    "a class method": {
        "edited/main.py": "PRELUDE\nclass Scaler:\nCLASSMETHOD\ndef step(x):\n"
        "    return Scaler.target(x)\n"
    },
    "a method of an object in the module": {
        "edited/main.py": "PRELUDE\nclass Scaler:\nMETHOD\nSCALER = Scaler()\ndef step(x):\n"
        "    return SCALER.target(x)\n"
    },
    "a bound method in the module": {
        "edited/main.py": "PRELUDE\nclass Scaler:\nMETHOD\napply = Scaler().target\ndef step(x):\n"
        "    return apply(x)\n"
    },
    "getattr on a class by a computed name": {
        "edited/main.py": "PRELUDE\nclass Scaler:\nSTATIC\ndef step(x, how='get'):\n"
        "    return getattr(Scaler, 'tar' + how)(x)\n"
    },
    "a closure": {
        "edited/main.py": "PRELUDE\nTARGET\ndef make(function):\n    def wrapped(x):\n"
        "        return function(x)\n    return wrapped\nstep = make(target)\n"
    },
    "a function within a function": {
        "edited/main.py": "PRELUDE\ndef step(x):\nNESTED\n    return target(x)\n"
    },
    "a partial": {
        "edited/main.py": "import functools\nPRELUDE\nTARGET\nhalf = functools.partial(target, "
        "scale=1)\ndef step(x):\n    return half(x)\n"
    },
    "a default argument": {
        "edited/main.py": "PRELUDE\nTARGET\ndef step(x, how=target):\n    return how(x)\n"
    },
    "a keyword-only default argument": {
        "edited/main.py": "PRELUDE\nTARGET\ndef step(x, *, how=target):\n    return how(x)\n"
    },
    "a dictionary of functions": {
        "edited/main.py": "PRELUDE\nTARGET\nHOW = {'t': target}\ndef step(x, how='t'):\n"
        "    return HOW[how](x)\n"
    },
    "a list of lambdas": {
        "edited/main.py": "PRELUDE\nTARGET\nSTEPS = [lambda x: target(x)]\ndef step(x):\n"
        "    return [s(x) for s in STEPS]\n"
    },
    "a decorator": {
        "edited/main.py": "import functools\nPRELUDE\nTARGET\ndef scaled(f):\n"
        "    @functools.wraps(f)\n    def wrapped(*args):\n        return target(f(*args))\n"
        "    return wrapped\n@scaled\ndef step(x):\n    return x\n"
    },
    "a decorated function": {
        "edited/main.py": "import functools\nPRELUDE\ndef same(f):\n    @functools.wraps(f)\n"
        "    def wrapped(*args):\n        return f(*args)\n    return wrapped\nDECORATED\n"
        "def step(x):\n    return target(x)\n"
    },
    "a cached function": {
        "edited/main.py": "import functools\nPRELUDE\nTARGET\n"
        "cached = functools.lru_cache(target)\ndef step(x):\n    return cached(x)\n"
    },
    "single dispatch": {
        "edited/main.py": "import functools\nPRELUDE\nTARGET\n@functools.singledispatch\n"
        "def scale(x):\n    raise TypeError\nscale.register(int, target)\ndef step(x):\n"
        "    return scale(x)\n"
    },
    "map": {"edited/main.py": "PRELUDE\nTARGET\ndef step(x):\n    return list(map(target, x))\n"},
    "a key function": {
        "edited/main.py": "PRELUDE\nTARGET\ndef step(x):\n    return sorted(x, key=target)\n"
    },
    "a comprehension": {
        "edited/main.py": "PRELUDE\nTARGET\ndef step(x):\n    return {y: target(y) for y in x}\n"
    },
    "a generator": {
        "edited/main.py": "PRELUDE\nTARGET\ndef each(x):\n    for y in x:\n"
        "        yield target(y)\ndef step(x):\n    return list(each(x))\n"
    },
    "a callable object": {
        "edited/main.py": "PRELUDE\nclass Scaler:\nMETHOD\n    __call__ = target\n"
        "scaler = Scaler()\ndef step(x):\n    return scaler(x)\n"
    },
    "a property": {
        "edited/main.py": "PRELUDE\nTARGET\nclass Row:\n    def __init__(self, x):\n"
        "        self.x = x\n    @property\n    def scaled(self):\n        return target(self.x)\n"
        "def step(x):\n    return Row(x).scaled\n"
    },
    "a cached property": {
        "edited/main.py": "import functools\nPRELUDE\nTARGET\nclass Row:\n    x = 3\n"
        "    @functools.cached_property\n    def scaled(self):\n        return target(self.x)\n"
        "ROW = Row()\ndef step(x):\n    return ROW.scaled\n"
    },
    "a descriptor": {
        "edited/main.py": "PRELUDE\nTARGET\nclass Scaled:\n    def __get__(self, owner, kind):\n"
        "        return target(3)\nclass Row:\n    scaled = Scaled()\ndef step(x):\n"
        "    return Row().scaled\n"
    },
    "a metaclass": {
        "edited/main.py": "PRELUDE\nclass Meta(type):\nMETHOD\nclass Row(metaclass=Meta):\n"
        "    pass\ndef step(x):\n    return Row.target(x)\n"
    },
    "an operator method": {
        "edited/main.py": "PRELUDE\nTARGET\nclass Row:\n    def __add__(self, other):\n"
        "        return target(other)\ndef step(x):\n    return Row() + x\n"
    },
    "an enum's method": {
        "edited/main.py": "import enum\nPRELUDE\nclass How(enum.Enum):\n    ONE = 1\nMETHOD\n"
        "def step(x):\n    return How.ONE.target(x)\n"
    },
    "a dataclass's default factory": {
        "edited/main.py": "import dataclasses\nPRELUDE\nTARGET\n@dataclasses.dataclass\n"
        "class Row:\n    x: tuple = dataclasses.field(default_factory=lambda: target(1))\n"
        "def step(x):\n    return Row().x\n"
    },
    "a named tuple's method": {
        "edited/main.py": "import typing\nPRELUDE\nclass Row(typing.NamedTuple):\n    y: int = 1\n"
        "METHOD\ndef step(x):\n    return Row().target(x)\n"
    },
    "a pydantic validator": {
        "edited/main.py": "import pydantic\nPRELUDE\nTARGET\nclass Row(pydantic.BaseModel):\n"
        "    x: tuple\n    @pydantic.field_validator('x', mode='before')\n    @classmethod\n"
        "    def scaled(cls, x):\n        return target(x)\ndef step(x):\n    return Row(x=x).x\n"
    },
    "a context manager": {
        "edited/main.py": "import contextlib\nPRELUDE\nTARGET\n@contextlib.contextmanager\n"
        "def scaled(x):\n    yield target(x)\ndef step(x):\n    with scaled(x) as y:\n"
        "        return y\n"
    },
    "an attribute of a function": {
        "edited/main.py": "PRELUDE\nTARGET\ndef how(x):\n    return x\nhow.fallback = target\n"
        "def step(x):\n    return how.fallback(x)\n"
    },
    "a registry": {
        "edited/main.py": "from edited.other import REGISTRY\ndef step(x, how='target'):\n"
        "    return REGISTRY[how](x)\n",
        "edited/other.py": "REGISTRY = {}\ndef register(f):\n    REGISTRY[f.__name__] = f\n"
        "    return f\nPRELUDE\nREGISTERED",
    },
    "another operator": {
        "edited/main.py": "from headrace.operation import operator\nPRELUDE\nOPERATOR\n"
        "@operator()\ndef step(x: int) -> tuple:\n    return target(x)\n"
    },
    "a function of a library that is the user's": {
        "edited/main.py": "import math\nPRELUDE\nTARGET\nmath.scaled = target\ndef step(x):\n"
        "    return math.scaled(x)\n"
    },
    "a library's function made around it": {
        "edited/main.py": "import numpy as np\nPRELUDE\nTARGET\nscaled = np.vectorize(target)\n"
        "def step(x):\n    return scaled(x)\n"
    },
    "a global that is declared so": {
        "edited/main.py": "PRELUDE\nTARGET\nlast = None\ndef step(x):\n    global last\n"
        "    last = target(x)\n    return last\n"
    },
    "both arms of a condition": {
        "edited/main.py": "PRELUDE\nTARGET\ndef other(x):\n    return x\ndef step(x):\n"
        "    return (target if x else other)(x)\n"
    },
    "an exception handler": {
        "edited/main.py": "PRELUDE\nTARGET\ndef step(x):\n    try:\n        return int(x)\n"
        "    except ValueError:\n        return target(x)\n    finally:\n        x = None\n"
    },
    "a pattern match": {
        "edited/main.py": "PRELUDE\nTARGET\ndef step(x):\n    match x:\n        case {'v': v}:\n"
        "            return target(v)\n        case _:\n            return None\n"
    },
    "a coroutine": {
        "edited/main.py": "import asyncio\nPRELUDE\nTARGET\nasync def soon(x):\n"
        "    await asyncio.sleep(0)\n    return target(x)\ndef step(x):\n"
        "    return asyncio.run(soon(x))\n"
    },
}


def _filled(files: dict[str, str], old: str, new: str) -> dict[str, str]:
    # every occurrence: a local is renamed everywhere, and the other texts occur once
    prelude, target = _PRELUDE.replace(old, new), _TARGET.replace(old, new)
    blocks = {
        "CLASSMETHOD": _block(target, first="cls", decorator="@classmethod", indent=1),
        "REGISTERED": _block(target, decorator="@register"),
        "DECORATED": _block(target, decorator="@same"),
        "OPERATOR": _block(target, decorator="@operator()"),
        "METHOD": _block(target, first="self", indent=1),
        "STATIC": _block(target, decorator="@staticmethod", indent=1),
        "NESTED": _block(target, indent=1),
        "PRELUDE": prelude,
        "TARGET": target,
    }
    filled = {}
    for path, text in files.items():
        filled[path] = text
        for name, block in blocks.items():
            filled[path] = filled[path].replace(name, block)
    return filled


def edits() -> Iterator[Edit]:
    """Yield every edit by every route."""
    for route, files in _ROUTES.items():
        before = _filled(files, "\0", "")
        for what, old, new, expected in _EDITS:
            yield Edit(
                name=f"{what}, reached by {route}",
                category=f"by {route}",
                before=before,
                after=_filled(files, old, new),
                expected=expected,
            )
