"""This module edits classes, and objects of them: fields, methods, bases, enums, named tuples."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._identity_corpus.edit import Case, Edit, cases

# What is edited, the module, the text in it before and after, and what that must do.
_CASES: tuple[Case, ...] = (
    (
        "an enum's value",
        "import enum\nclass How(enum.Enum):\n    MEAN = 1\n    MAX = 2\n"
        "def step(x):\n    return How.MEAN.value\n",
        "MEAN = 1",
        "MEAN = 3",
        "changes",
    ),
    (
        "the order of an enum",
        "import enum\nclass How(enum.Enum):\n    MEAN = 1\n    MAX = 2\ndef step(x):\n"
        "    return list(How)\n",
        "MEAN = 1\n    MAX = 2",
        "MAX = 2\n    MEAN = 1",
        "changes",
    ),
    (
        "an alias in an enum",
        "import enum\nclass How(enum.Enum):\n    MEAN = 1\ndef step(x):\n    return How['MEAN']\n",
        "MEAN = 1",
        "MEAN = 1\n    AVERAGE = 1",
        "changes",
    ),
    (
        "an enum's docstring",
        "import enum\nclass How(enum.StrEnum):\n    'How.'\n    MEAN = 'm'\ndef step(x):\n"
        "    return How(x)\n",
        "'How.'",
        "'How to do it.'",
        "same",
    ),
    (
        "a flag",
        "import enum\nclass How(enum.Flag):\n    A = 1\n    B = 2\ndef step(x):\n"
        "    return How.A | How.B\n",
        "B = 2",
        "B = 4",
        "changes",
    ),
    (
        "an enum's missing value",
        "import enum\nclass How(enum.Enum):\n    A = 1\n    @classmethod\n"
        "    def _missing_(cls, value):\n        return None\ndef step(x):\n    return How(x)\n",
        "return None",
        "return cls.A",
        "changes",
    ),
    (
        "a dataclass's default",
        "import dataclasses\n@dataclasses.dataclass\nclass Row:\n    a: int = 1\ndef step(x):\n"
        "    return Row()\n",
        "a: int = 1",
        "a: int = 2",
        "changes",
    ),
    (
        "the order of a dataclass's fields",
        "import dataclasses\n@dataclasses.dataclass\nclass Row:\n    a: int = 1\n    b: int = 1\n"
        "def step(x):\n    return Row(1, 2)\n",
        "a: int = 1\n    b: int = 1",
        "b: int = 1\n    a: int = 1",
        "changes",
    ),
    (
        "whether a dataclass is compared",
        "import dataclasses\n@dataclasses.dataclass(order=True)\nclass Row:\n    a: int\n"
        "def step(x):\n    return Row(1) == Row(2)\n",
        "order=True",
        "eq=False",
        "changes",
    ),
    (
        "a field that is not compared",
        "import dataclasses\n@dataclasses.dataclass\nclass Row:\n"
        "    a: int = dataclasses.field(compare=True)\ndef step(x):\n    return Row(1) == Row(2)\n",
        "compare=True",
        "compare=False",
        "changes",
    ),
    (
        "a dataclass's docstring",
        "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Row:\n    'A row.'\n"
        "    a: int = 1\ndef step(x):\n    return Row()\n",
        "'A row.'",
        "'One row.'",
        "same",
    ),
    (
        "a comment in a dataclass",
        "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Row:\n    a: int = 1\n"
        "def step(x):\n    return Row()\n",
        "a: int = 1",
        "a: int = 1  # one",
        "same",
    ),
    (
        "a dataclass's check",
        "import dataclasses\n@dataclasses.dataclass\nclass Row:\n    a: int = 1\n"
        "    def __post_init__(self):\n        self.a += 1\ndef step(x):\n    return Row()\n",
        "+= 1",
        "+= 2",
        "changes",
    ),
    (
        "a constant in a dataclass's default",
        "import dataclasses\nLIMIT = 3\n@dataclasses.dataclass\nclass Row:\n    a: int = LIMIT\n"
        "def step(x):\n    return Row()\n",
        "LIMIT = 3",
        "LIMIT = 4",
        "changes",
    ),
    (
        "a named tuple's default",
        "import typing\nclass Row(typing.NamedTuple):\n    a: int = 1\ndef step(x):\n"
        "    return Row()\n",
        "a: int = 1",
        "a: int = 2",
        "changes",
    ),
    (
        "the fields of a named tuple",
        "import collections\nRow = collections.namedtuple('Row', 'a b')\ndef step(x):\n"
        "    return Row(1, 2)\n",
        "'a b'",
        "'b a'",
        "changes",
    ),
    (
        "the line of a named tuple",
        "import collections\nRow = collections.namedtuple('Row', 'a b')\ndef step(x):\n"
        "    return Row(1, 2)\n",
        "Row = coll",
        "\n\nRow = coll",
        "same",
    ),
    (
        "a typed dictionary",
        "import typing\nclass Row(typing.TypedDict):\n    a: int\ndef step(x):\n"
        "    return Row.__annotations__\n",
        "a: int",
        "b: int",
        "changes",
    ),
    (
        "the bases of a class",
        "class A:\n    v = 1\nclass B:\n    v = 2\nclass C(A, B):\n    pass\ndef step(x):\n"
        "    return C.v\n",
        "C(A, B)",
        "C(B, A)",
        "changes",
    ),
    (
        "what is registered as a subclass",
        "import abc\nclass Base(abc.ABC):\n    pass\nBase.register(int)\ndef step(x):\n"
        "    return isinstance(x, Base)\n",
        "int",
        "float",
        "changes",
    ),
    (
        "a class that decorates",
        "import functools\nclass Twice:\n    def __init__(self, f):\n        self.f = f\n"
        "        functools.update_wrapper(self, f)\n    def __call__(self, x):\n"
        "        return self.f(self.f(x))\n@Twice\ndef helper(x):\n    'Helps.'\n"
        "    return x + 1\ndef step(x):\n    return helper(x)\n",
        "x + 1",
        "x + 2",
        "changes",
    ),
    (
        "a docstring below a class that decorates",
        "import functools\nclass Twice:\n    def __init__(self, f):\n        self.f = f\n"
        "        functools.update_wrapper(self, f)\n    def __call__(self, x):\n"
        "        return self.f(self.f(x))\n@Twice\ndef helper(x):\n    'Helps.'\n"
        "    return x + 1\ndef step(x):\n    return helper(x)\n",
        "'Helps.'",
        "'Does.'",
        "same",
    ),
    (
        "a mixin's method",
        "class Mixin:\n    def size(self):\n        return 1\nclass C(dict, Mixin):\n    pass\n"
        "def step(x):\n    return C().size()\n",
        "return 1",
        "return 2",
        "changes",
    ),
    (
        "what a base asks of its subclass",
        "class Base:\n    def run(self):\n        return self.hook()\nclass C(Base):\n"
        "    def hook(self):\n        return 1\ndef step(x):\n    return C().run()\n",
        "return 1",
        "return 2",
        "changes",
    ),
    (
        "the order of methods",
        "class C:\n    def a(self):\n        return 1\n    def b(self):\n        return 2\n"
        "def step(x):\n    return C().a()\n",
        "    def a(self):\n        return 1\n    def b(self):\n        return 2\n",
        "    def b(self):\n        return 2\n    def a(self):\n        return 1\n",
        "same",
    ),
    (
        "slots",
        "class C:\n    __slots__ = ('a',)\ndef step(x):\n    return C()\n",
        "('a',)",
        "('a', 'b')",
        "changes",
    ),
    (
        "a class attribute that is set later",
        "class C:\n    a = 1\nC.b = 1\ndef step(x):\n    return C.b\n",
        "C.b = 1",
        "C.b = 2",
        "changes",
    ),
    (
        "a registry of subclasses",
        "class Base:\n    found = []\n    def __init_subclass__(cls):\n"
        "        Base.found.append(cls)\nclass C(Base):\n    v = 1\ndef step(x):\n"
        "    return [c.v for c in Base.found]\n",
        "v = 1",
        "v = 2",
        "changes",
    ),
    (
        "an abstract method's implementation",
        "import abc\nclass Base(abc.ABC):\n    @abc.abstractmethod\n    def v(self): ...\n"
        "class C(Base):\n    def v(self):\n        return 1\ndef step(x):\n    return C().v()\n",
        "return 1",
        "return 2",
        "changes",
    ),
    (
        "a generic class",
        "from typing import Generic, TypeVar\nT = TypeVar('T')\n"
        "class C(Generic[T]):\n    def v(self):\n        return 1\ndef step(x):\n"
        "    return C[int]().v()\n",
        "return 1",
        "return 2",
        "changes",
    ),
    (
        "an exception's text",
        "class Bad(ValueError):\n    def __str__(self):\n"
        "        return 'bad'\ndef step(x):\n    raise Bad\n",
        "'bad'",
        "'worse'",
        "changes",
    ),
    (
        "a class decorator",
        "def add(cls):\n    cls.v = 1\n    return cls\n@add\nclass C:\n    pass\n"
        "def step(x):\n    return C.v\n",
        "cls.v = 1",
        "cls.v = 2",
        "changes",
    ),
    (
        "a class that type() makes",
        "C = type('C', (), {'v': lambda self: 1})\ndef step(x):\n    return C().v()\n",
        "self: 1",
        "self: 2",
        "changes",
    ),
    (
        "a class within the body",
        "def step(x):\n    class C:\n        'A class.'\n        v = 1\n    return C.v\n",
        "v = 1",
        "v = 2",
        "changes",
    ),
    (
        "the docstring of a class within the body",
        "def step(x):\n    class C:\n        'A class.'\n        v = 1\n    return C.v\n",
        "'A class.'",
        "'The class.'",
        "same",
    ),
    (
        "a function's attribute",
        "def how(x):\n    return how.limit\nhow.limit = 3\ndef step(x):\n    return how(x)\n",
        "limit = 3",
        "limit = 4",
        "changes",
    ),
    (
        "a subclass of a number",
        "class Minutes(float):\n    pass\nLIMIT = Minutes(3)\ndef step(x):\n    return LIMIT\n",
        "Minutes(3)",
        "Minutes(4)",
        "changes",
    ),
    (
        "a subclass of a list",
        "class Names(list):\n    pass\nNAMES = Names(['a'])\ndef step(x):\n    return NAMES\n",
        "['a']",
        "['b']",
        "changes",
    ),
    (
        "a subclass of a tuple",
        "class Names(tuple):\n    pass\nNAMES = Names(['a'])\ndef step(x):\n    return NAMES\n",
        "['a']",
        "['b']",
        "changes",
    ),
    (
        "a subclass of a dictionary",
        "class Names(dict):\n    pass\nNAMES = Names(a=1)\ndef step(x):\n    return NAMES\n",
        "a=1",
        "a=2",
        "changes",
    ),
    (
        "an object that says another state to pickle",
        "class Rule:\n    def __init__(self, v):\n        self.v = v\n    def __getstate__(self):\n"
        "        return {}\n    def __reduce__(self):\n        return Rule, (0,)\nRULE = Rule(1)\n"
        "def step(x):\n    return RULE.v\n",
        "Rule(1)",
        "Rule(2)",
        "changes",
    ),
    (
        "objects that refer to each other",
        "class Node:\n    pass\nA, B = Node(), Node()\nA.to, B.to, B.v = B, A, 1\ndef step(x):\n"
        "    return A.to.v\n",
        "B, A, 1",
        "B, A, 2",
        "changes",
    ),
    (
        "a list in itself",
        "LOOP = [1]\nLOOP.append(LOOP)\ndef step(x):\n    return LOOP[0]\n",
        "LOOP = [1]",
        "LOOP = [2]",
        "changes",
    ),
)


def edits() -> Iterator[Edit]:
    """Yield one edit for each case."""
    yield from cases("classes", _CASES)
